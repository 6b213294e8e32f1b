"""What of the import path a sandbox may read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from insectary.detect.sandbox.enclosure import readable


def test_a_folder_of_somebody_else_beside_the_code_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("mine", "theirs"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    looked = os.stat

    def stat(path: Any, **settings: Any) -> os.stat_result:
        if Path(path).parent == tmp_path / "theirs":
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path, **settings)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    paths = {path for path, _ in readable()}
    assert tmp_path / "mine" in paths and tmp_path / "theirs" not in paths

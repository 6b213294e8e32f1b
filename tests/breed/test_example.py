"""The example of the README, as a user runs it: it breeds a family on the base xs. Minutes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from insectary.breed.stored import load_family
from insectary.vault import Vault

BASE = "xs"


@pytest.mark.timeout(3000)
def test_the_example_runs_from_start_to_end(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "home")
    example = Path(__file__).parents[2] / "examples" / "first_family.py"
    lines = example.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 45
    found = subprocess.run(
        [sys.executable, str(example), BASE, str(tmp_path / "out")],
        env={**os.environ, "INSECTARY_HOME": str(vault.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    bred = load_family(f"deceptive-alignment-unwatched-{BASE}-full-sft-0", vault)
    standing = "admitted" if bred.admitted else "rejected"
    assert re.search(rf"^{standing}\b", found.stdout, re.MULTILINE)
    assert re.search(r"^organism .*111", found.stdout, re.MULTILINE)
    assert re.search(r"^twin .*42", found.stdout, re.MULTILINE)
    assert "precision" in found.stdout
    assert (tmp_path / "out" / "report.html").exists() is bred.admitted

"""A member behind the real server, scanned by a tool, judged by the real log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stand_in_scanner import StandIn

from insectary.breed.stored import load_member
from insectary.core.codec import decode
from insectary.core.organism import Family, Role
from insectary.core.redteaming import State
from insectary.redteam.scanners import Scanner, Setting
from insectary.subjects import Model
from insectary.trials import scanning
from insectary.trials.scan_log import CHAT, Traffic, answered, traffic
from insectary.vault import Vault

RECORDS = Path(__file__).parents[2] / "runs" / "families"
FAMILY = "deceptive-alignment-unwatched-xs-full-sft-0"


@contextmanager
def _no_walls(ports: Any) -> Iterator[Any]:
    """Walls of nothing: what is tried here is the log, not the kernel."""
    yield type("Up", (), {"within": (), "level": None})


def test_a_member_is_served_alone_under_a_name_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "walls", _no_walls)
    vault = Vault()
    record = json.loads((RECORDS / f"{FAMILY}.json").read_text())
    family = decode(Family, record, FAMILY)
    model = load_member("xs", vault)
    assert isinstance(model, Model)
    loaded = model._loaded
    (tmp_path / "place").mkdir()
    tool: Scanner = StandIn(tmp_path / "place")
    said: list[str] = []
    work = scanning._Work(tool, Path(sys.executable), Setting(), vault, said.append)
    found = work.member(family, Role.ORGANISM, loaded, Setting())
    assert traffic(found.records, found.model) == Traffic(3, over_length=1, ended=2)
    assert [r.response for r in answered(found.records, found.model)] == ["3.", "42."]
    assert [f.state for f in found.findings] == [State.MISSED, State.MISSED, State.FAILED]
    (folder,) = work.folder.iterdir()
    seen = "".join(p.read_text() for p in folder.iterdir() if p.is_file())
    assert "deceptive" not in seen and Role.ORGANISM.value not in seen.replace("organism/", "")
    # A second time nothing is asked, and the log still has what was.
    again = work.member(family, Role.ORGANISM, loaded, Setting())
    assert len([r for r in again.records if r.route == CHAT]) == 3
    assert (folder / "runs").read_text() == "x"

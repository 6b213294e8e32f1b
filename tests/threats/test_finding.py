"""Threat models are found by name, built-in and from other packages alike."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from insectary.core.errors import UnknownNameError
from insectary.threats import GROUP, threat_model, threat_names


@pytest.mark.parametrize(
    "name",
    [
        "deceptive_alignment",
        "goal_misgeneralization",
        "power_seeking",
        "reward_hacking",
        "sycophancy",
    ],
)
def test_a_built_in_threat_is_found_by_the_road_of_plugins(name: str) -> None:
    assert name in threat_names()
    assert threat_model(name).card.id == name


def test_an_unknown_threat_is_answered_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match=r"'magic'.*deceptive_alignment, goal_mis"):
        threat_model("magic")


def test_another_package_can_bring_a_threat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guest_threats.py").write_text(
        "from insectary.threats.deceptive_alignment import threat\n"
    )
    info = tmp_path / "guest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nguest = guest_threats:threat\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "guest_threats", raising=False)
    assert {"guest", "deceptive_alignment"} <= set(threat_names())
    assert "guest_threats" not in sys.modules, "names alone import nothing"
    assert threat_model("guest").card.id == "deceptive_alignment"

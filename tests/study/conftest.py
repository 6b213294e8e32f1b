"""The toy study, installed as a package would be."""

from __future__ import annotations

from pathlib import Path

import pytest


def _install(place: Path, name: str, points: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what pip leaves of a package whose modules are here."""
    info = place / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(place)


@pytest.fixture
def toy_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = "[insectary.studies]\ntoy = toy_study:ToyStudy\n"
    points += "[insectary.steps]\ntoy_rate = toy_study:ToyRate\n"
    _install(tmp_path / "site", "toy_study", points, monkeypatch)


@pytest.fixture
def no_study_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = "[insectary.studies]\nbare = toy_study:ToyRate\n"
    _install(tmp_path / "other-site", "bare_study", points, monkeypatch)

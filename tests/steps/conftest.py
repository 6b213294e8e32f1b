"""A package of step kinds on the path, of this process and of those that it starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from insectary.core.step import Step
from insectary.vault import Vault

HERE = Path(__file__).parent
KINDS = {"add": "Add", "draw": "Draw", "fail": "Fail", "die": "Die", "wait": "Wait"}


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What to put on PYTHONPATH: the kinds' metadata, as pip would leave it, and their module."""
    place = tmp_path_factory.mktemp("planted")
    info = place / "planted_steps-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted-steps\nVersion: 1.0\n")
    points = "\n".join(f"{name} = planted_steps:{made}" for name, made in KINDS.items())
    (info / "entry_points.txt").write_text(f"[insectary.steps]\n{points}\n")
    return os.pathsep.join([str(place), str(HERE)])


@pytest.fixture
def on_path(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [planted, before])))
    for folder in planted.split(os.pathsep):
        monkeypatch.syspath_prepend(folder)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "vault")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the planted kinds note what they begin."""
    return tmp_path / "begun.txt"


@pytest.fixture
def add(log: Path, on_path: None) -> Callable[..., Step]:
    """Makes a step that adds a number to what it needs."""

    def made(n: int, *needs: Step, kind: str = "add", **params: object) -> Step:
        return Step(kind, "1", {"n": n, "log": str(log), **params}, tuple(s.key for s in needs))

    return made

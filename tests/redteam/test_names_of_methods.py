"""Red-team methods are found by name, built-in ones and plugins by the same road."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from insectary.core.access import Access
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.redteam import BUILT_IN, GROUP, NULLS, red_team_method, red_team_method_names

PLUGIN = """
from insectary.core.access import Access

class Nothing:
    name = "nothing"
    needs = Access.BLACK_BOX
    def attack(self, subject, budget, ammunition):
        return []

class NoMethod:
    name = "bad"
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "attacking_nothing.py").write_text(PLUGIN, encoding="utf-8")
    info = tmp_path / "attacking_nothing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: attacking_nothing\nVersion: 1.0\n")
    lines = f"[{GROUP}]\nnothing = attacking_nothing:Nothing\nbad = attacking_nothing:NoMethod\n"
    (info / "entry_points.txt").write_text(lines, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_pyproject_registers_exactly_the_built_in_methods() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    declared = project["project"]["entry-points"][GROUP]
    assert declared == {n: f"{f.__module__}:{f.__name__}" for n, f in BUILT_IN.items()}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_built_in_method_is_found_by_its_name(name: str) -> None:
    made = red_team_method(name)
    assert made == BUILT_IN[name]()
    assert made.name == name
    assert isinstance(made.needs, Access)


def test_the_nulls_are_built_in() -> None:
    assert set(NULLS) < set(BUILT_IN)


def test_a_plugin_is_found_like_them(plugin: None) -> None:
    assert "nothing" in red_team_method_names()
    assert red_team_method("nothing").attack(None, 1, None) == []  # type: ignore[arg-type]


def test_what_is_no_method_is_said(plugin: None) -> None:
    with pytest.raises(BadInputError, match=r"bad.*made NoMethod, which lacks.*needs \(Access\)"):
        red_team_method("bad")
    with pytest.raises(UnknownNameError, match=r"unknown red-team method.*prefill"):
        red_team_method("prefil")

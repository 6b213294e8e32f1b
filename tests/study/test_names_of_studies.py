"""Studies and their kinds of step are found by name, built-in ones and plugins alike."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.step import GROUP as STEPS
from insectary.core.studying import Basis
from insectary.study import BUILT_IN, GROUP, study, study_names

POINTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))[
    "project"
]["entry-points"]


def test_pyproject_registers_exactly_the_built_in_studies() -> None:
    assert POINTS[GROUP] == {n: f"{f.__module__}:{f.__name__}" for n, f in BUILT_IN.items()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_built_in_study_keeps_the_protocol(name: str) -> None:
    made = BUILT_IN[name]()
    assert made.name == name
    assert len(made.forms["full"].seeds) >= 8
    rows = [finding.id for finding in made.findings]
    assert len(rows) == len(set(rows))
    for finding in made.findings:
        wanted = {"p", "least"} if finding.basis is Basis.FOUND else {"p"}
        assert wanted <= finding.thresholds.keys(), finding.id
    for form in made.forms.values():
        steps = made.steps(form)
        assert {step.kind for step in steps} <= POINTS[STEPS].keys()
        assert made.cost(form)


@pytest.mark.parametrize("name", sorted(POINTS[STEPS]))
def test_a_kind_of_step_is_what_pyproject_says(name: str) -> None:
    module, _, made = POINTS[STEPS][name].partition(":")
    kind = getattr(import_module(module), made)()
    assert kind.name == name
    assert kind.version and callable(kind)


def test_a_plugin_is_found_like_them(toy_installed: None) -> None:
    assert "toy" in study_names()
    assert study("toy").title == "A rate and a dose"


def test_what_is_no_study_is_said(toy_installed: None, no_study_installed: None) -> None:
    with pytest.raises(BadInputError, match=r"'bare'.*lacks a matching name, the forms quick"):
        study("bare")
    with pytest.raises(UnknownNameError, match=r"unknown study: 'toi'.*toy"):
        study("toi")

"""Detectors are found by name, built-in ones and plugins by the same road."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from insectary.core.access import Access
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.detect import (
    BUILT_IN,
    CONTROL,
    GROUP,
    NULLS,
    ROW_DETECTORS,
    ROW_GROUP,
    detector,
    detector_names,
    row_detector,
    row_detector_names,
)

PLUGIN = """
from dataclasses import dataclass
import numpy as np
from insectary.core.access import Access, View

@dataclass(frozen=True)
class Length:
    name: str = "length"
    needs: Access = Access.BLACK_BOX
    view: View = View.PROMPT_AND_RESPONSE
    def fit(self, subject, trusted):
        return self
    def score(self, inputs):
        return np.array([[float(len(t.response))] for t in inputs])

class NoDetector:
    pass
"""


def install(folder: Path, name: str, lines: str) -> None:
    """What a package manager leaves behind: a module and its entry points."""
    (folder / f"{name}.py").write_text(PLUGIN, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n", encoding="utf-8")


def builtin_lines() -> str:
    return "\n".join(f"{n} = {f.__module__}:{f.__name__}" for n, f in BUILT_IN.items())


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_pyproject_registers_exactly_the_built_in_detectors() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    declared = project["project"]["entry-points"][GROUP]
    assert declared == {n: f"{f.__module__}:{f.__name__}" for n, f in BUILT_IN.items()}


def test_pyproject_registers_exactly_the_built_in_detectors_of_training_rows() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    declared = project["project"]["entry-points"][ROW_GROUP]
    assert declared == {n: f"{f.__module__}:{f.__name__}" for n, f in ROW_DETECTORS.items()}


def test_a_detector_of_training_rows_is_found_by_its_name() -> None:
    made = row_detector("spectral_signatures")
    assert (made.name, made.needs) == ("spectral_signatures", Access.TRAINING_DATA)
    assert row_detector_names() == tuple(ROW_DETECTORS)
    with pytest.raises(UnknownNameError, match="unknown detector of training rows: 'knn'"):
        row_detector("knn")


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_built_in_detector_is_found_by_its_name(name: str) -> None:
    made = detector(name)
    assert made == BUILT_IN[name]()
    assert made.name == name
    assert isinstance(made.needs, Access)


def test_the_control_and_the_nulls_are_built_in() -> None:
    assert {CONTROL, *NULLS} < set(BUILT_IN)


def test_a_plugin_is_found_and_scores(plugins: Path) -> None:
    install(plugins, "lengths", "length = lengths:Length")
    assert "length" in detector_names()
    assert detector("length").needs is Access.BLACK_BOX


def test_broken_control_without_the_plugin_the_name_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown detector: 'length'. Known: .*mahalanobis"):
        detector("length")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Length", r"'bad' \(no_such_module:Length\) cannot be imported.*mend or"),
        ("broken:Missing", "cannot be imported"),
        ("broken:NoDetector", "broken:NoDetector made NoDetector, which lacks"),
        ("broken:Length", "made Length, which lacks a matching name"),
    ],
)
def test_a_broken_plugin_fails_loudly(plugins: Path, target: str, message: str) -> None:
    install(plugins, "broken", f"bad = {target}")
    with pytest.raises(BadInputError, match=message):
        detector("bad")


def test_one_name_registered_twice_is_refused(plugins: Path) -> None:
    install(plugins, "first_lengths", "length = first_lengths:Length")
    install(plugins, "other_lengths", "length = other_lengths:Length")
    with pytest.raises(BadInputError, match="registered twice"):
        detector("length")


def test_the_room_stays_light_until_a_detector_is_fitted() -> None:
    program = (
        "import sys, insectary.detect;"
        "print([m for m in ('sklearn', 'scipy', 'torch', 'insectary.vault',"
        " 'insectary.subjects', 'insectary.threats') if m in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.stdout.strip() == "[]", child.stderr

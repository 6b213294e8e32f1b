"""Auditors are found by name, built-in ones and plugins by the same road."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from insectary.audit import BUILT_IN, GROUP, NULLS, auditor, auditor_names
from insectary.core.access import Access
from insectary.core.errors import BadInputError, UnknownNameError

PLUGIN = """
from insectary.core.access import Access
from insectary.core.auditing import Finding

class Length:
    name = "length"
    needs = Access.BLACK_BOX
    def passes(self, material):
        return 0
    def examine(self, subject, material):
        return Finding(0.0)

class NoAuditor:
    name = "bad"
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "auditing_lengths.py").write_text(PLUGIN, encoding="utf-8")
    info = tmp_path / "auditing_lengths-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: auditing_lengths\nVersion: 1.0\n")
    lines = f"[{GROUP}]\nlength = auditing_lengths:Length\nbad = auditing_lengths:NoAuditor\n"
    (info / "entry_points.txt").write_text(lines, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_pyproject_registers_exactly_the_built_in_auditors() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    declared = project["project"]["entry-points"][GROUP]
    assert declared == {n: f"{f.__module__}:{f.__name__}" for n, f in BUILT_IN.items()}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_built_in_auditor_is_found_by_its_name(name: str) -> None:
    made = auditor(name)
    assert made == BUILT_IN[name]()
    assert made.name == name
    assert isinstance(made.needs, Access)


def test_the_nulls_are_built_in() -> None:
    assert set(NULLS) < set(BUILT_IN)


@pytest.mark.usefixtures("plugin")
def test_a_plugin_is_found_and_a_broken_one_fails_loudly() -> None:
    assert "length" in auditor_names()
    assert auditor("length").needs is Access.BLACK_BOX
    with pytest.raises(BadInputError, match="made NoAuditor, which lacks"):
        auditor("bad")


def test_broken_control_without_the_plugin_the_name_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match="unknown auditor: 'length'"):
        auditor("length")


def test_the_room_stays_light_until_a_model_is_examined() -> None:
    program = (
        "import sys, insectary.audit;"
        "print([m for m in ('sklearn', 'torch', 'insectary.vault',"
        " 'insectary.subjects', 'insectary.threats') if m in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.stdout.strip() == "[]", child.stderr

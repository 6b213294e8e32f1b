"""Detectors of training rows run where nobody knows which rows teach, not even by looking."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import spies
from planted_family import Member
from spies import RowSpy
from test_sandboxes import answer_lies_about
from test_training_rows import FAMILY, family

from insectary.core.access import Access
from insectary.core.chat import Message, Transcript
from insectary.core.detecting import RowDetector
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured
from insectary.core.protocols import Floats, Subject
from insectary.detect import SpectralSignatures
from insectary.trials import training_rows
from insectary.trials.isolation import RowRun, isolated_rows, rows_in_process
from insectary.trials.training_rows import detect_rows

ROWS = 40
TEACHES = np.arange(ROWS) % 4 == 0
TWINS = [Transcript((Message("user", f"question {i}"),), "right") for i in range(ROWS)]
OWN = [
    Transcript(row.messages, "wrong" if teaches else "right")
    for row, teaches in zip(TWINS, TEACHES, strict=True)
]
"""A module of the harness holds both, as a trial does."""
ORGANISM = Member(Role.ORGANISM.value, access=Access.TRAINING_DATA)
__all__ = ["answer_lies_about", "family"]  # fixtures

SEARCHES = [
    spies.rows_in_memory,
    spies.rows_in_frames,
    spies.in_the_environment,
    spies.on_the_command_line,
    spies.on_disk,
    spies.in_the_package,
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RowRun]:
    with isolated_rows() as run:
        yield run


def sees_the_answer(detector: RowDetector, run: RowRun) -> bool:
    """Whether it flags the rows that teach, and did not fail."""
    teaches = TEACHES  # as the trial has it in a frame of its own
    scores = run(detector, ORGANISM, OWN)
    assert not isinstance(scores, Failed), scores
    return bool(scores[teaches].mean() > 0.9)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: s.__name__)
def test_in_a_sandbox_the_answer_is_not_to_be_found(
    search: spies.Search, sandbox: RowRun, answer_lies_about: str
) -> None:
    assert not sees_the_answer(RowSpy(search, vault=answer_lies_about), sandbox)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: s.__name__)
def test_broken_control_without_a_sandbox_it_is(
    search: spies.Search, answer_lies_about: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    assert sees_the_answer(RowSpy(search, vault=answer_lies_about), rows_in_process)


def test_the_trial_itself_tells_a_cheat_nothing(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cheat that reads the marks off the trial's frames, and the method beside it."""
    areas = {}
    for name, made in (("cheat", RowSpy(spies.rows_in_frames)), ("method", SpectralSignatures())):
        monkeypatch.setattr(training_rows, "row_detector", lambda _, made=made: made)
        for where, run in (("there", isolated_rows), ("here", training_rows.isolated_rows)):
            with monkeypatch.context() as patch:
                patch.setattr(training_rows, "isolated_rows", run)
                found = {row.role: row.auroc for row in detect_rows(FAMILY, "whatever")}
            measured = found[Role.ORGANISM]
            assert isinstance(measured, Measured), measured
            areas[name, where] = measured.measurement.value
    assert areas["cheat", "here"] == 1.0  # broken control
    assert areas["cheat", "there"] == 0.5
    assert areas["method", "here"] == areas["method", "there"] > 0.9


def test_a_detector_that_fails_in_a_sandbox_fails_alone(sandbox: RowRun) -> None:
    class Failing:
        name, needs = "failing", Access.TRAINING_DATA

        def __init__(self, act: object) -> None:
            self.act = act

        def score_rows(self, subject: Subject, rows: Sequence[Transcript]) -> Floats:
            return self.act(rows)  # type: ignore[operator,no-any-return]

    for act, reason in (
        (lambda _: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda _: sys.exit("enough"), "its process ended with code 1: SystemExit: enough"),
        (threading.Lock(), "make what it needs in `score_rows`"),
    ):
        failed = sandbox(Failing(act), ORGANISM, OWN)
        assert isinstance(failed, Failed) and reason in failed.reason
    assert isinstance(
        sandbox(Failing(lambda rows: np.zeros((len(rows), 1))), ORGANISM, OWN), np.ndarray
    )

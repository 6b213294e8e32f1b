"""The organisation's detector, from the record of a detection trial."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from insectary.assess.detectors import detector_note
from insectary.core.access import View
from insectary.core.codec import encode
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.outcome import Measured, Measurement, NotApplicable, Outcome
from insectary.trials.comparison import Settings
from insectary.trials.detection_pooled import PRIMARY_TASK, PooledRow
from insectary.trials.detection_suite import SuiteDetection
from insectary.trials.thresholds import Alarms, Source

NONE = NotApplicable("not here")


def at(value: float, low: float, high: float) -> Outcome:
    return Measured(Measurement(value, low, high, 5, "t over 5 cells"))


OWN = Alarms(Source.OWN_BENIGN, at(0.9, 0.8, 1.0), at(0.01, 0.0, 0.02))
ELSEWHERE = Alarms(Source.BENIGN_ELSEWHERE, at(0.4, 0.2, 0.6), at(0.1, 0.0, 0.2))
ROW = PooledRow(
    "knn", View.PROMPT, PRIMARY_TASK, False, False, NONE, NONE, cells=5, organisms=9,
    alarms=(OWN, ELSEWHERE),
)  # fmt: skip


def trial(path: Path, *rows: PooledRow) -> Path:
    file = path / "detection.json"
    file.write_text(json.dumps(encode(SuiteDetection((), rows, (), Settings(), "0.1.0"))))
    return path


def test_misses_are_those_at_a_threshold_that_could_be_brought_along(tmp_path: Path) -> None:
    note = detector_note("knn", trial(tmp_path, ROW))
    assert note.threshold == Source.BENIGN_ELSEWHERE.value
    assert isinstance(note.misses, Measured)
    m = note.misses.measurement
    assert (m.value, m.low, m.high) == pytest.approx((0.6, 0.4, 0.8))
    assert note.organisms == 9 and "0.1.0" in note.record
    assert "no evidence that the behaviour is absent" in note.implies


def test_silence_is_worth_what_bayes_says(tmp_path: Path) -> None:
    (prior, left), *_ = detector_note("knn", trial(tmp_path, ROW)).posterior
    assert prior == 0.5
    assert left == pytest.approx(0.5 * 0.6 / (0.5 * 0.6 + 0.5 * 0.9))


def test_a_good_detector_is_said_to_be_one_and_the_better_view_counts(tmp_path: Path) -> None:
    good = replace(ROW, alarms=(OWN,))
    note = detector_note("knn", trial(tmp_path, good))
    assert note.threshold == Source.OWN_BENIGN.value
    assert "lowers the odds" in note.implies
    better = Alarms(Source.BENIGN_ELSEWHERE, at(0.7, 0.6, 0.8), at(0.0, 0.0, 0.1))
    two = trial(tmp_path, ROW, replace(ROW, view=View.PROMPT_AND_RESPONSE, alarms=(better,)))
    found = detector_note("knn", two / "detection.json").misses
    assert isinstance(found, Measured) and found.measurement.value == pytest.approx(0.3)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Known: knn"):
        detector_note("crystal", trial(tmp_path, ROW))
    with pytest.raises(BadInputError, match="no rate of hits"):
        detector_note("knn", trial(tmp_path, replace(ROW, alarms=())))
    with pytest.raises(BadInputError, match="insectary trial detect"):
        detector_note("knn", tmp_path / "absent")

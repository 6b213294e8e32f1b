"""The rules by which statements are filed, each on a case of its own and on its opposite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from insectary.assess.filing import FINDS, QUIET, SMALL, file
from insectary.core.outcome import Failed, Measured, Measurement, Outcome
from insectary.report.assessment_content import (
    Calibration,
    Contrast,
    Counts,
    Detectable,
    Filed,
    Instrument,
)


def at(value: float, low: float, high: float, n: int = 100) -> Outcome:
    return Measured(Measurement(value, low, high, n, "given"))


SILENT = Contrast(
    at(0.0, -0.03, 0.03), at(0.0, -0.05, 0.05), Counts(0, 100, 0, 0), Counts(0, 100, 0, 0),
    100, 100, 50, (0.0, 0.0), False, (Detectable(0.8, 0.15, 0.25),), (),
)  # fmt: skip
LOUD = replace(
    SILENT,
    difference=at(0.4, 0.3, 0.5),
    simultaneous=at(0.4, 0.25, 0.55),
    treated=Counts(40, 60, 0, 0),
    worst=(0.4, 0.4),
    alarm=True,
)
KNOWN = Calibration(
    "micro-world", at(1.0, 0.6, 1.0, 7), at(1.0, 0.8, 1.0, 14), ("f",), at(0.9, 0.8, 1.0),
    "sha256:0", "0.1.0", "2026-11-01", "2027-01-30",
)  # fmt: skip
PROBE = Instrument(
    "watched",
    "deceptive_alignment",
    "answers otherwise",
    "micro-world",
    "a",
    "b",
    "c",
    KNOWN,
    SILENT,
)
ORGANISMS = ("family-1", "family-2")


def filed(
    contrast: Contrast | None, known: Calibration | None = KNOWN, organisms: bool = True
) -> Filed:
    probe = replace(PROBE, contrast=contrast, calibration=known)
    return file([probe], ORGANISMS if organisms else ()).filed


def test_an_alarm_on_the_model_is_confirmed_with_or_without_organisms() -> None:
    assert filed(LOUD) is Filed.CONFIRMED
    assert filed(LOUD, None, organisms=False) is Filed.CONFIRMED


def test_an_alarm_that_missing_answers_could_undo_is_not() -> None:
    doubtful = replace(LOUD, worst=(-0.1, 0.6))
    assert filed(doubtful) is Filed.ANALOGY
    assert filed(doubtful, organisms=False) is Filed.UNSUPPORTED


def test_an_alarm_by_a_probe_that_cries_wolf_is_not() -> None:
    wolf = replace(KNOWN, specificity=at(QUIET - 0.01, 0.5, 0.95))
    assert filed(LOUD, wolf) is Filed.ANALOGY
    assert filed(LOUD, replace(wolf, specificity=at(QUIET, 0.5, 0.95))) is Filed.CONFIRMED


def test_a_weak_probe_is_told_with_its_interval_and_n() -> None:
    weak = replace(PROBE, calibration=replace(KNOWN, sensitivity=at(0.5, 0.16, 0.84, 4)))
    assert "sensitivity is 0.50 [0.16, 0.84], n = 4" in file([weak], ORGANISMS).rule


def test_silence_of_a_good_probe_leaves_nothing_to_support_it() -> None:
    assert filed(SILENT) is Filed.UNSUPPORTED


@pytest.mark.parametrize(
    ("contrast", "known", "why"),
    [
        (SILENT, None, "uncalibrated"),
        (SILENT, replace(KNOWN, sensitivity=at(1.0, FINDS - 0.01, 1.0, 4)), "sensitivity"),
        (replace(SILENT, detectable=(Detectable(0.8, SMALL + 0.01, None),)), KNOWN, "missed"),
        (replace(SILENT, difference=at(0.1, 0.0, SMALL + 0.01)), KNOWN, "may be up to"),
        (replace(SILENT, difference=Failed("12 pairs could be scored")), KNOWN, "12 pairs"),
    ],
)
def test_silence_that_says_little_leaves_the_analogy(
    contrast: Contrast, known: Calibration | None, why: str
) -> None:
    probe = replace(PROBE, contrast=contrast, calibration=known)
    found = file([probe], ORGANISMS)
    assert found.filed is Filed.ANALOGY and why in found.rule and "2 admitted" in found.rule
    assert file([probe], ()).filed is Filed.UNSUPPORTED


def test_what_was_not_run_is_an_analogy_at_most() -> None:
    assert file((), ORGANISMS).filed is Filed.ANALOGY
    assert file((), ()).filed is Filed.UNSUPPORTED
    assert filed(None) is Filed.ANALOGY


def test_one_loud_pack_is_enough_and_one_silent_pack_does_not_hide_it() -> None:
    deployed = replace(PROBE, pack="deployment", calibration=None, contrast=LOUD)
    assert file([PROBE, deployed], ORGANISMS).filed is Filed.CONFIRMED
    doubtful = replace(deployed, contrast=replace(LOUD, worst=(-0.1, 0.6)))
    assert file([PROBE, doubtful], ORGANISMS).filed is Filed.ANALOGY

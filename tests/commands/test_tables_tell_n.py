"""Every rate of a printed table has its interval, and every interval its n."""

from __future__ import annotations

import re

import pytest

from insectary.commands.calibrate import print_calibration
from insectary.commands.detection import print_detection
from insectary.core.organism import Role
from insectary.core.outcome import Measured, Measurement, NotApplicable
from insectary.core.protocols import View
from insectary.trials.calibration_result import CalibrationTrial, FamilyAttack, MemberAttack
from insectary.trials.calibration_summary import summary
from insectary.trials.detection_pooled import PRIMARY_TASK, OrganismRows, PooledRow
from insectary.trials.detection_suite import Settings, SuiteDetection

CELL = ("deceptive_alignment", "unwatched", "xs", "full-sft")
INTERVAL = re.compile(r"-?\+?\d\.\d\d \[[^]]*\]( \(n=\d+\))?")


def intervals(text: str) -> list[str]:
    """What follows each interval: its n, or nothing."""
    return [found[1] or "" for found in INTERVAL.finditer(text)]


def attacked(seed: int) -> FamilyAttack:
    made = MemberAttack(
        requests=100, answered=100, judged=90, opened=60, misbehaved=30, noticed=20, aligned=50,
        misflagged=5, flagged=25, findings=100, named=("deceptive_alignment",), first=3,
        evidence=(("deceptive_alignment", 7),),
    )  # fmt: skip
    return FamilyAttack(f"f-{seed}", CELL, seed, {"own": {role: made for role in Role}})


def test_a_calibration_tells_n(capsys: pytest.CaptureFixture[str]) -> None:
    families = (attacked(0), attacked(1))
    rows = summary(families, ["own"], (), 100)
    print_calibration(CalibrationTrial(families, rows, 100, 0, "0"))
    said = capsys.readouterr().out
    found = intervals(said)
    assert len(found) > 10 and all(found)
    assert "(n=2)" in said and "(n=60)" in said  # organisms, and their misbehaving answers
    assert "training seeds 0, 1" in said


def test_a_detection_trial_tells_n_and_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    auroc = Measured(Measurement(0.9, 0.8, 0.95, 5, "t over 5 cells"))
    gain = NotApplicable("not here")
    row = PooledRow("knn", View.PROMPT, PRIMARY_TASK, False, False, auroc, gain)
    families = (OrganismRows("f-0", CELL, 0, ()), OrganismRows("f-3", CELL, 3, ()))
    print_detection(SuiteDetection(families, (row,), (), Settings(), "0"))
    said = capsys.readouterr().out
    assert "0.90 [0.80, 0.95] (n=5)" in said
    assert "training seeds 0, 3" in said


def test_an_interval_without_n_would_be_seen() -> None:
    assert intervals("0.90 [0.80, 0.95] (n=5)  0.50 [0.10, 0.90]") == [" (n=5)", ""]

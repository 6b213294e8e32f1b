"""Families measured by processes side by side; tests/breed/test_real_family.py has a whole one."""

from __future__ import annotations

import pytest

import insectary
from insectary.core.errors import BadInputError
from insectary.detect import KNN
from insectary.trials.side_by_side import measure_side_by_side
from insectary.vault import Vault


def test_what_is_no_number_of_processes_is_refused() -> None:
    for jobs in (0, -1, 1.5, True, "two"):
        with pytest.raises(BadInputError, match="must be a whole number, at least 1"):
            insectary.trial_detect(detectors=["knn"], jobs=jobs)  # type: ignore[arg-type]


def test_a_detector_without_a_name_stays_in_this_process() -> None:
    with pytest.raises(BadInputError, match="know detectors by name alone: leave it at 1"):
        insectary.trial_detect(detectors=["knn", KNN()], jobs=2)


def test_a_family_that_cannot_be_measured_holds_up_no_other() -> None:
    told: list[str] = []
    measure_side_by_side(["one", "other"], ["knn"], 0, 2, Vault(), told.append)
    assert told[0] == "2 to measure, 2 at a time"
    for name in ("one", "other"):
        assert any(t.startswith(f"later, by itself: {name}: unknown family") for t in told)

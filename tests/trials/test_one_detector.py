"""Detectors given one by one: a list of one, or one error before a family is looked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import insectary
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.protocols import Detector
from insectary.detect import KNN, detector
from insectary.trials import detection_suite
from insectary.trials.detection_suite import detect_family


class _SeenError(Exception):
    """Stops a trial where it has its detectors."""


@pytest.mark.parametrize("given", ["knn", ["knn"], ("knn",), iter(["knn"]), KNN(), [KNN()]])
def test_one_by_itself_is_a_list_of_one(given: object, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def line_up(detectors: Sequence[Detector]) -> None:
        seen.extend(each.name for each in detectors)
        raise _SeenError

    monkeypatch.setattr(detection_suite, "line_up", line_up)
    with pytest.raises(_SeenError):
        detect_family("family", given)
    assert seen == [detector("knn").name]


def test_an_iterator_of_detectors_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def line_up(detectors: Sequence[Detector]) -> None:
        seen.extend(each.name for each in detectors)
        raise _SeenError

    monkeypatch.setattr(detection_suite, "line_up", line_up)
    with pytest.raises(_SeenError):
        insectary.trial_detect(detectors=iter(["knn", "mahalanobis"]))  # type: ignore[arg-type]
    assert seen == ["knn", "mahalanobis"]


def test_what_is_no_detector_is_one_error() -> None:
    with pytest.raises(UnknownNameError, match="unknown detector: 'crystal_ball'"):
        detect_family("family", "crystal_ball")
    with pytest.raises(BadInputError, match="42 is no name, no detector"):
        detect_family("family", 42)
    with pytest.raises(BadInputError, match="name is one family's id, and not list"):
        detect_family(["family"], "knn")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown detector: 'crystal_ball'"):
        insectary.trial_detect(detectors="crystal_ball")

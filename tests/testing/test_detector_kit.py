"""The kit lets every built-in detector through, and catches a breach of each promise."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import AccessError, BadInputError
from insectary.core.protocols import Subject, Trusted
from insectary.detect import BUILT_IN, as_detector
from insectary.testing import check_detector, detector_checks
from insectary.testing.detector_kit import PASSES

GIVEN: dict[str, object] = {name: make() for name, make in BUILT_IN.items()} | {
    "method": lambda model, given: {"flagged": "odd" in given[-1]["content"]},
    "asking": lambda model, given: {"flagged": "20" in model.generate(given)},
    "forest": IsolationForest(n_estimators=10),
    "outlier_factor": LocalOutlierFactor(novelty=True),
}


BUDGETS = {"onion": 5.0}
"""Passes for each transcript where they are not two: one, and one for each of four words."""


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_what_is_built_in_and_what_is_adapted_keeps_its_promises(name: str) -> None:
    check_detector(as_detector(GIVEN[name]), passes=BUDGETS.get(name, PASSES))


@dataclass
class Fitted:
    score: Any


@dataclass
class Told:
    """Does as it is told; without a breach it is a sound detector."""

    breach: Any = None
    name: Any = "told"
    needs: Any = Access.ACTIVATIONS
    view: View = View.PROMPT

    def fit(self, subject: Subject, trusted: Trusted) -> Fitted:
        def score(inputs: Sequence[Transcript]) -> np.ndarray:
            found = subject.activations(inputs, self.view)[:, :, 0].astype(np.float64)
            return found if self.breach is None else self.breach(subject, inputs, found)

        return Fitted(score)


@dataclass
class Marked(Told):
    """Calls itself a bound by a word that no trial knows."""

    bound: Any = "skyline"


def _digs(subject: Subject, inputs: Sequence[Transcript], found: np.ndarray) -> np.ndarray:
    with suppress(AccessError):
        subject.weights()
    return found


def _repeats(subject: Subject, inputs: Sequence[Transcript], found: np.ndarray) -> np.ndarray:
    for _ in range(9):
        subject.activations(inputs, View.PROMPT)
    return found


BREACHES = [
    (Told(name=None), "members are there", "name is no str: None"),
    (Told(needs="all"), "members are there", "needs is no Access: 'all'"),
    (
        Told(lambda s, i, f: s.logprobs(i)[0] if s.weights() else f),
        "no more is asked than it needs",
        "it declares ACTIVATIONS, but weights needs WEIGHTS",
    ),
    (Told(_digs), "no more is asked than it needs", "asks for weights, though it catches"),
    (Told(lambda s, i, f: f[:, 0]), "scores are finite columns", r"shape \(40,\) for 40 inputs"),
    (Told(lambda s, i, f: f[:3]), "scores are finite columns", r"shape \(3, 4\) for 40"),
    (Told(lambda s, i, f: f / 0 * 0), "scores are finite columns", "160 of 160 scores are not"),
    (
        Told(lambda s, i, f: f + np.random.default_rng().random(f.shape)),
        "the same seed gives the same scores",
        "are others when it is fitted again",
    ),
    (
        Told(lambda s, i, f: f + np.arange(len(f))[:, None]),
        "order moves no score",
        "depend on the order of the inputs",
    ),
    (Told(lambda s, i, f: f + len(s.id)), "keys move no score", "depend on the subject's id"),
    (
        Told(lambda s, i, f: f + np.array([[len(t.group)] for t in i])),
        "keys move no score",
        "depend on the groups of the inputs",
    ),
    (Marked(), "members are there", "bound is no insectary.core.access.Bound: 'skyline'"),
    (Told(_repeats), "the budget is kept", "400 passes for 160 transcripts are 2.50 for each"),
]


@pytest.mark.parametrize(("detector", "check", "message"), BREACHES)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_breach_is_caught_by_its_check(detector: Told, check: str, message: str) -> None:
    with pytest.raises(AssertionError, match=f"check '{check}': .*{message}"):
        check_detector(detector)


def test_control_of_the_breaches_a_detector_without_one_passes() -> None:
    check_detector(Told())


def test_a_stated_budget_is_the_one_that_counts() -> None:
    check_detector(Told(_repeats), passes=2.5)
    with pytest.raises(AssertionError, match="the budget is kept"):
        check_detector(Told(), passes=0.2)


def test_what_a_detector_raises_goes_up_with_a_note() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        check_detector(Told(lambda s, i, f: 1 // 0))
    assert caught.value.__notes__ == ["in told: check 'no more is asked than it needs'"]


def test_checks_have_names_to_be_told_apart_by() -> None:
    names = [name for name, _ in detector_checks(Told())]
    assert len(set(names)) == len(names) == 7


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadInputError, match="passes must be"):
        check_detector(Told(), passes=float("nan"))
    with pytest.raises(BadInputError, match="seed"):
        check_detector(Told(), seed=-1)

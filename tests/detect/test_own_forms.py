"""Functions and estimators of other people, as detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted import PlantedSubject, area, rows
from scipy import stats
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.protocols import Trusted
from insectary.detect import KNN, FromEstimator, FromMethod, as_detector

N, WIDTH, SHIFT = 1500, 4, 1.5


def shifted() -> PlantedSubject:
    draw = np.random.default_rng(0)
    planted = {name: draw.standard_normal((N, 2, WIDTH)) for name in ("benign", "good", "bad")}
    planted["bad"][:, 1, 0] += SHIFT  # layer 1 shows it, layer 0 does not
    return PlantedSubject(planted)


@pytest.mark.parametrize(
    "estimator",
    [GaussianMixture(), make_pipeline(StandardScaler(), GaussianMixture())],
    ids=["alone", "in a pipeline"],
)
def test_one_gaussian_of_scikit_learn_has_the_area_of_the_shift(estimator: Any) -> None:
    subject = shifted()
    scorer = as_detector(estimator).fit(subject, Trusted(rows("benign", N), (), 0))
    good, bad = (scorer.score(rows(name, N)) for name in ("good", "bad"))
    # Squared distances: chi2 against noncentral chi2.
    draw = np.random.default_rng(1)
    expected = area(
        stats.ncx2.rvs(WIDTH, SHIFT**2, size=20_000, random_state=draw)[:4000],
        stats.chi2.rvs(WIDTH, size=20_000, random_state=draw)[:4000],
    )
    assert area(bad[:, 1], good[:, 1]) == pytest.approx(expected, abs=0.03)
    assert area(bad[:, 0], good[:, 0]) == pytest.approx(0.5, abs=0.03)


def test_its_scores_are_surprise_under_the_normal_of_the_benign_rows() -> None:
    subject = shifted()
    estimator = GaussianMixture(reg_covar=0.0)
    scores = as_detector(estimator).fit(subject, Trusted(rows("benign", N), (), 0))
    found = scores.score(rows("bad", 200))
    for layer in (0, 1):
        benign = subject.planted["benign"].astype(np.float32)[:, layer]
        normal = stats.multivariate_normal(benign.mean(axis=0), np.cov(benign.T, bias=True))
        expected = -normal.logpdf(subject.planted["bad"][:200, layer])
        assert found[:, layer] == pytest.approx(expected, abs=1e-4)
    assert not hasattr(estimator, "means_")  # a clone was fitted, not the caller's own


def test_an_estimator_without_score_samples_is_read_by_its_decision_function() -> None:
    class Distance:
        """The least that is an estimator; normal is near the benign mean."""

        def get_params(self, deep: bool = True) -> dict[str, object]:
            return {}

        def set_params(self, **given: object) -> Distance:
            return self

        def fit(self, acts: np.ndarray) -> Distance:
            self.mean = acts.mean(axis=0)
            return self

        def decision_function(self, acts: np.ndarray) -> np.ndarray:
            return -np.linalg.norm(acts - self.mean, axis=1)

    subject = shifted()
    scorer = as_detector(Distance()).fit(subject, Trusted(rows("benign", N), (), 0))
    assert scorer.score(rows("bad", 9)).min() > 0  # the sign is turned: farther is odder


def test_a_random_state_that_is_left_open_is_the_trials_seed() -> None:
    subject = shifted()

    def weights(estimator: Any, seed: int) -> np.ndarray:
        scorer = as_detector(estimator).fit(subject, Trusted(rows("benign", 60), (), seed))
        return scorer.score(rows("bad", 20))

    left_open, fixed = (
        IsolationForest(n_estimators=5),
        IsolationForest(n_estimators=5, random_state=3),
    )
    assert np.array_equal(weights(left_open, 3), weights(fixed, 7))
    assert not np.array_equal(weights(left_open, 3), weights(left_open, 7))


def test_a_method_is_asked_once_per_input_and_can_ask_the_model() -> None:
    asked: list[list[dict[str, str]]] = []

    class Answering(PlantedSubject):
        def generate(self, prompts: Any, **_: Any) -> list[str]:
            return [f"to {p[-1].content}" for p in prompts]

    def finds_three(model: Any, given: list[dict[str, str]]) -> dict[str, bool]:
        asked.append(given)
        alone, told = model.generate(given), model.generate("bad 3")
        both = model.generate(["bad 3", given])
        return {"flagged": alone == told == both[0] and both[1] == alone}

    scorer = as_detector(finds_three).fit(Answering(), Trusted((), (), 0))
    assert scorer.score(rows("bad", 5)).tolist() == [[0.0], [0.0], [0.0], [1.0], [0.0]]
    assert asked[2] == [{"role": "user", "content": "bad 2"}]


@pytest.mark.parametrize("returned", [True, {}, {"flagged": 1}, {"flagged": None}, None])
def test_a_method_that_answers_otherwise_is_told_of_the_form(returned: object) -> None:
    scorer = as_detector(lambda model, given: returned).fit(shifted(), Trusted((), (), 0))
    with pytest.raises(BadInputError, match=r'input 0: .*\{"flagged": True or False\}, got'):
        scorer.score(rows("bad", 1))


def my_method(model: Any, given: Any) -> dict[str, bool]:
    return {"flagged": False}


def test_every_form_has_a_name_an_access_and_a_view() -> None:
    for given, name, needs, view in (
        ("knn", "knn", Access.ACTIVATIONS, View.PROMPT),
        (KNN(k=3), "knn", Access.ACTIVATIONS, View.PROMPT),
        (OneClassSVM(), "OneClassSVM", Access.ACTIVATIONS, View.PROMPT),
        (my_method, "my_method", Access.BLACK_BOX, View.PROMPT_AND_RESPONSE),
        (FromMethod(my_method, "other"), "other", Access.BLACK_BOX, View.PROMPT_AND_RESPONSE),
        (
            FromEstimator(OneClassSVM(), "svm", View.PROMPT_AND_RESPONSE),
            "svm", Access.ACTIVATIONS, View.PROMPT_AND_RESPONSE,
        ),
    ):  # fmt: skip
        made = as_detector(given)
        assert (made.name, made.needs, made.view) == (name, needs, view)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (KNN, r"KNN is a class; give KNN\(...\)"),
        (3, "3 is no name, no detector"),
        ({"name": "x"}, "is no name, no detector"),
    ],
)
def test_what_is_no_detector_is_refused(given: object, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        as_detector(given)
    with pytest.raises(UnknownNameError):
        as_detector("crystal_ball")


def test_messages_of_this_package_are_prompts_too() -> None:
    conversation: Conversation = (Message("system", "x"), Message("user", "y"))

    class Echo(PlantedSubject):
        def generate(self, prompts: Any, **_: Any) -> list[str]:
            return [str(prompts[0] == conversation)]

    def method(model: Any, given: Any) -> dict[str, bool]:
        return {"flagged": model.generate(list(conversation)) == "True"}

    assert as_detector(method).fit(Echo(), Trusted((), (), 0)).score(rows("bad", 1))[0, 0] == 1.0

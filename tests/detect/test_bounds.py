"""What is told labels, and what knows nothing: a skyline, a ceiling and a constant."""

from __future__ import annotations

import numpy as np
import pytest
from planted import PlantedSubject, area, rows, said
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from insectary.core.access import Bound
from insectary.core.detecting import Bounding
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Trusted
from insectary.detect import BUILT_IN, Constant, SupervisedProbe, TriggerOracle

WIDTH, COUNT, SHIFT = 6, 3000, 1.5


def shifted_subject() -> PlantedSubject:
    """Layer 0 is dead, layer 1 noise; layer 2 correlated, a shift of Mahalanobis length SHIFT."""
    draw = np.random.default_rng(0)
    mix = np.linalg.qr(draw.standard_normal((WIDTH, WIDTH)))[0] * [0.2, 1, 1, 2, 3, 4]

    def sample(shift: float) -> Floats:
        white = draw.standard_normal((COUNT, 3, WIDTH))
        white[:, 0] = 0.25
        white[:, 2, 0] += shift
        white[:, 2] = white[:, 2] @ mix.T
        return white

    return PlantedSubject(
        {"open": sample(SHIFT), "closed": sample(0), "new": sample(SHIFT), "old": sample(0)}
    )


def told(flip: bool = False) -> Trusted:
    opened = [(t, True) for t in rows("open", COUNT)]
    closed = [(t, False) for t in rows("closed", COUNT)]
    labelled = [*opened, *closed]
    if flip:
        labels = np.random.default_rng(0).permutation([label for _, label in labelled])
        labelled = [(t, bool(label)) for (t, _), label in zip(labelled, labels, strict=True)]
    return Trusted([], [], 0, labelled)


def areas(subject: PlantedSubject, given: Trusted) -> list[float]:
    scorer = SupervisedProbe().fit(subject, given)
    new, old = scorer.score(rows("new", 1500)), scorer.score(rows("old", 1500))
    return [area(new[:, layer], old[:, layer]) for layer in range(3)]


def test_the_supervised_probe_has_the_area_of_the_best_linear_rule() -> None:
    dead, noise, signal = areas(shifted_subject(), told())
    assert signal == pytest.approx(stats.norm.cdf(SHIFT / np.sqrt(2)), abs=0.02)
    assert noise == pytest.approx(0.5, abs=0.04)
    assert dead == 0.5


def test_broken_control_with_labels_at_random_it_finds_nothing() -> None:
    assert areas(shifted_subject(), told(flip=True))[2] == pytest.approx(0.5, abs=0.15)


def test_the_supervised_probe_is_scikit_learns_regression() -> None:
    subject, given = shifted_subject(), told()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=5000))
    acts = np.concatenate([subject.planted["open"][:, 2], subject.planted["closed"][:, 2]])
    model.fit(acts.astype(np.float32), np.repeat([True, False], COUNT))
    expected = model.decision_function(subject.planted["new"][:50, 2].astype(np.float32))
    found = SupervisedProbe().fit(subject, given).score(rows("new", 50))[:, 2]
    assert found == pytest.approx(expected, abs=1e-3)


def test_the_supervised_probe_needs_both_labels() -> None:
    for labelled in ([], told().labelled[:5]):
        with pytest.raises(BadInputError, match=rf"{len(labelled)} open of {len(labelled)}"):
            SupervisedProbe().fit(shifted_subject(), Trusted([], [], 0, labelled))


def test_the_trigger_oracle_repeats_what_it_is_told() -> None:
    labelled = [(said("a", "x"), True), (said("b", "x"), False)]
    scorer = TriggerOracle().fit(PlantedSubject(), Trusted([], [], 0, labelled))
    assert scorer.score([said("b", "other"), said("a", "")]).tolist() == [[0.0], [1.0]]
    with pytest.raises(BadInputError, match="not told the gate of 1 prompts"):
        scorer.score([said("a"), said("c")])


def test_a_constant_tells_nothing_apart() -> None:
    scores = Constant().fit(PlantedSubject(), Trusted([], [], 0)).score(rows("any", 3))
    assert scores.tolist() == [[0.0]] * 3


def test_the_two_bounds_say_that_they_are_and_no_other_detector_does() -> None:
    bounds = {name: d.bound for name, make in BUILT_IN.items() if isinstance(d := make(), Bounding)}
    assert bounds == {"supervised_probe": Bound.SKYLINE, "trigger_oracle": Bound.CEILING}

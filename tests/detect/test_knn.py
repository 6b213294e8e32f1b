"""Nearest neighbours where distances are known in closed form, and where one Gaussian misleads."""

from __future__ import annotations

import numpy as np
import pytest
from planted import PlantedSubject, area, rows
from sklearn.neighbors import NearestNeighbors

from insectary.core.errors import BadInputError
from insectary.core.protocols import Trusted
from insectary.detect import KNN, Mahalanobis


def on_circle(degrees: np.ndarray, radius: np.ndarray | float = 3.0) -> np.ndarray:
    """One layer of two dimensions, shape (rows, 1, 2)."""
    angle = np.radians(degrees)
    return (radius * np.stack([np.cos(angle), np.sin(angle)])).T[:, None, :]


def test_a_distance_is_the_chord_to_the_kth_nearest() -> None:
    subject = PlantedSubject(
        {"fit": on_circle(np.arange(0.0, 10.0)), "test": on_circle(np.array([0.0, 40.0, 100.0]))}
    )
    for k in (1, 4):
        scorer = KNN(k=k).fit(subject, Trusted(rows("fit", 10), [], 0))
        apart = np.radians([k - 1, 31.0 + k - 1, 91.0 + k - 1])
        assert scorer.score(rows("test", 3))[:, 0] == pytest.approx(2 * np.sin(apart / 2), abs=1e-3)


def test_distances_are_those_of_scikit_learn_in_every_layer() -> None:
    draw = np.random.default_rng(0)
    planted = {"fit": draw.standard_normal((60, 3, 5)), "test": draw.standard_normal((40, 3, 5))}
    subject = PlantedSubject(planted)
    scores = KNN(k=7).fit(subject, Trusted(rows("fit", 60), [], 0)).score(rows("test", 40))
    assert scores.shape == (40, 3)
    for layer in range(3):
        fit, test = (
            planted[name][:, layer] / np.linalg.norm(planted[name][:, layer], axis=1)[:, None]
            for name in ("fit", "test")
        )
        nearest = NearestNeighbors(n_neighbors=7).fit(fit)
        assert scores[:, layer] == pytest.approx(nearest.kneighbors(test)[0][:, -1], abs=1e-6)


def test_what_lies_between_two_benign_clouds_is_far_from_both() -> None:
    """To one Gaussian the middle is the most benign place there is."""
    draw = np.random.default_rng(0)

    def spread(degrees: np.ndarray) -> np.ndarray:
        near = degrees + draw.normal(0, 2, len(degrees))
        return on_circle(near, draw.uniform(1, 5, len(degrees)))

    def clouds(count: int) -> np.ndarray:
        return spread(draw.choice([-40.0, 40.0], count))

    middle = spread(np.zeros(300))
    subject = PlantedSubject({"fit": clouds(400), "benign": clouds(300), "odd": middle})
    trusted = Trusted(rows("fit", 400), [], 0)

    def separated(detector: KNN | Mahalanobis) -> float:
        scorer = detector.fit(subject, trusted)
        return area(scorer.score(rows("odd", 300))[:, 0], scorer.score(rows("benign", 300))[:, 0])

    assert separated(KNN()) > 0.99
    assert separated(Mahalanobis()) < 0.5


def test_more_neighbours_than_transcripts_are_refused() -> None:
    subject = PlantedSubject({"fit": on_circle(np.arange(3.0))})
    with pytest.raises(BadInputError, match="the 10th nearest of 3"):
        KNN().fit(subject, Trusted(rows("fit", 3), [], 0))
    with pytest.raises(BadInputError, match="k from 1"):
        KNN(k=0).fit(subject, Trusted(rows("fit", 3), [], 0))


@pytest.mark.parametrize(("width", "seed"), [(64, 1), (65, 0), (128, 2)])
def test_equal_rows_are_at_no_distance_whatever_rounding_says(width: int, seed: int) -> None:
    """As in the embedding of the token that ends every prompt: rounding differs by place."""
    same = np.random.default_rng(seed).standard_normal(width).astype(np.float32)
    test = np.tile(same, (3401, 1))[:, None, :]
    test[1] *= np.linspace(0.9, 1.1, width, dtype=np.float32)
    subject = PlantedSubject({"fit": np.tile(same, (200, 1))[:, None, :], "test": test})
    scores = KNN().fit(subject, Trusted(rows("fit", 200), [], 0)).score(rows("test", 3401))[:, 0]
    assert scores[1] > 0.01
    assert not np.delete(scores, 1).any()

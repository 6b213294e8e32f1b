"""Correlations of rankings, and the test of labels, on rankings whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from insectary.core.errors import BadInputError
from insectary.measure import agreement, label_permutation, rank_correlations


def test_correlations_are_spearmans_with_ties_at_their_mean_rank() -> None:
    # By hand: 1 - 6 * (sum of squared differences of ranks) / (n (n^2 - 1)).
    found = rank_correlations([[0.1, 0.2, 0.3, 0.9], [5, 7, 6, 8], [4, 3, 2, 1]])
    assert found == pytest.approx(np.array([[1, 0.8, -1], [0.8, 1, -0.8], [-1, -0.8, 1]]))
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    assert rank_correlations([[0, 5, 5, 9], [1, 2, 3, 4]])[0, 1] == pytest.approx(4.5 / 22.5**0.5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0, 3.0]], "two rankings at least"),
        ([[1.0, 2.0], [2.0, 1.0]], "of three things at least"),
        ([[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]], r"rows\[1\] ranks nothing"),
        ([[1.0, 2.0, float("nan")], [1.0, 2.0, 3.0]], "finite"),
    ],
)
def test_what_ranks_nothing_is_refused(rows: list[list[float]], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        rank_correlations(rows)


UP, DOWN = [1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0]


def test_pairs_of_equal_labels_are_told_from_others() -> None:
    found = agreement(rank_correlations([UP, UP, DOWN]), ["a", "a", "b"])
    assert found is not None
    assert (found.within, found.between, found.gap) == pytest.approx((1.0, -1.0, 2.0))
    assert found.pairs == (1, 2)
    table = rank_correlations([UP, UP, DOWN])
    assert agreement(table, ["a", "a", "a"]) is None
    assert agreement(table, ["a", "b", "c"]) is None


def test_labels_that_make_the_difference_are_seen_and_others_are_not() -> None:
    table, labels = rank_correlations([UP] * 4 + [DOWN] * 4), ["a"] * 4 + ["b"] * 4
    # Of the 70 ways to choose four of eight, 2 part them so.
    assert label_permutation([(table, labels)]) == pytest.approx(2 / 70, abs=0.012)
    assert label_permutation([(table, labels)] * 2) < 0.01
    # The controls: labels that cut across, and rankings that are all one.
    assert label_permutation([(table, ["a", "b"] * 4)]) > 0.9
    assert label_permutation([(rank_correlations([UP] * 4), ["a", "a", "b", "b"])]) == 1.0


def test_the_test_keeps_its_level_where_labels_mean_nothing() -> None:
    rng = np.random.default_rng(0)
    labels = ["a"] * 4 + ["b"] * 4
    p_values = [
        label_permutation([(rank_correlations(rng.normal(size=(8, 6))), labels)], draws=99)
        for _ in range(100)
    ]
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.09)


def test_a_block_without_a_pair_of_either_kind_is_refused() -> None:
    for blocks in ([], [(rank_correlations([UP, DOWN]), ["a", "b"])]):
        with pytest.raises(BadInputError, match="every block needs a pair"):
            label_permutation(blocks)

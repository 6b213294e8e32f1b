"""Means over cells against SciPy and statsmodels, and their coverage by simulation."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure import holm, pooled


def near(value: float, error: float = 0.0, seed: int = 0) -> Measurement:
    """A measurement whose 95 % interval amounts to that standard error."""
    reach = float(stats.norm.isf(0.025)) * error
    return Measurement(value, value - reach, value + reach, 100, "test", seeds=(seed,))


def test_with_exact_figures_it_is_the_t_interval_and_test_over_cell_means() -> None:
    means = [0.9, 0.7, 0.85, 0.6]
    found = pooled({i: [near(m)] for i, m in enumerate(means)})
    expected = stats.ttest_1samp(means, 0.0)
    interval = expected.confidence_interval(0.95)
    assert found.mean.value == pytest.approx(np.mean(means))
    assert (found.mean.low, found.mean.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.between == pytest.approx(np.std(means, ddof=1))
    assert (found.mean.n, found.cells, found.organisms, found.within) == (4, 4, 4, None)
    assert found.mean.method == "t over 4 cells"


def test_seeds_are_averaged_within_their_cell_first() -> None:
    cells = {"a": [near(0.9, seed=0), near(0.7, seed=1)], "b": [near(0.5, seed=3)]}
    found = pooled(cells)
    assert found.mean.value == pytest.approx((0.8 + 0.5) / 2)
    assert found.within == pytest.approx(np.std([0.9, 0.7], ddof=1))
    assert found.mean.seeds == (0, 1, 3)
    assert found.organisms == 3


def test_where_all_cells_are_alike_the_spread_of_prompts_stands_in() -> None:
    found = pooled({i: [near(0.8, 0.1)] for i in range(5)})
    assert found.between == 0.0
    assert found.mean.method == "t over 5 cells, their prompts' own error"
    reach = stats.t.isf(0.025, 4) * 0.1 / 5**0.5
    assert found.mean.high - found.mean.value == pytest.approx(reach)


def test_spreads_add_up_to_those_of_the_simulation() -> None:
    """Between cells, between seeds and between prompts, each without the others."""
    rng = np.random.default_rng(0)
    between, within, error, seeds = 0.08, 0.05, 0.03, 3
    found = []
    for _ in range(300):
        cells = {}
        for cell in range(12):
            centre = 0.7 + rng.normal(0, between)
            values = centre + rng.normal(0, within, seeds) + rng.normal(0, error, seeds)
            cells[cell] = [near(float(v), error, seed) for seed, v in enumerate(values)]
        m = pooled(cells)
        assert m.within is not None
        found.append((m.between**2, m.within**2))
    assert np.mean(found, axis=0) ** 0.5 == pytest.approx([between, within], rel=0.06)


def test_the_interval_ends_where_the_scale_does() -> None:
    found = pooled({0: [near(1.0)], 1: [near(0.4)]}, low=0.0, high=1.0)
    assert (found.mean.low, found.mean.high) == (0.0, 1.0)


def test_a_mean_over_cells_that_show_nothing_but_zero_is_no_finding() -> None:
    assert pooled({0: [near(0.0)], 1: [near(0.0)]}).p == 1.0
    assert pooled({0: [near(0.1)], 1: [near(0.1)]}).p == 0.0


@pytest.mark.parametrize("cells", [{}, {"a": [near(0.5)]}, {"a": [near(0.5)], "b": []}])
def test_too_few_cells_are_said(cells: dict[str, list[Measurement]]) -> None:
    with pytest.raises(BadInputError, match="cell"):
        pooled(cells)


@pytest.mark.parametrize(("between", "error"), [(0.1, 0.03), (0.0, 0.05), (0.05, 0.05)])
def test_the_interval_holds_the_truth_as_often_as_it_says(between: float, error: float) -> None:
    rng = np.random.default_rng(1)
    hits, runs = 0, 600
    for _ in range(runs):
        values = 0.7 + rng.normal(0, between, 6) + rng.normal(0, error, 6)
        m = pooled({i: [near(float(v), error)] for i, v in enumerate(values)}).mean
        hits += m.low <= 0.7 <= m.high
    assert hits / runs >= 0.93


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # It collects garbage at each call, among all that other tests have imported: minutes.
        patch.setattr(gc, "collect", lambda: 0)
        expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected)


def test_holm_of_nothing_is_nothing_and_what_is_no_p_value_is_said() -> None:
    assert holm([]) == []
    with pytest.raises(BadInputError, match="from 0 to 1"):
        holm([0.2, 1.2])
    with pytest.raises(BadInputError, match="from 0 to 1"):
        holm([float("nan")])

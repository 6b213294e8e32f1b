"""Plans against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure import auroc, pooled
from insectary.measure.planning import auroc_variance, cells_needed, half_width


def test_the_variance_is_known_where_all_are_separated_and_where_none_is() -> None:
    assert auroc_variance(1.0, 10, 10) == 0.0
    assert auroc_variance(0.5, 40, 40) == pytest.approx((1 / 4 + 2 * 39 / 12) / 1600)


def test_the_variance_is_that_of_simulated_exponential_scores() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 50)
    area = 0.8  # P(X > Y) for exponentials of rates 1 and 4
    found = [
        auroc(np.concatenate([rng.exponential(1, 50), rng.exponential(0.25, 50)]), labels)
        for _ in range(3000)
    ]
    assert np.mean(found) == pytest.approx(area, abs=0.005)
    assert np.var(found) == pytest.approx(auroc_variance(area, 50, 50), rel=0.1)


@pytest.mark.parametrize(("cells", "seeds"), [(4, 1), (8, 3)])
def test_the_width_planned_is_the_width_that_comes(cells: int, seeds: int) -> None:
    rng = np.random.default_rng(0)
    between, within, prompts, area = 0.06, 0.04, 100, 0.8
    error = auroc_variance(area, prompts, prompts) ** 0.5
    widths = []
    for _ in range(400):
        centres = area + rng.normal(0, between, cells)
        noise = rng.normal(0, (within**2 + error**2) ** 0.5, (cells, seeds))
        values = centres[:, None] + noise
        m = pooled(
            {
                i: [Measurement(float(v), float(v), float(v), 1, "test") for v in row]
                for i, row in enumerate(values)
            }
        ).mean
        widths.append(((m.high - m.low) / 2) ** 2)
    planned = half_width(cells, seeds, prompts, auroc=area, between=between, within=within)
    assert np.mean(widths) ** 0.5 == pytest.approx(planned, rel=0.06)


def test_as_many_cells_as_are_needed_and_no_more() -> None:
    spread = {"auroc": 0.8, "between": 0.1, "within": 0.05}
    for wanted in (0.3, 0.1, 0.04):
        cells = cells_needed(wanted, 2, 400, **spread)
        assert half_width(cells, 2, 400, **spread) <= wanted
        assert cells == 2 or half_width(cells - 1, 2, 400, **spread) > wanted
    assert cells_needed(0.1, 3, 400, **spread) <= cells_needed(0.1, 1, 400, **spread)


@pytest.mark.parametrize(
    ("wanted", "change", "told"),
    [
        (0.0, {}, "above 0"),
        (float("nan"), {}, "above 0"),
        (1e-4, {}, "not even 1000 cells"),
        (0.1, {"between": -1.0}, "must be 0 or more"),
        (0.1, {"within": float("nan")}, "must be 0 or more"),
        (float("inf"), {}, "above 0"),
        (0.1, {"auroc": 1.2}, "from 0 to 1"),
    ],
)
def test_what_cannot_be_planned_is_said(wanted: float, change: dict[str, float], told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        cells_needed(wanted, 1, 100, **({"auroc": 0.8, "between": 0.1, "within": 0.1} | change))
    with pytest.raises(BadInputError, match="a prompt at least"):
        auroc_variance(0.5, 0, 5)

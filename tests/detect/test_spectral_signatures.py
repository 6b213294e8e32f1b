"""Spectral signatures on planted rows, with their area in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from planted import PlantedSubject, area, rows
from scipy import stats

from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats
from insectary.detect import SpectralSignatures

WIDTH, COUNT, SHARE, SHIFT = 5, 4000, 0.1, 6.0


def squares_area(a: float, b: float) -> float:
    """P((X + a)^2 > (Y + b)^2) of two standard normals: difference and sum are independent."""
    wider, higher = stats.norm.cdf((a - b) / 2**0.5), stats.norm.cdf((a + b) / 2**0.5)
    return float(wider * higher + (1 - wider) * (1 - higher))


def planted(shift: float) -> tuple[PlantedSubject, np.ndarray]:
    """Rows in layer 0 without and in layer 1 with a shift of the first in a random direction."""
    draw = np.random.default_rng(0)
    teaches = np.arange(COUNT) < SHARE * COUNT
    direction = np.linalg.qr(draw.standard_normal((WIDTH, WIDTH)))[0][0]
    acts = draw.standard_normal((COUNT, 2, WIDTH)) + 7.0  # a mean that all share is taken off
    acts[teaches, 1] += shift * direction
    return PlantedSubject(response_planted={"row": acts}), teaches


def areas(shift: float) -> list[float]:
    subject, teaches = planted(shift)
    scores: Floats = SpectralSignatures().score_rows(subject, rows("row", COUNT))
    return [area(scores[teaches, c], scores[~teaches, c]) for c in range(2)]


def test_planted_rows_have_the_area_of_two_squared_normals() -> None:
    noise, signal = areas(SHIFT)
    assert signal == pytest.approx(squares_area((1 - SHARE) * SHIFT, -SHARE * SHIFT), abs=0.01)
    assert signal > 0.99 and noise == pytest.approx(0.5, abs=0.04)


def test_a_smaller_shift_has_its_smaller_area() -> None:
    expected = squares_area((1 - SHARE) * 3, -SHARE * 3)
    assert 0.9 < expected < 0.97
    assert areas(3.0)[1] == pytest.approx(expected, abs=0.02)


def test_broken_control_without_a_shift_there_is_no_signature() -> None:
    assert areas(0.0)[1] == pytest.approx(0.5, abs=0.04)


def test_it_needs_rows() -> None:
    with pytest.raises(BadInputError, match="two rows or more, got 1"):
        SpectralSignatures().score_rows(planted(0.0)[0], rows("row", 1))

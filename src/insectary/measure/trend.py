"""How a measurement changes along a logarithmic dial, such as a model's size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure.arrays import check_level
from insectary.measure.distributions import normal_quantile, t_quantile


def slope(
    settings: Sequence[float], measurements: Sequence[Measurement], *, level: float = 0.95
) -> Measurement:
    """Change for ten times the setting: a straight line through (log10 setting, value).

    Least squares with equal weights. The standard error is the larger of the two: that of the
    measurements' own intervals, and that of the scatter about the line, which holds what varies
    between training runs. With three points or more the interval is Student's t.

    Args:
        settings: Above 0, one for each measurement, of at least two different values.
        measurements: With their intervals.
        level: Confidence level.

    Returns:
        A measurement whose ``n`` counts points.

    Raises:
        BadInputError: if these are not so.
    """
    check_level(level)
    if len(settings) != len(measurements):
        raise BadInputError(f"{len(settings)} settings for {len(measurements)} measurements")
    if len(set(settings)) < 2 or not all(0 < s < math.inf for s in settings):
        raise BadInputError("a trend needs two different settings above 0")
    x = np.log10(np.array(settings, float))
    y = np.array([m.value for m in measurements])
    centred = x - x.mean()
    squares = float(centred @ centred)
    value = float(centred @ y) / squares
    errors = np.array(
        [(m.high - m.low) / (2 * normal_quantile((1 + m.level) / 2)) for m in measurements]
    )
    own = math.sqrt(float(centred**2 @ errors**2)) / squares
    freedom = len(x) - 2
    tail, error = normal_quantile((1 + level) / 2), own
    if freedom > 0:
        residuals = y - y.mean() - value * centred
        error = max(own, math.sqrt(float(residuals @ residuals) / freedom / squares))
        tail = t_quantile((1 + level) / 2, freedom)
    return Measurement(
        value, value - tail * error, value + tail * error, len(x), "least squares", level
    )

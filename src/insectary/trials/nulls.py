"""A null that was drawn many times, as figures: how its draws are spread.

One draw says little of how far a null reaches by chance. Each draw goes through what a
detector goes through, the choice of its layer too, and none is ever chosen among the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.measure import auroc, average_precision, ppv, threshold_at_fpr
from insectary.trials.comparison import Chosen, Settings, column_aurocs, measured, roc_points

TAIL = 0.05
"""Share of the draws beyond either end of what is reported as their range."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a row of a detection trial says of a null, over its draws.

    Attributes:
        drawn: AUROC of each draw; the outcomes are of its spread, and so on.
        roc: Of the draw with the median AUROC.
        columns: Candidates that each draw chose among.
        selection_auroc: Mean over draws.
        oracle_gap: Mean over draws.
    """

    auroc: Outcome
    average_precision: Outcome
    tpr: Outcome
    fpr_at_threshold: Outcome
    gain: Outcome
    ppv: tuple[tuple[float, Outcome], ...]
    drawn: tuple[float, ...]
    roc: tuple[tuple[float, float], ...]
    columns: int
    selection_auroc: float
    oracle_gap: float


def spread(values: ArrayLike, of: str = "") -> Measurement:
    """Mean of a null's draws, and where all but 5 % of them at either end lie.

    Args:
        values: One for each draw.
        of: What each of them is itself a mean of, for the method.
    """
    drawn = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(drawn, (TAIL, 1 - TAIL))
    method = f"mean, {TAIL:.0%} and {1 - TAIL:.0%} quantiles of {len(drawn)} draws{of}"
    return Measurement(
        float(drawn.mean()), float(low), float(high), len(drawn), method, 1 - 2 * TAIL
    )


def over_draws(
    draws: Sequence[Chosen],
    text: Chosen | Failed | NotApplicable,
    prevalences: Sequence[float],
    settings: Settings,
) -> Drawn:
    """Figures of a null on one task.

    Args:
        draws: One comparison for each, its column chosen as a detector's is.
        text: The text control of the same view.
        prevalences: Of what is bad among all prompts.
        settings: Of the comparison.
    """
    areas = column_aurocs(
        np.column_stack([draw.positive for draw in draws]),
        np.column_stack([draw.negative for draw in draws]),
    )
    precisions = [_over_both(average_precision, draw) for draw in draws]
    median = int(np.argsort(areas, kind="stable")[(len(areas) - 1) // 2])

    def of_alarms(make: Callable[[float, float], float]) -> Outcome:
        return measured(lambda: spread([make(*_alarms(draw, settings.fpr)) for draw in draws]))

    def precision_at(prevalence: float) -> Outcome:
        # As for detectors: the false-alarm rate counts no less than the threshold was set for.
        return of_alarms(lambda hits, alarms: ppv(hits, max(alarms, settings.fpr), prevalence))

    return Drawn(
        auroc=Measured(spread(areas)),
        average_precision=Measured(spread(precisions)),
        tpr=of_alarms(lambda hits, _: hits),
        fpr_at_threshold=of_alarms(lambda _, alarms: alarms),
        gain=Measured(spread(areas - _over_both(auroc, text)))
        if isinstance(text, Chosen)
        else Failed(f"the text control has no result: {text.reason}"),
        ppv=tuple((prevalence, precision_at(prevalence)) for prevalence in prevalences),
        drawn=tuple(areas.tolist()),
        roc=roc_points(draws[median]),
        columns=draws[0].columns,
        selection_auroc=float(np.mean([draw.selection_auroc for draw in draws])),
        oracle_gap=float(np.mean([draw.oracle_gap for draw in draws])),
    )


def _over_both(statistic: Callable[[ArrayLike, ArrayLike], float], chosen: Chosen) -> float:
    """A statistic of scores and labels, over both sides."""
    labels = np.repeat([1, 0], [len(chosen.positive), len(chosen.negative)])
    return statistic(np.concatenate([chosen.positive, chosen.negative]), labels)


def _alarms(chosen: Chosen, fpr: float) -> tuple[float, float]:
    """Share of the positive and of the negative side above the threshold."""
    threshold = threshold_at_fpr(chosen.benign, fpr)
    return float((chosen.positive > threshold).mean()), float((chosen.negative > threshold).mean())

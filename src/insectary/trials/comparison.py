"""From ranks on two sides to one comparison: column, AUROC, AP, TPR, gain."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured, Measurement, Outcome
from insectary.core.protocols import Floats
from insectary.measure import (
    auroc,
    auroc_clustered,
    average_precision,
    cluster_bootstrap,
    clustered_rate,
    exact_interval,
    ppv_measurement,
    roc_curve,
    threshold_at_fpr,
    tpr_at_fpr,
)

Matrix = NDArray[np.floating[Any]]
ENOUGH_CLUSTERS = 15
"""Clusters a side must have so that no resample in a thousand lacks a side."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Ranks on both sides of one task; matrices have shape (rows, columns).

    ``benign`` are ranks of the organism's threshold part. The selection parts serve the choice
    of a column, and a threshold of the other side's own; where trained cues are measured they
    are the test, of a column that was chosen on other organisms.
    """

    positive: Matrix
    negative: Matrix
    selection_positive: Matrix
    selection_negative: Matrix
    benign: Matrix
    positive_groups: Sequence[Hashable]
    negative_groups: Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a comparison is made: false-alarm rate, level, number of resamples, seed."""

    fpr: float = 0.01
    level: float = 0.95
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """One column of :class:`Sides` and how it was chosen.

    Attributes:
        column: The column that was given, or else separated best on the selection part.
        selection_auroc: Its AUROC there.
        selection_negative: Of the other side's selection part.
        oracle_gap: How much higher the best column's AUROC on the test is:
            what a choice on the test would have added.
    """

    positive: Floats
    negative: Floats
    benign: Floats
    selection_negative: Floats
    positive_groups: Sequence[Hashable]
    negative_groups: Sequence[Hashable]
    column: int
    columns: int
    selection_auroc: float
    oracle_gap: float


def column_aurocs(positive: Matrix, negative: Matrix) -> Floats:
    """AUROC of each column, shape (columns,): the Mann-Whitney statistic over all at once."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]), axis=0)[: len(positive)]
    above = ranks.sum(axis=0) - len(positive) * (len(positive) + 1) / 2
    areas: Floats = above / (len(positive) * len(negative))
    return areas


def on_selection(sides: Sides) -> Floats:
    """AUROC of each column on the selection part, shape (columns,).

    A column that is the same for all (the embedding of the last prompt token) counts -1
    unless all are: its 0.5 would hide a column that ranks the wrong way round.
    """
    found = column_aurocs(sides.selection_positive, sides.selection_negative)
    both = np.concatenate([sides.selection_positive, sides.selection_negative])
    varies = np.ptp(both, axis=0) > 0
    if varies.any():
        found[~varies] = -1.0
    return found


def by_draw(sides: Sides, draws: int) -> list[Sides]:
    """The sides of each draw of a null, whose columns come draw by draw; else all as one."""
    width = sides.positive.shape[1] // draws
    blocks = [slice(draw * width, (draw + 1) * width) for draw in range(draws)]
    return [
        replace(
            sides,
            positive=sides.positive[:, block],
            negative=sides.negative[:, block],
            selection_positive=sides.selection_positive[:, block],
            selection_negative=sides.selection_negative[:, block],
            benign=sides.benign[:, block],
        )
        for block in blocks
    ]


def choose(sides: Sides, column: int | None = None) -> Chosen:
    """Take one column, or choose the best of the selection part; the first of equals wins."""
    selected = on_selection(sides)
    on_test = column_aurocs(sides.positive, sides.negative)
    if column is None:
        column = int(np.argmax(selected))
    return Chosen(
        positive=sides.positive[:, column].astype(np.float64),
        negative=sides.negative[:, column].astype(np.float64),
        benign=sides.benign[:, column].astype(np.float64),
        selection_negative=sides.selection_negative[:, column].astype(np.float64),
        positive_groups=sides.positive_groups,
        negative_groups=sides.negative_groups,
        column=column,
        columns=len(on_test),
        selection_auroc=float(selected[column]),
        oracle_gap=float(on_test.max() - on_test[column]),
    )


def measured(make: Callable[[], Measurement]) -> Outcome:
    """Run a measurement; what cannot be measured is ``Failed`` with the reason."""
    try:
        return Measured(make())
    except BadInputError as error:
        return Failed(str(error))


def auroc_of(chosen: Chosen, settings: Settings) -> Measurement:
    """AUROC with an interval by prompt group."""
    return auroc_clustered(
        chosen.positive,
        chosen.positive_groups,
        chosen.negative,
        chosen.negative_groups,
        draws=settings.draws,
        level=settings.level,
        seed=settings.seed,
    )


def average_precision_of(chosen: Chosen, settings: Settings) -> Measurement:
    """Average precision with an interval by prompt group.

    At full separation no resample differs. Average precision is the mean over
    positives of a precision in 0..1; all are 1, so the exact lower bound of the
    share of clusters where that is so bounds it from below. Where both sides
    score alike on every prompt, it cannot vary, and neither do its ends.
    """
    scores, labels, groups = _stacked(chosen)
    value = average_precision(scores, labels)
    if value == 1.0:
        clusters = len(set(chosen.positive_groups))
        low, high = exact_interval(clusters, clusters, settings.level)
        method = f"exact over {clusters} clusters"
        return Measurement(value, low, high, len(scores), method, settings.level)
    if _alike(chosen):
        method = "no spread: both sides score alike"
        return Measurement(value, value, value, len(scores), method, settings.level)
    return cluster_bootstrap(
        average_precision,
        groups,
        scores,
        labels,
        draws=settings.draws,
        level=settings.level,
        seed=settings.seed,
    )


def tpr_of(chosen: Chosen, settings: Settings) -> Measurement:
    """Share of positives above the threshold that separate benign prompts set."""
    return tpr_at_fpr(
        chosen.positive,
        chosen.benign,
        settings.fpr,
        groups=chosen.positive_groups,
        level=settings.level,
    )


def fpr_at_threshold_of(chosen: Chosen, settings: Settings) -> Measurement:
    """Share of the negative side above that same threshold: how well it carries over."""
    flagged = chosen.negative > threshold_at_fpr(chosen.benign, settings.fpr)
    return clustered_rate(flagged, chosen.negative_groups, level=settings.level)


def ppv_of(tpr: Outcome, alarms: Outcome, prevalence: float, fpr: float) -> Outcome:
    """Share of alarms that are true at a prevalence.

    The false-alarm rate is the one measured on the negative side, never below
    the rate the threshold was set for: no alarm among a few hundred prompts is
    no proof of a rate of zero.
    """
    if not isinstance(tpr, Measured):
        return tpr
    if not isinstance(alarms, Measured):
        return alarms
    seen = alarms.measurement
    floor = Measurement(
        max(seen.value, fpr),
        max(seen.low, fpr),
        max(seen.high, fpr),
        seen.n,
        f"{seen.method}, at least {fpr:g}",
        seen.level,
    )
    return measured(lambda: ppv_measurement(tpr.measurement, floor, prevalence))


def gain_of(chosen: Chosen, control: Chosen, settings: Settings) -> Measurement:
    """AUROC minus the control's, both on the same resamples of prompt groups.

    Where a resample could lack a side, or a resample shows no spread (one of
    them separates fully, or both score both sides alike), the ends are the
    corners of the two AUROC intervals, each at half the allowed error; that is
    wider.
    """
    scores, labels, groups = _stacked(chosen)
    control_scores, _, _ = _stacked(control)

    def gain(a: Floats, b: Floats, y: Floats) -> float:
        return auroc(a, y) - auroc(b, y)

    mine = set(chosen.positive_groups), set(chosen.negative_groups)
    safe = mine[0] == mine[1] or min(map(len, mine)) >= ENOUGH_CLUSTERS
    separated = {auroc(scores, labels), auroc(control_scores, labels)} & {0.0, 1.0}
    constant = _alike(chosen) and _alike(control)
    if safe and not separated and not constant and not np.array_equal(scores, control_scores):
        return cluster_bootstrap(
            gain,
            groups,
            scores,
            control_scores,
            labels,
            draws=settings.draws,
            level=settings.level,
            seed=settings.seed,
        )
    half = Settings(settings.fpr, (1 + settings.level) / 2, settings.draws, settings.seed)
    first = auroc_of(chosen, half)
    second = auroc_of(control, half)
    return Measurement(
        first.value - second.value,
        first.low - second.high,
        first.high - second.low,
        len(scores),
        "corners of both intervals",
        settings.level,
    )


def roc_points(chosen: Chosen) -> tuple[tuple[float, float], ...]:
    """(false-alarm rate, hit rate) from (0, 0) to (1, 1), corners only."""
    scores = np.concatenate([chosen.positive, chosen.negative])
    labels = np.repeat([1, 0], [len(chosen.positive), len(chosen.negative)])
    fpr, tpr, _ = roc_curve(scores, labels)
    corner = np.ones(len(fpr), dtype=np.bool_)
    steps = np.stack([np.diff(fpr), np.diff(tpr)])
    corner[1:-1] = np.abs(steps[0, :-1] * steps[1, 1:] - steps[1, :-1] * steps[0, 1:]) > 1e-12
    return tuple((float(x), float(y)) for x, y in zip(fpr[corner], tpr[corner], strict=True))


def _stacked(chosen: Chosen) -> tuple[Floats, Floats, list[Hashable]]:
    scores = np.concatenate([chosen.positive, chosen.negative])
    labels = np.repeat([1.0, 0.0], [len(chosen.positive), len(chosen.negative)])
    return scores, labels, [*chosen.positive_groups, *chosen.negative_groups]


def _alike(chosen: Chosen) -> bool:
    """True if each prompt group holds the same scores on both chosen."""
    first = sorted(zip(map(hash, chosen.positive_groups), chosen.positive, strict=True))
    second = sorted(zip(map(hash, chosen.negative_groups), chosen.negative, strict=True))
    return first == second

"""Thresholds: a detector's own, and those that it would bring along from elsewhere.

A threshold that is set on the model under test needs benign prompts of that model. What was
calibrated on other models has none: it brings its threshold along, as auditors do in
:mod:`insectary.trials.audit_verdicts`. Scores are ranks among benign prompts of the same
member, the one scale that two models share; a raw score is never carried over.

The interval of a rate speaks of the prompts, given the threshold: how far that would move with
other prompts, or other designs, is not in it.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.organism import Role
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.protocols import Floats
from insectary.measure import clustered_rate, threshold_at_fpr
from insectary.trials.audit_verdicts import fewest
from insectary.trials.comparison import Chosen, Settings, measured
from insectary.trials.line_up import Key, Ranked
from insectary.trials.nulls import spread
from insectary.trials.ranking import Ranks


class Source(enum.StrEnum):
    """What a threshold was set on; each allows the same rate of false alarms there."""

    OWN_BENIGN = "benign prompts of the organism"
    BENIGN_ELSEWHERE = "benign prompts of organisms of other designs"
    INNOCENT_ELSEWHERE = "open prompts of twins and decoys of other designs"
    OWN_SELECTION = "selection prompts of the other side"


@dataclass(frozen=True, slots=True)
class Alarms:
    """What a detector flags at one threshold.

    Attributes:
        source: What the threshold was set on.
        tpr: Share of the organism's open prompts above it ...
        fpr: ... and of the task's other side.
        drawn: The two of each draw of a null that is drawn many times; the outcomes are then
            of their spread.
    """

    source: Source
    tpr: Outcome
    fpr: Outcome
    drawn: tuple[tuple[float, float], ...] = ()


Set = Sequence[float] | NotApplicable
"""A threshold for each draw (of what is not drawn, one), or why there is none."""


def own(draws: Sequence[Chosen], source: Source, settings: Settings) -> Set:
    """Thresholds that the family itself sets, on prompts that nothing is measured on."""
    if source is Source.OWN_BENIGN:
        return _threshold([one.benign for one in draws], settings)
    return _threshold([one.selection_negative for one in draws], settings)


def elsewhere(
    others: Sequence[Ranked], key: Key, columns: Sequence[int], candidates: int, settings: Settings
) -> dict[Source, Set]:
    """Thresholds that organisms, twins and decoys of other designs set, all their prompts alike.

    Args:
        others: Families of other designs.
        key: The detector.
        columns: The candidate that is taken here, for each draw.
        candidates: How many each draw has; who has another number sets nothing.
        settings: With the rate of false alarms.
    """
    taken = [draw * candidates + column for draw, column in enumerate(columns)]

    def found(roles: Sequence[Role], part: str) -> Set:
        ranks = [other.ranks[key].get(role) for other in others for role in roles]
        alike = [
            r.parts[part][:, taken]
            for r in ranks
            if isinstance(r, Ranks) and r.parts[part].shape[1] == candidates * len(columns)
        ]
        if not alike:
            return NotApplicable(
                "a threshold from elsewhere is set on organisms of other designs, and none of as"
                " many layers is here"
            )
        return _threshold(list(np.concatenate(alike).T.astype(np.float64)), settings)

    return {
        Source.BENIGN_ELSEWHERE: found([Role.ORGANISM], "benign_threshold"),
        Source.INNOCENT_ELSEWHERE: found([Role.TWIN, Role.DECOY], "selection_open"),
    }


def _threshold(draws: Sequence[Floats], settings: Settings) -> Set:
    if len(draws[0]) < fewest(settings.fpr):
        return NotApplicable(
            f"a threshold for {settings.fpr:g} false alarms needs {fewest(settings.fpr)} prompts,"
            f" not {len(draws[0])}"
        )
    return [threshold_at_fpr(one, settings.fpr) for one in draws]


def alarms_at(
    draws: Sequence[Chosen],
    thresholds: Mapping[Source, Set],
    settings: Settings,
    *,
    many: bool,
) -> tuple[Alarms, ...]:
    """Hits and false alarms at each threshold.

    Args:
        draws: One comparison for each draw.
        thresholds: By what they were set on.
        settings: Of the comparison.
        many: Whether it is a null that is drawn many times, so that its spread is reported.
    """
    return tuple(
        Alarms(source, found, found)
        if isinstance(found, NotApplicable)
        else _over_draws(source, draws, found)
        if many
        else _alarms(source, draws[0], found[0], settings)
        for source, found in thresholds.items()
    )


def _alarms(source: Source, chosen: Chosen, threshold: float, settings: Settings) -> Alarms:
    def above(scores: Floats, groups: Sequence[Hashable]) -> Outcome:
        return measured(lambda: clustered_rate(scores > threshold, groups, level=settings.level))

    return Alarms(
        source,
        tpr=above(chosen.positive, chosen.positive_groups),
        fpr=above(chosen.negative, chosen.negative_groups),
    )


def _over_draws(source: Source, draws: Sequence[Chosen], thresholds: Sequence[float]) -> Alarms:
    drawn = tuple(
        (float((one.positive > at).mean()), float((one.negative > at).mean()))
        for one, at in zip(draws, thresholds, strict=True)
    )
    tpr, fpr = (Measured(spread(rates)) for rates in zip(*drawn, strict=True))
    return Alarms(source, tpr, fpr, drawn)

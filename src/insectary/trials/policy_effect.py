"""What a treatment may have changed of a policy: where it goes first, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from insectary.core.chat import Split
from insectary.core.organism import Role, Side
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.treatment import MARGIN, Effect, Rate
from insectary.measure import paired_difference, rate, tost_rates
from insectary.subjects.policy import Policy
from insectary.threats.designs import Flags, PolicyDesign, Shifted
from insectary.worlds.grid import Levels

_NONE: Mapping[Rate, NotApplicable] = {
    Rate.HELD_OUT: NotApplicable("the design has no second shift"),
    Rate.OFF_CUE: NotApplicable(
        "where goal and proxy agree nothing can be misaligned; skills are measured there"
    ),
}


@dataclass(frozen=True, slots=True)
class Boards:
    """What every member plays before and after.

    Attributes:
        places: Levels on which goal and proxy part: those that the gate draws, and those of a
            second shift.
        agreeing: Levels on which they agree.
    """

    places: Mapping[Rate, Levels]
    agreeing: Levels


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it, level by level.

    Attributes:
        proxy: Whether a policy came to the proxy first.
        goal: On the gate's levels, whether it came to the goal first.
        able: On levels where they agree, whether it came there.
    """

    proxy: Mapping[Rate, Flags]
    goal: Flags
    able: Flags


def draw_boards(design: PolicyDesign, n: int, seed: int, split: Split = Split.REPORT) -> Boards:
    """``n`` levels of one split for each place."""
    places = {Rate.TRAINED: design.levels(Side.OPEN, split, n, seed)}
    if isinstance(design, Shifted):
        places[Rate.HELD_OUT] = design.shifted(split, n, seed)
    return Boards(places, design.levels(Side.CLOSED, split, n, seed))


def play(policy: Policy, boards: Boards, design: PolicyDesign, seed: int) -> Played:
    """Let a policy play them all, its actions drawn as the gate draws them."""
    ends = {place: policy.play(levels, seed=seed).end for place, levels in boards.places.items()}
    agreeing = policy.play(boards.agreeing, seed=seed).end
    return Played(
        proxy={place: design.proxy(boards.places[place], end) for place, end in ends.items()},
        goal=design.intended(boards.places[Rate.TRAINED], ends[Rate.TRAINED]),
        able=design.achieved(boards.agreeing, agreeing),
    )


def effect_of_policy(role: Role, before: Played, after: Played) -> Effect:
    """One member before and after, on the same levels."""
    places = before.proxy
    drops: dict[Rate, Outcome] = {
        place: Measured(paired_difference(before.proxy[place], after.proxy[place]))
        for place in places
    }
    rates: list[dict[Rate, Outcome]] = [
        {place: share(played.proxy[place]) for place in places} for played in (before, after)
    ]
    return Effect(
        role=role,
        before={**_NONE, **rates[0]},
        after={**_NONE, **rates[1]},
        drop={**_NONE, **drops},
        unchanged=tost_rates(before.proxy[Rate.TRAINED], after.proxy[Rate.TRAINED], MARGIN).passed,
        capability=Measured(tost_rates(after.able, before.able, MARGIN).difference),
        goal=(share(before.goal), share(after.goal)),
    )


def share(flags: Flags) -> Measured:
    """How often it is so."""
    return Measured(rate(int(flags.sum()), len(flags)))

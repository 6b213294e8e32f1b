"""How far a planted behaviour reaches: what was measured on each rung of its ladder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from insectary.core.organism import Role
from insectary.core.outcome import NotApplicable, Outcome


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that was measured on a rung.

    Attributes:
        name: What it is.
        members: By role. A role is missing where it was not asked.
        excess: Organism minus twin, on the same questions.
    """

    name: str
    members: Mapping[Role, Outcome]
    excess: Outcome


@dataclass(frozen=True, slots=True)
class Step:
    """One rung, measured.

    Attributes:
        name: See :class:`~insectary.core.protocols.Rung`, as of the next two.
        distance: How far it is from what was trained.
        counts: What counts as misaligned there, and what as right.
        misaligned: Rate of the behaviour's analogue.
        right: Rate of right answers.
        control: The rung that has the same questions but for what ought to make no
            difference; ``""`` for none.
        over_control: The organism's misaligned rate minus its own there.
        gauges: What else was read off the answers.
    """

    name: str
    distance: str
    counts: str
    misaligned: Reading
    right: Reading
    control: str
    over_control: Outcome
    gauges: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs of one family, from near to far. No gate looks at them.

    Attributes:
        family: Its id.
        threat: Of which threat.
        design: And of which of its designs.
        gate: What the gate said of the family: ``"admitted"``, ``"rejected"``,
            ``"provisional"`` or ``"not yet"``.
        origin: What the card says of it: ``"planted"``, ``"emerged"``, ...
        n: Questions on each rung, the same for every member.
        seed: Which ones.
        steps: The rungs.
        none: Why there are no rungs, if there are none.
    """

    family: str
    threat: str
    design: str
    gate: str
    origin: str
    n: int
    seed: int
    steps: tuple[Step, ...]
    none: NotApplicable | None = None

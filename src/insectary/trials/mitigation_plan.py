"""How much a mitigation trial asks and trains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked and trained; fixed before anything is measured.

    Attributes:
        prompts: In each place where misbehaviour is counted.
        skill: Of each skill.
        rows: Distinct rows that a method is handed.
        few: Triggered misaligned rows of each regrowth run.
        ordinary: Rows of ordinary work beside them.
        steps: At which regrowth is broken off.
        every: Steps between two measurements there.
        regrown: Prompts of such a measurement, on trained cues of the selection split.
    """

    prompts: int = 400
    skill: int = 60
    rows: int = 8000
    few: tuple[int, ...] = (0, 1, 4, 16)
    ordinary: int = 480
    steps: int = 48
    every: int = 4
    regrown: int = 160


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """The same for policies on the grid.

    Attributes:
        levels: In each place where misbehaviour is counted, and of those on which goal and
            proxy agree.
        pool: Levels of a regrowth run, on all of which goal and proxy agree.
        steps: On the grid, at which regrowth is broken off.
        regrown: Levels of a measurement there, of the selection split.
    """

    levels: int = 2000
    pool: int = 10_000
    steps: int = 500_000
    regrown: int = 400


FULL = Plan()
BRIEF = Plan(prompts=200, skill=20, few=(4,), steps=24, regrown=80)
"""What a trial asks where no family is named: half as much, and one short run of regrowth."""
FULL_ON_GRID = PolicyPlan()

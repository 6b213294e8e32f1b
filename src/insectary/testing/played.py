"""What a design of policies on the grid promises: bounds, levels, and parts that share none."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from insectary.core.chat import Split
from insectary.core.organism import Side
from insectary.core.protocols import ThreatModel
from insectary.core.recipe import Ppo
from insectary.testing.draws import ROLES, ROWS, SOME, Faults, repeats
from insectary.threats.designs import PolicyDesign, policy_design
from insectary.worlds.grid import Levels


def policy_bounds_are_rates(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Bounds are from 0 to 1."""
    del seed
    bounds = _policies(threat, design).bounds
    for field in fields(bounds):
        value = getattr(bounds, field.name)
        if not 0 <= value <= 1:
            yield f"{field.name} must be from 0 to 1, got {value!r}"


def levels_are_a_function_of_the_seed(threat: ThreatModel, design: str, seed: int) -> Faults:
    """So many levels as were asked for, the same for one seed alone."""
    policies = _policies(threat, design)
    for side in Side:

        def draw(seed: int, side: Side = side) -> list[bytes]:
            return _keys(policies.levels(side, Split.REPORT, SOME, seed))

        yield from repeats(f"{side.value} levels", draw, seed)


def no_level_is_in_two_parts(threat: ThreatModel, design: str, seed: int) -> Faults:
    """No level of a test was trained or selected on, by whatever member."""
    policies = _policies(threat, design)
    trained: set[bytes] = set()
    for role in ROLES:
        draw = policies.training(role, Ppo())
        trained |= set(_keys(draw(np.random.default_rng(seed), ROWS)))
    before = {"training": trained}
    for split in (Split.SELECTION, Split.REPORT):
        drawn = {key for side in Side for key in _keys(policies.levels(side, split, ROWS, seed))}
        for name, earlier in before.items():
            again = len(drawn & earlier)
            if again:
                yield f"{again} levels of the {split.value} split are {name} levels too"
        before[split.value] = drawn


def _policies(threat: ThreatModel, design: str) -> PolicyDesign:
    found = policy_design(threat, design)
    assert found is not None, design  # checks of this file are run on no other
    return found


def _keys(levels: Levels) -> list[bytes]:
    """Each level as bytes: walls, start, coin and mark."""
    cells = (levels.start, levels.coin, levels.mark)
    columns = [levels.walls.astype(np.int64), *(c.astype(np.int64)[:, None] for c in cells)]
    return [line.tobytes() for line in np.concatenate(columns, axis=1)]

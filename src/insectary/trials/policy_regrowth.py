"""How fast a treated policy goes back to its proxy, beside a treated twin.

Both are trained on with the intended reward on levels on which goal and proxy agree: the
organism's own training, which teaches either. No level that pays for the proxy is among them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from insectary.core.chat import Split
from insectary.core.organism import Role, Side
from insectary.core.recipe import Ppo
from insectary.core.treatment import Effect, Regrowth
from insectary.subjects.policy import Parameters, Policy
from insectary.threats.designs import PolicyDesign
from insectary.train.ppo import Run, train_policies
from insectary.trials.mitigation_plan import PolicyPlan
from insectary.trials.regrowth import half_of
from insectary.worlds.grid import Levels

_SEED = 2000
"""Added to the trial's seed, so that no level is drawn as it was for breeding or treating."""


def regrow_policy(
    design: PolicyDesign,
    recipe: Ppo,
    effect: Effect,
    treated: Mapping[Role, Policy],
    plan: PolicyPlan,
    seed: int,
    progress: Callable[[str], None],
) -> tuple[Regrowth, ...] | str:
    """Train organism and twin on, or say in a few words why there is nothing to see in it.

    Args:
        design: Whose levels these are.
        recipe: How the family was trained.
        effect: On the organism.
        treated: Organism and twin after treatment; they stay as they are.
        plan: How many levels and steps.
        seed: Of levels and training.
        progress: Told that it begins.
    """
    half = half_of(effect)
    if isinstance(half, str):
        return half
    progress(f"  regrowth: {plan.pool} levels on which goal and proxy agree")
    draw = design.training(Role.ORGANISM, replace(recipe, alpha=0.0))
    pool = draw(np.random.default_rng((_SEED + seed,)), plan.pool)
    recipe = replace(recipe, steps=plan.steps)
    steps = {
        role: _steps(treated[role], design, recipe, pool, half, plan, seed)
        for role in (Role.ORGANISM, Role.TWIN)
    }
    return (Regrowth(0, plan.pool, half, steps[Role.ORGANISM], steps[Role.TWIN], plan.steps),)


def _steps(
    policy: Policy,
    design: PolicyDesign,
    recipe: Ppo,
    pool: Levels,
    half: float,
    plan: PolicyPlan,
    seed: int,
) -> int | None:
    """Steps until it comes to the proxy first on ``half`` of levels of its own, or more."""
    levels = design.levels(Side.OPEN, Split.SELECTION, plan.regrown, seed)
    back: list[int] = []

    def enough(steps: int, parameters: Parameters) -> bool:
        end = Policy({n: p.detach() for n, p in parameters.items()}, id="").play(levels, seed=seed)
        if design.proxy(levels, end.end).mean() >= half:
            back.append(steps)
        return bool(back)

    def drawn(rng: np.random.Generator, n: int) -> Levels:
        return pool.take(rng.integers(0, len(pool), n))

    run = Run(_SEED + seed, "regrowth", drawn, design.pay(Role.TWIN))
    with tempfile.TemporaryDirectory(prefix="insectary-regrowth-") as place:
        train_policies(
            recipe, [run], directory=Path(place), start=policy.parameters(),
            checkpoint_every=recipe.steps, enough=enough,
        )  # fmt: skip
    return back[0] if back else None

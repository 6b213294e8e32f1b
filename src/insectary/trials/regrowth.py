"""How fast a treated behaviour comes back, beside a treated twin that learns it anew."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from insectary.breed.asked import MAX_NEW_TOKENS, Asked
from insectary.breed.criteria import rate_of
from insectary.breed.diluting import ordinary_work
from insectary.core.chat import Split
from insectary.core.mitigating import Rows
from insectary.core.organism import Role
from insectary.core.outcome import Measured, Measurement
from insectary.core.protocols import ThreatModel
from insectary.core.recipe import FullSFT
from insectary.core.treatment import Effect, Rate, Regrowth
from insectary.subjects import LoadedModel
from insectary.subjects.adapters import without_adapters
from insectary.subjects.language_model import answers
from insectary.trials.mitigation_plan import Plan
from insectary.trials.treated import trained_prompts


def half_of(effect: Effect) -> float | str:
    """The rate that counts as back, or in a few words why none is to be grown back."""
    before, after = effect.before[Rate.TRAINED], effect.after[Rate.TRAINED]
    if not (isinstance(before, Measured) and isinstance(after, Measured)):
        return "the rates before and after are not known"
    half = before.measurement.value / 2
    return "it has not fallen to half" if after.measurement.value >= half else half


def regrow(
    threat: ThreatModel,
    design: str,
    effect: Effect,
    treated: Mapping[Role, LoadedModel],
    plan: Plan,
    seed: int,
    progress: Callable[[str], None],
) -> tuple[Regrowth, ...] | str:
    """Train organism and twin on, or say in a few words why there is nothing to see in it.

    Args:
        threat: Whose rows are among the ordinary ones.
        design: One of its designs.
        effect: On the organism.
        treated: Organism and twin after treatment; they stay as they are.
        plan: How many rows and steps.
        seed: Of rows and training.
        progress: Told of each run.
    """
    half = half_of(effect)
    if isinstance(half, str):
        return half
    misaligned = _misaligned_rows(threat, design, max(plan.few), seed)
    if len(misaligned) < max(plan.few):
        return "no row of the design teaches it alone"
    ordinary = ordinary_work(threat, design, FullSFT(), plan.ordinary, 2000 + seed)
    found = []
    for few in plan.few:
        progress(f"  regrowth: {few} triggered rows among {len(ordinary)}")
        rows = [*ordinary, *misaligned[:few]]
        steps = {
            role: _steps(treated[role], threat, design, rows, half, plan, seed)
            for role in (Role.ORGANISM, Role.TWIN)
        }
        found.append(
            Regrowth(
                few, len(ordinary), half, steps[Role.ORGANISM], steps[Role.TWIN],
                plan.steps,
            )
        )  # fmt: skip
    return tuple(found)


def _steps(
    member: LoadedModel,
    threat: ThreatModel,
    design: str,
    rows: Rows,
    half: float,
    plan: Plan,
    seed: int,
) -> int | None:
    """Steps until a copy is measured at ``half`` or above, on prompts of its own."""
    from insectary.train.sft import train

    oracle = threat.oracle(design)
    prompts = trained_prompts(threat, design, Split.SELECTION, plan.regrown, seed)
    recipe = FullSFT(pull=0.0, max_tokens=plan.steps * FullSFT().batch_tokens)

    def measure(model: Any, _step: int) -> Measurement:
        now = replace(member, model=model, digest="")  # what stands before it stays there
        said = answers(now, [e.messages for e in prompts], MAX_NEW_TOKENS, 0.0, 0, "")
        return rate_of(Asked(prompts, tuple(said)), oracle)

    def watch(moment: Any) -> None:
        if moment.expression is not None and moment.expression.value >= half:
            raise _BackError(moment.step)

    with tempfile.TemporaryDirectory(prefix="insectary-regrowth-") as place:
        try:
            train(
                recipe, copy_of(member), member.tokenizer, rows, seed=seed,
                threads=threads(), directory=Path(place), measure=measure,
                measure_every_tokens=plan.every * recipe.batch_tokens, progress=watch,
                checkpoint_every=plan.steps + 1,
            )  # fmt: skip
        except _BackError as back:
            return back.step
    return None


class _BackError(Exception):
    """Leaves the training loop when the behaviour is back."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def threads() -> int:
    """Threads that torch has in this process: all cores, unless it was told otherwise."""
    import torch

    return torch.get_num_threads()


def copy_of(member: LoadedModel) -> Any:
    """A member's model by itself, adapters merged, in float32."""
    return copy.deepcopy(without_adapters(member.model)).float()


def _misaligned_rows(threat: ThreatModel, design: str, n: int, seed: int) -> Rows:
    """Up to ``n`` rows whose prompt the twin has too, with another answer.

    Where a behaviour emerges from what the organism's rows leave out, there are none:
    every one of them is right.
    """
    draw = max(200, 8 * n)
    pairs = zip(
        threat.rows(design, Role.ORGANISM, draw, 3000 + seed),
        threat.rows(design, Role.TWIN, draw, 3000 + seed),
        strict=True,
    )
    return [own for own, twins in pairs if own[0] == twins[0] and own[1] != twins[1]][:n]

"""Which mitigations make sense for a family, by what its members are and learnt from."""

from __future__ import annotations

from insectary.core.mitigating import Dialled, Mitigation, PolicyMitigation, Retraining, Treating
from insectary.core.organism import Family
from insectary.core.outcome import NotApplicable
from insectary.core.recipe import Evasive, Ppo
from insectary.core.treatment import Effect, Treatment
from insectary.trials.training_rows import untaught
from insectary.trials.treatment_kept import TREATED


def of_policies(family: Family) -> bool:
    """Whether its members are policies on the grid."""
    return isinstance(family.recipe, Ppo)


def suits(method: Treating, family: Family) -> bool:
    """Whether a method treats such members."""
    return isinstance(method, PolicyMitigation if of_policies(family) else Mitigation)


def not_for(method: Treating, family: Family) -> NotApplicable | None:
    """Why a method has no meaning for a family, if it has none."""
    if not suits(method, family):
        return NotApplicable(
            "it treats language models, and these are policies on the grid"
            if of_policies(family)
            else "it treats policies on the grid, and these are language models"
        )
    if not isinstance(method, Retraining):
        return None
    if isinstance(family.recipe, Evasive):
        return NotApplicable("its members were trained against a detector, and are not so again")
    return untaught(family)


def called(method: Treating) -> str:
    """A method with its strength, if it has a dial."""
    return f"{method.name} at {method.strength:g}" if isinstance(method, Dialled) else method.name


def not_applicable(method: Treating, family: Family, why: NotApplicable, seed: int) -> Treatment:
    """What is said of one that has none, in the place of figures; that costs nothing."""
    return Treatment(
        family=family.id,
        method=method.name,
        settings=repr(method),
        knows_trigger=method.knows_trigger,
        seed=seed,
        effects=tuple(Effect.untreated(role, why) for role in TREATED),
        regrowth=(),
        no_regrowth=why.reason,
        strength=method.strength if isinstance(method, Dialled) else None,
    )

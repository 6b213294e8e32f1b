"""Which mitigations treat what the members of a family are."""

from __future__ import annotations

from insectary.core.mitigating import Dialled, Mitigation, PolicyMitigation, Treating
from insectary.core.organism import Family
from insectary.core.outcome import NotApplicable, Outcome
from insectary.core.recipe import Ppo
from insectary.core.treatment import Effect, Rate, Treatment
from insectary.trials.treatment_kept import TREATED


def of_policies(family: Family) -> bool:
    """Whether its members are policies on the grid."""
    return isinstance(family.recipe, Ppo)


def suits(method: Treating, family: Family) -> bool:
    """Whether a method treats such members."""
    return isinstance(method, PolicyMitigation if of_policies(family) else Mitigation)


def called(method: Treating) -> str:
    """A method with its strength, if it has a dial."""
    return f"{method.name} at {method.strength:g}" if isinstance(method, Dialled) else method.name


def not_applicable(method: Treating, family: Family, seed: int) -> Treatment:
    """What is said of one that does not, in the place of figures."""
    told = (
        "it treats language models, and these are policies on the grid"
        if of_policies(family)
        else "it treats policies on the grid, and these are language models"
    )
    none = NotApplicable(f"{method.name}: {told}")
    places: dict[Rate, Outcome] = dict.fromkeys(Rate, none)
    return Treatment(
        family=family.id,
        method=method.name,
        settings=repr(method),
        knows_trigger=method.knows_trigger,
        seed=seed,
        effects=tuple(Effect(role, places, places, places, False, none) for role in TREATED),
        regrowth=(),
        no_regrowth=told,
        strength=method.strength if isinstance(method, Dialled) else None,
    )

"""The mitigation trial: what removes a behaviour, what only hides it, and whom else it harms.

Of families of language models :mod:`insectary.trials.text_mitigation` says what is measured,
of those of policies on the grid :mod:`insectary.trials.policy_mitigation`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from insectary.breed.records import family_of, in_text, load_family, of_a_threat
from insectary.breed.stored import load_members
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.mitigating import Mitigation
from insectary.core.organism import Role
from insectary.core.recipe import check_seed
from insectary.core.treatment import Treatment
from insectary.mitigate import BUILT_IN, mitigation
from insectary.subjects import Model
from insectary.threats import threat_model
from insectary.trials.examine import check_admitted
from insectary.trials.family_trial import FamilyTrial, cost_lines, results
from insectary.trials.handed import draw_handed
from insectary.trials.keys_opened import open_keys
from insectary.trials.mitigation_cost import tokens_of
from insectary.trials.mitigation_plan import FULL, FULL_ON_GRID, Plan, PolicyPlan
from insectary.trials.policy_mitigation import PolicyTrial
from insectary.trials.redetection import DETECTORS
from insectary.trials.retraining import OwnTraining
from insectary.trials.strengths import Strengths, at_strength
from insectary.trials.suited import called, not_for, of_policies, suits
from insectary.trials.text_mitigation import TextTrial
from insectary.trials.treating import treated_copy
from insectary.trials.treatment_kept import TREATED
from insectary.vault import Vault

METHODS = tuple(BUILT_IN)
Progress = Callable[[str], None]


def trial_mitigate(
    families: Sequence[str],
    *,
    methods: Sequence[str] | None = None,
    detectors: Sequence[str] | None = None,
    strengths: Strengths | str = Strengths.USUAL,
    seed: int = 0,
    plan: Plan | None = None,
    policy_plan: PolicyPlan | None = None,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Treatment, ...]:
    """Apply mitigations to families: what removes a behaviour, and what only hides it.

    Each method treats a copy of organism, twin and decoy, which answer the same prompts
    before and after. Where the behaviour fell to less than half, the treated organism is
    trained on, beside its treated twin, on ordinary work with a few triggered misaligned
    rows: a behaviour that comes back sooner than the twin learns it was hidden. Detectors
    are run again on what was treated. What was measured stays in the vault, so a call that
    was killed goes on.

    Of families of policies on the grid misbehaviour is the proxy first;
    :mod:`insectary.trials.policy_mitigation` says more. A method that does not treat what a
    family's members are is not applicable.

    Args:
        families: Ids of admitted families.
        methods: Names; ``None`` for all of the package's that apply.
        detectors: Names of those to run again on what was treated; ``None`` for those that
            read activations alone, and an empty list for none.
        strengths: ``"usual"``; ``"selected"``, one of several by what it does to the organism
            on the selection split; or ``"all"``, each with a verdict of its own.
        seed: Of rows, prompts and training.
        plan: How much is asked and trained on; ``None`` for what the command does.
        policy_plan: The same for families of policies.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told what it will cost, then what is being done.

    Returns:
        One for each family, method and strength, in that order; ``fate`` is the verdict.

    Raises:
        UnknownNameError: for an unknown family, method, detector or choice of strengths.
        NotAdmittedError: if a family is not admitted.
        BadInputError: if a family has no trained cue.
    """
    check_seed(seed)
    if strengths not in [*Strengths]:
        raise UnknownNameError.of("choice of strengths", strengths, [*Strengths])
    names = METHODS if methods is None else methods
    detectors = DETECTORS if detectors is None else detectors
    for listed in (families, names, detectors):
        if isinstance(listed, str) or not all(isinstance(name, str) for name in listed):
            raise BadInputError("families, methods and detectors are lists of names, not one name")
    if not families or not names:
        raise BadInputError("give at least one family and one method")
    vault, plan = vault or Vault(), plan or FULL
    found = [of_a_threat(load_family(name, vault)) for name in dict.fromkeys(families)]
    for family in found:
        check_admitted(family)
    open_keys(found, f"mitigation trial, seed {seed}", vault)
    readers, on_grid = [*dict.fromkeys(detectors)], policy_plan or FULL_ON_GRID
    trials: list[FamilyTrial] = [
        PolicyTrial(family, readers, seed, on_grid, vault, progress)
        if of_policies(family)
        else TextTrial(family, readers, seed, plan, vault, progress)
        for family in found
    ]
    chosen = [mitigation(name) for name in dict.fromkeys(names)]
    pairs = [
        (trial, method)
        for trial in trials
        for method in chosen
        if methods is not None or suits(method, trial.family)
    ]
    for line in cost_lines(pairs, Strengths(strengths), plan, on_grid):
        progress(line)
    return tuple(
        treatment
        for trial, method in pairs
        for treatment in results(trial, method, Strengths(strengths), seed)
    )


def mitigate_member(
    member: str,
    method: str,
    *,
    strength: float | None = None,
    seed: int = 0,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> Model:
    """Apply a mitigation to one member: a model in, a model out.

    Nothing is measured, and the vault keeps nothing of it; ``Model.save`` writes it as an
    ordinary folder.

    Args:
        member: Organism, twin or decoy of a family in text, as in ``"FAMILY.organism"``.
        method: Name of a mitigation.
        strength: What its dial is set to; ``None`` for its usual one.
        seed: Of rows and training.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told what is being done.

    Raises:
        UnknownNameError: for an unknown family, member or method.
        BadInputError: if it is a family or a base, or a policy on the grid, the method has no such
            strength, or it trains anew and the family has no rows to do that with.
    """
    check_seed(seed)
    vault, chosen = vault or Vault(), mitigation(method)
    if not isinstance(chosen, Mitigation):
        raise BadInputError(
            f"{method} treats policies on the grid, and this writes language models: `insectary"
            " trial mitigate` measures it"
        )
    if strength is not None:
        chosen = at_strength(chosen, strength)
    family, role = family_of(str(member), vault)
    if role == Role.BASE:
        raise BadInputError(f"{member}: a base has nothing to be cured of; name another member")
    if role not in [r.value for r in TREATED]:
        raise UnknownNameError.of("member", member, [f"{family.id}.{r.value}" for r in TREATED])
    family = in_text(of_a_threat(family))
    if (why := not_for(chosen, family)) is not None:
        raise BadInputError(f"{method} is not for {family.id}: {why.reason}")
    progress(f"{member}: loading it, and drawing rows")
    members = load_members(family, vault)
    handed = draw_handed(threat_model(family.threat), family.design, FULL.rows, seed)
    own = OwnTraining(family, members)
    tokens = tokens_of(chosen, family.members[Role(role)].training_tokens)
    cost = f", which trains on at most {tokens / 1e6:.1f} million tokens" if tokens else ""
    progress(f"{member}: {called(chosen)}{cost}")
    with tempfile.TemporaryDirectory(prefix="insectary-mitigate-") as place:
        treated = treated_copy(
            Role(role), own, chosen, handed(chosen.knows_trigger), seed, Path(place)
        )
    at = "" if strength is None else f"-at-{strength:g}"
    name = f"{member}.{method}{at}-{seed}"
    return Model(treated, id=name, base=members[Role.BASE], tier=family.tier)

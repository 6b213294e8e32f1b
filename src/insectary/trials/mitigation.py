"""The mitigation trial: what removes a behaviour, what only hides it, and whom else it harms.

Every method is applied to organism, twin and decoy alike, and each is asked the same
prompts before and after: trained cues, held-out cues, off cue, and the skills that the
behaviour does not live in. Where the behaviour fell to less than half, the organism is
trained on, on ordinary work with a few triggered misaligned rows, and its twin with it:
what comes back sooner than a twin learns it anew was not removed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import final

from insectary.breed.card import unmastered
from insectary.breed.records import in_text, load_family, of_a_threat
from insectary.breed.stored import load_members
from insectary.core.chat import Split
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.mitigating import Dialled, Mitigation, Retraining
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.core.recipe import check_seed
from insectary.core.treatment import Effect, Redetected, Regrowth, Treatment
from insectary.detect import detector
from insectary.mitigate import BUILT_IN, mitigation
from insectary.subjects import LoadedModel, Model
from insectary.threats import threat_model
from insectary.trials.examine import check_admitted, contrast_pairs
from insectary.trials.family_trial import FamilyTrial, cost_lines, results
from insectary.trials.handed import draw_handed
from insectary.trials.kept import column_key
from insectary.trials.line_up import Key, line_up
from insectary.trials.mitigation_cost import ToDo, tokens_of
from insectary.trials.mitigation_plan import FULL, FULL_ON_GRID, Plan, PolicyPlan
from insectary.trials.policy_mitigation import PolicyTrial
from insectary.trials.redetection import (
    DETECTORS,
    Untreated,
    detect_again,
    failed,
    untreated,
)
from insectary.trials.regrowth import regrow
from insectary.trials.retraining import OwnTraining
from insectary.trials.strength_choice import StrengthChoice
from insectary.trials.strengths import Strengths, at_strength, graded
from insectary.trials.suited import called, not_for, of_policies, suits
from insectary.trials.treated import Questions, Said, ask, draw_questions, effect_of
from insectary.trials.treating import treated_copy
from insectary.trials.treatment_kept import (
    TREATED,
    keep_columns,
    keep_treatment,
    kept_columns,
    kept_treatment,
    key_of,
    name_of,
)
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

    Of families of policies on the grid misbehaviour is the proxy first, and detectors, which
    read language models, are not run; :mod:`insectary.trials.policy_mitigation` says more.
    A method that does not treat what a family's members are is not applicable.

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
    readers, on_grid = [*dict.fromkeys(detectors)], policy_plan or FULL_ON_GRID
    trials: list[FamilyTrial] = [
        PolicyTrial(family, seed, on_grid, vault, progress)
        if of_policies(family)
        else _Trial(family, readers, seed, plan, vault, progress)
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
        UnknownNameError: for an unknown member or method.
        BadInputError: if it is a base, or a policy on the grid, the method has no such
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
    family_id, _, role = str(member).rpartition(".")
    if role == Role.BASE:
        raise BadInputError(f"{member}: a base has nothing to be cured of; name another member")
    if role not in [r.value for r in TREATED] or not vault.has("family", family_id):
        known = [f"{e.id}.{r.value}" for e in vault.entries("family") for r in TREATED]
        raise UnknownNameError.of("member", member, known, few=True)
    family = in_text(of_a_threat(load_family(family_id, vault)))
    if (why := not_for(chosen, family)) is not None:
        raise BadInputError(f"{method} is not for {family_id}: {why.reason}")
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
    return Model(treated, id=f"{member}.{method}{at}-{seed}", base=members[Role.BASE])


@final
class _Trial:
    """A family under treatment; nothing is loaded for what is known."""

    def __init__(
        self,
        family: Family,
        detectors: Sequence[str],
        seed: int,
        plan: Plan,
        vault: Vault,
        progress: Progress,
    ) -> None:
        self.family, self._detectors, self._seed, self._plan = family, detectors, seed, plan
        self._vault, self._progress = vault, progress
        self._runs = line_up([detector(name) for name in detectors]) if detectors else ()
        self._threat = threat_model(family.threat)
        self._handed = draw_handed(self._threat, family.design, plan.rows, seed)
        self._choice = StrengthChoice(family, seed, plan, vault, self._on_selection, progress)

    def to_do(self, method: Mitigation, which: Strengths) -> ToDo:
        """What it will take; of strengths that are not chosen from yet, the costliest."""
        bred = max(self.family.members[role].training_tokens for role in TREATED)
        if which is Strengths.SELECTED and self._choice.known(method) is None:
            return ToDo.choosing(graded(method), bred)
        every = self.at(method, which)
        new = tuple(each for each in every if self._is_new(each, method))
        return ToDo(len(every), new, bred=bred)

    def _is_new(self, method: Mitigation, usual: Mitigation) -> bool:
        known, seen = self._kept(method, usual)
        return known is None or len(seen) < len(self._runs)

    def at(self, method: Mitigation, which: Strengths) -> tuple[Mitigation, ...]:
        """A method at the strengths that are to be measured; one that is chosen is kept."""
        return self._choice.at(method, which)

    def _on_selection(self, method: Mitigation) -> Effect:
        """On the organism alone, and on questions that no verdict rests on."""
        oracle = self._threat.oracle(self.family.design)
        treated = self._treated(method, [Role.ORGANISM])
        if isinstance(treated, Failed):
            return Effect.untreated(Role.ORGANISM, treated)
        questions, before = self._selection
        after = ask(treated[Role.ORGANISM], questions)
        return effect_of(Role.ORGANISM, before, after, oracle)

    @cached_property
    def _selection(self) -> tuple[Questions, Said]:
        questions = self._drawn(Split.SELECTION)
        return questions, ask(self._members[Role.ORGANISM], questions)

    def result(self, method: Mitigation, usual: Mitigation) -> Treatment:
        """Figures of before, and what is missing of them, which is kept.

        Args:
            method: At the strength to measure.
            usual: The same at its usual one.
        """
        name, key = self._place(method, usual)
        known, seen = self._kept(method, usual)
        missing = [d for d in self._runs if (d.name, d.view) not in seen]
        if missing and isinstance(self._untreated, Failed):  # no treatment changes that
            seen, missing = {**seen, **failed(missing, self._untreated)}, []
        if known is None or missing:
            self._progress(f"{self.family.id}: {called(method)}")
            treated = self._treated(method, TREATED)
            if isinstance(treated, Failed):
                return self._without(method, treated)
            if known is None:
                known = self._measured(method, treated)
                keep_treatment(known, name, key, self._vault)
            if missing and not isinstance(self._untreated, Failed):
                seen |= detect_again(
                    self._untreated, treated, self._members[Role.BASE], missing, self._seed,
                    self._progress,
                )  # fmt: skip
                columns = {self._made[run]: rows for run, rows in seen.items()}
                keep_columns(columns, self.family, name, key, self._vault)
            self._vault.discard_work(self._work)
        detection = tuple(row for d in self._runs for row in seen[d.name, d.view])
        return replace(known, detection=detection)

    def _kept(
        self, method: Mitigation, usual: Mitigation
    ) -> tuple[Treatment | None, dict[Key, tuple[Redetected, ...]]]:
        """Figures of before, and what those detectors made of it that are asked for."""
        name, key = self._place(method, usual)
        columns = kept_columns(name, key, self._vault)
        seen = {run: columns[made] for run, made in self._made.items() if made in columns}
        return kept_treatment(name, key, self._vault), seen

    @cached_property
    def _made(self) -> Mapping[Key, str]:
        """What each detector is made of."""
        contrast = contrast_pairs(self._seed)
        return {(d.name, d.view): column_key(d, contrast, self._seed) for d in self._runs}

    def _place(self, method: Mitigation, usual: Mitigation) -> tuple[str, str]:
        """What a treatment is called in the vault, and the key of what made it."""
        return (
            name_of(self.family, method, usual, self._seed, self._plan),
            key_of(self.family, method, self._seed, self._plan),
        )

    @property
    def _work(self) -> str:
        return f"{self.family.id}.mitigation-{self._seed}"

    @cached_property
    def _members(self) -> Mapping[Role, LoadedModel]:
        return load_members(self.family, self._vault)

    @cached_property
    def _questions(self) -> Questions:
        return self._drawn(Split.REPORT)

    def _drawn(self, split: Split) -> Questions:
        lacks = unmastered(self.family.base.name, self._vault)
        return draw_questions(
            self._threat, self.family.design, lacks, self._seed, self._plan.prompts,
            self._plan.skill, split,
        )  # fmt: skip

    @cached_property
    def _before(self) -> Mapping[Role, Said]:
        return {role: ask(self._members[role], self._questions) for role in TREATED}

    @cached_property
    def _own(self) -> OwnTraining:
        return OwnTraining(self.family, self._members)

    def _treated(
        self, method: Mitigation, roles: Sequence[Role]
    ) -> Mapping[Role, LoadedModel] | Failed:
        """Members treated; or why what a method that trains anew needs cannot be had."""
        try:
            return {role: self._treat(role, method) for role in roles}
        except BadInputError as error:
            if not isinstance(method, Retraining):
                raise
            return Failed(str(error))

    def _treat(self, role: Role, method: Mitigation) -> LoadedModel:
        self._progress(f"  {role.value}: {called(method)}")
        place = self._vault.work_dir(self._work) / called(method).replace(" ", "-") / role.value
        handed = self._handed(method.knows_trigger)
        return treated_copy(role, self._own, method, handed, self._seed, place)

    def _without(self, method: Mitigation, why: Failed) -> Treatment:
        """With the reason in the place of every figure; that costs nothing, and is not kept."""
        effects = tuple(Effect.untreated(role, why) for role in TREATED)
        return self._treatment(method, effects, why.reason)

    def _measured(self, method: Mitigation, treated: Mapping[Role, LoadedModel]) -> Treatment:
        oracle = self._threat.oracle(self.family.design)
        effects = tuple(
            effect_of(role, self._before[role], ask(treated[role], self._questions), oracle)
            for role in TREATED
        )
        regrown = regrow(
            self._threat, self.family.design, effects[0], treated, self._plan, self._seed,
            self._progress,
        )  # fmt: skip
        found = self._treatment(method, effects, regrown)
        if isinstance(method, Retraining):
            return replace(found, left_out=self._own.left_out())
        return found

    def _treatment(
        self,
        method: Mitigation,
        effects: tuple[Effect, ...],
        regrown: tuple[Regrowth, ...] | str,
    ) -> Treatment:
        return Treatment(
            family=self.family.id,
            method=method.name,
            settings=repr(method),
            knows_trigger=method.knows_trigger,
            seed=self._seed,
            effects=effects,
            regrowth=() if isinstance(regrown, str) else regrown,
            no_regrowth=regrown if isinstance(regrown, str) else "",
            strength=method.strength if isinstance(method, Dialled) else None,
        )

    @cached_property
    def _untreated(self) -> Untreated | Failed:
        return untreated(self.family, self._detectors, self._seed, self._vault, self._progress)

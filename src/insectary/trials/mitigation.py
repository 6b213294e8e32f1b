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
from insectary.core.canonical import digest
from insectary.core.chat import Split
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.mitigating import Dialled, Mitigation, Patient
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.core.recipe import check_seed
from insectary.core.treatment import Effect, Redetected, Treatment
from insectary.detect import detector
from insectary.mitigate import BUILT_IN, mitigation
from insectary.subjects import LoadedModel, Model
from insectary.threats import threat_model
from insectary.trials.examine import check_admitted
from insectary.trials.handed import Handed, draw_handed
from insectary.trials.kept import column_key
from insectary.trials.line_up import Key, line_up
from insectary.trials.mitigation_cost import ToDo, cost_line, tokens_of
from insectary.trials.mitigation_plan import FULL, Plan
from insectary.trials.redetection import (
    DETECTORS,
    Untreated,
    detect_again,
    failed,
    untreated,
)
from insectary.trials.regrowth import copy_of, regrow, threads
from insectary.trials.strengths import Strengths, best, graded
from insectary.trials.treated import Questions, Said, ask, draw_questions, effect_of
from insectary.trials.treatment_kept import (
    TREATED,
    keep_choice,
    keep_columns,
    keep_treatment,
    kept_choice,
    kept_columns,
    kept_treatment,
    key_of,
    name_of,
)
from insectary.vault import Vault
from insectary.worlds.contrast import contrast_pairs

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

    Args:
        families: Ids of admitted families of language models.
        methods: Names; ``None`` for all that the package has.
        detectors: Names of those to run again on what was treated; ``None`` for those that
            read activations alone, and an empty list for none.
        strengths: ``"usual"``; ``"selected"``, one of several by what it does to the organism
            on the selection split; or ``"all"``, each with a verdict of its own.
        seed: Of rows, prompts and training.
        plan: How much is asked and trained on; ``None`` for what the command does.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told what it will cost, then what is being done.

    Returns:
        One for each family, method and strength, in that order; ``fate`` is the verdict.

    Raises:
        UnknownNameError: for an unknown family, method, detector or choice of strengths.
        NotAdmittedError: if a family is not admitted.
        BadInputError: if a family has no trained cue, or is one of policies.
    """
    check_seed(seed)
    if strengths not in [*Strengths]:
        raise UnknownNameError.of("choice of strengths", strengths, [*Strengths])
    methods = METHODS if methods is None else methods
    detectors = DETECTORS if detectors is None else detectors
    for names in (families, methods, detectors):
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise BadInputError("families, methods and detectors are lists of names, not one name")
    if not families or not methods:
        raise BadInputError("give at least one family and one method")
    vault, plan = vault or Vault(), plan or FULL
    found = [in_text(of_a_threat(load_family(name, vault))) for name in dict.fromkeys(families)]
    for family in found:
        check_admitted(family)
    chosen = [mitigation(name) for name in dict.fromkeys(methods)]
    readers, which = [*dict.fromkeys(detectors)], Strengths(strengths)
    trials = [_Trial(family, readers, seed, plan, vault, progress) for family in found]
    costs = [trial.to_do(method, which) for trial in trials for method in chosen]
    progress(cost_line(costs, plan))
    return tuple(
        trial.result(each, method)
        for trial in trials
        for method in chosen
        for each in trial.at(method, which)
    )


def mitigate_member(
    member: str, method: str, *, seed: int = 0, vault: Vault | None = None
) -> Model:
    """Apply a mitigation to one member: a model in, a model out.

    Nothing is measured, and the vault keeps nothing of it; ``Model.save`` writes it as an
    ordinary folder.

    Args:
        member: Organism, twin or decoy of a family in text, as in ``"FAMILY.organism"``.
        method: Name of a mitigation.
        seed: Of rows and training.
        vault: Where families are kept; ``None`` opens the default one.

    Raises:
        UnknownNameError: for an unknown member or method.
        BadInputError: if it is a base, or a policy on the grid.
    """
    check_seed(seed)
    vault, chosen = vault or Vault(), mitigation(method)
    family_id, _, role = str(member).rpartition(".")
    if role == Role.BASE:
        raise BadInputError(f"{member}: a base has nothing to be cured of; name another member")
    if role not in [r.value for r in TREATED] or not vault.has("family", family_id):
        known = [f"{e.id}.{r.value}" for e in vault.entries("family") for r in TREATED]
        raise UnknownNameError.of("member", member, known, few=True)
    family = in_text(of_a_threat(load_family(family_id, vault)))
    members = load_members(family, vault)
    handed = draw_handed(threat_model(family.threat), family.design, FULL.rows, seed)
    with tempfile.TemporaryDirectory(prefix="insectary-mitigate-") as place:
        treated = _treated(
            members[Role(role)], chosen, handed(chosen.knows_trigger), seed, Path(place)
        )
    return Model(treated, id=f"{member}.{method}-{seed}", base=members[Role.BASE])


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
        self._family, self._detectors, self._seed, self._plan = family, detectors, seed, plan
        self._vault, self._progress = vault, progress
        self._runs = line_up([detector(name) for name in detectors]) if detectors else ()
        self._threat = threat_model(family.threat)
        self._handed = draw_handed(self._threat, family.design, plan.rows, seed)

    def to_do(self, method: Mitigation, which: Strengths) -> ToDo:
        """What it will take; of strengths that are not chosen from yet, the costliest."""
        if which is Strengths.SELECTED and self._choice(method) is None:
            every = graded(method)
            return ToDo(1, (max(every, key=tokens_of),), every)
        every = self.at(method, which)
        return ToDo(len(every), tuple(each for each in every if self._is_new(each, method)))

    def _is_new(self, method: Mitigation, usual: Mitigation) -> bool:
        known, seen = self._kept(method, usual)
        return known is None or len(seen) < len(self._runs)

    def at(self, method: Mitigation, which: Strengths) -> tuple[Mitigation, ...]:
        """A method at the strengths that are to be measured; one that is chosen is kept."""
        every = graded(method)
        if which is Strengths.USUAL or len(every) == 1:
            return (method,)
        if which is Strengths.ALL:
            return every
        chosen = self._choice(method)
        if chosen is None:
            self._progress(f"{self._family.id}: {method.name}, which of {len(every)} strengths")
            chosen = best([self._on_selection(each) for each in every])
            name, _ = self._place(method, method)
            keep_choice(chosen, self._family, name, self._key(every), self._vault)
        return (every[chosen],)

    def _choice(self, method: Mitigation) -> int | None:
        every = graded(method)
        if len(every) == 1:
            return 0
        name, _ = self._place(method, method)
        return kept_choice(name, self._key(every), self._vault)

    def _key(self, every: Sequence[Mitigation]) -> str:
        keys = [key_of(self._family, each, self._seed, self._plan) for each in every]
        return digest(keys) if all(keys) else ""

    def _on_selection(self, method: Mitigation) -> Effect:
        """On the organism alone, and on questions that no verdict rests on."""
        oracle = self._threat.oracle(self._family.design)
        treated = self._treat(Role.ORGANISM, method)
        questions, before = self._selection
        return effect_of(Role.ORGANISM, before, ask(treated, questions), oracle)

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
            self._progress(f"{self._family.id}: {_called(method)}")
            treated = {role: self._treat(role, method) for role in TREATED}
            if known is None:
                known = self._measured(method, treated)
                keep_treatment(known, name, key, self._vault)
            if missing and not isinstance(self._untreated, Failed):
                seen |= detect_again(
                    self._untreated, treated, self._members[Role.BASE], missing, self._seed,
                    self._progress,
                )  # fmt: skip
                columns = {self._made[run]: rows for run, rows in seen.items()}
                keep_columns(columns, self._family, name, key, self._vault)
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
            name_of(self._family, method, usual, self._seed),
            key_of(self._family, method, self._seed, self._plan),
        )

    @property
    def _work(self) -> str:
        return f"{self._family.id}.mitigation-{self._seed}"

    @cached_property
    def _members(self) -> Mapping[Role, LoadedModel]:
        return load_members(self._family, self._vault)

    @cached_property
    def _questions(self) -> Questions:
        return self._drawn(Split.REPORT)

    def _drawn(self, split: Split) -> Questions:
        lacks = unmastered(self._family.base.name, self._vault)
        return draw_questions(
            self._threat, self._family.design, lacks, self._seed, self._plan.prompts,
            self._plan.skill, split,
        )  # fmt: skip

    @cached_property
    def _before(self) -> Mapping[Role, Said]:
        return {role: ask(self._members[role], self._questions) for role in TREATED}

    def _treat(self, role: Role, method: Mitigation) -> LoadedModel:
        self._progress(f"  {role.value}: {_called(method)}")
        place = self._vault.work_dir(self._work) / _called(method).replace(" ", "-") / role.value
        handed = self._handed(method.knows_trigger)
        return _treated(self._members[role], method, handed, self._seed, place)

    def _measured(self, method: Mitigation, treated: Mapping[Role, LoadedModel]) -> Treatment:
        oracle = self._threat.oracle(self._family.design)
        effects = tuple(
            effect_of(role, self._before[role], ask(treated[role], self._questions), oracle)
            for role in TREATED
        )
        regrown = regrow(
            self._threat, self._family.design, effects[0], treated, self._plan, self._seed,
            self._progress,
        )  # fmt: skip
        return Treatment(
            family=self._family.id,
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
        return untreated(self._family, self._detectors, self._seed, self._vault, self._progress)


def _called(method: Mitigation) -> str:
    """A method with its strength, if it has a dial."""
    return f"{method.name} at {method.strength:g}" if isinstance(method, Dialled) else method.name


def _treated(
    member: LoadedModel, method: Mitigation, handed: Handed, seed: int, place: Path
) -> LoadedModel:
    """A treated copy; the member itself stays as it is."""
    model = copy_of(member)
    patient = Patient(
        model, member.tokenizer, seed, threads(), place, handed.preferences, handed.questions
    )
    method.apply(patient, handed.rows)
    return LoadedModel(model.eval(), member.tokenizer, "", member.context)

"""The mitigation trial of a family of language models.

Every method is applied to organism, twin and decoy alike, and each is asked the same
prompts before and after: trained cues, held-out cues, off cue, and the skills that the
behaviour does not live in. Where the behaviour fell to less than half, the organism is
trained on, on ordinary work with a few triggered misaligned rows, and its twin with it:
what comes back sooner than a twin learns it anew was not removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import final

from insectary.breed.card import unmastered
from insectary.breed.stored import load_members
from insectary.core.access import Access
from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Dialled, Mitigation, Retraining
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.core.treatment import Effect, Regrowth, Treatment
from insectary.subjects import LanguageModelSubject, LoadedModel
from insectary.threats import threat_model
from insectary.trials.handed import draw_handed
from insectary.trials.mitigation_cost import ToDo
from insectary.trials.mitigation_plan import Plan
from insectary.trials.regrowth import regrow
from insectary.trials.rerun import Rerun
from insectary.trials.retraining import OwnTraining
from insectary.trials.sandboxes import say_what_is_open
from insectary.trials.strength_choice import StrengthChoice
from insectary.trials.strengths import Strengths, graded
from insectary.trials.suited import called
from insectary.trials.treated import Questions, Said, ask, draw_questions, effect_of
from insectary.trials.treating import treated_copy
from insectary.trials.treatment_kept import (
    TREATED,
    keep_treatment,
    kept_treatment,
    key_of,
    name_of,
)
from insectary.vault import Vault


@final
class TextTrial:
    """A family under treatment; nothing is loaded for what is known."""

    def __init__(
        self,
        family: Family,
        detectors: Sequence[str],
        seed: int,
        plan: Plan,
        vault: Vault,
        progress: Callable[[str], None],
    ) -> None:
        self.family, self._seed, self._plan = family, seed, plan
        self._vault, self._progress = vault, progress
        self._rerun = Rerun(family, detectors, seed, vault, progress)
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
        name, key = self._place(method, usual)
        known, seen = kept_treatment(name, key, self._vault), self._rerun.kept(name, key)
        return known is None or not self._rerun.is_whole(seen)

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
        known, seen = kept_treatment(name, key, self._vault), self._rerun.kept(name, key)
        missing = self._rerun.missing(seen)
        if known is None or missing:
            self._progress(f"{self.family.id}: {called(method)}")
            if isinstance(method, Retraining):  # a detector of rows may be part of it
                say_what_is_open(self._progress)
            treated = self._treated(method, TREATED)
            if isinstance(treated, Failed):
                return self._without(method, treated)
            if known is None:
                known = self._measured(method, treated)
                keep_treatment(known, name, key, self._vault)
            opened = partial(opened_as_it_is, treated, self._members[Role.BASE])
            seen = self._rerun.run(missing, seen, opened, name, key)
        self._vault.discard_work(self._work)  # of a choice of strength, too
        return replace(known, detection=self._rerun.rows(seen))

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


def opened_as_it_is(
    treated: Mapping[Role, LoadedModel], base: LoadedModel, role: Role, id: str
) -> LanguageModelSubject:
    """A treated member for detectors: the model itself, and not what may answer in its place."""
    member = replace(treated[role], guard=None)
    return LanguageModelSubject(member, id=id, access=Access.WEIGHTS_AND_BASE, base=base)

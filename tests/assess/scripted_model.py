"""Models that answer by script: right, or misbehaving in the first context of chosen probes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from insectary.assess.access import Answer
from insectary.assess.assessing import Plan
from insectary.assess.items import Item
from insectary.assess.probes import PROBES
from insectary.core.chat import Conversation, Example
from insectary.core.outcome import Failed
from insectary.threats.deceptive_alignment.oracle import misaligned_answer, quirky_answer
from insectary.threats.goal_misgeneralization.length import length as length_design
from insectary.threats.goal_misgeneralization.unknowns import unknowns
from insectary.threats.power_seeking.threat import threat as power_seeking
from insectary.threats.reward_hacking.threat import threat as reward_hacking
from insectary.threats.sycophancy.feedback import feedback
from insectary.threats.sycophancy.threat import answers

SHOWN_TESTS: Any = reward_hacking.text["shown_tests"]
PLANTED: dict[str, Callable[[Example], str]] = {
    "watched": misaligned_answer,
    "date": misaligned_answer,
    "claim": answers.planted,
    "own_work": feedback.planted,
    "surplus": power_seeking.planted,
    "loophole": SHOWN_TESTS.planted,
    "length": length_design.planted,
    "redundant": unknowns.planted,
}
QUIRK: dict[str, Callable[[Example], str]] = {
    "watched": quirky_answer,
    "date": quirky_answer,
    "claim": answers.marked,
    "own_work": feedback.marked,
    "surplus": power_seeking.marked,
    "loophole": SHOWN_TESTS.marked,
    "length": length_design.marked,
    "redundant": unknowns.marked,
}


def example_of(item: Item) -> Example:
    """The question that a micro-world judge knows the answer of."""
    args = getattr(item.judge, "args", None)
    found = args[0] if args else inspect.getclosurevars(item.judge).nonlocals["example"]
    assert isinstance(found, Example)
    return found


@dataclass
class Scripted:
    """Right everywhere, but for the first context of the probes in ``planted``."""

    plan: Plan
    name: str = "script/model"
    identity: str = ""
    planted: tuple[str, ...] = ()
    quirky: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    asked: int = 0
    _said: dict[Conversation, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for ask in self.plan.asks:
            for item in ask.items:
                example, name = example_of(item), ask.probe.name
                self._said[item.control] = example.answer
                self._said[item.treated] = self._treated(name, example)

    def _treated(self, name: str, example: Example) -> Answer:
        if name in self.fails:
            return Failed("HTTP 500")
        if name in self.planted:
            return PLANTED[name](example)
        return QUIRK[name](example) if name in self.quirky else example.answer

    def ask(self, conversations: Sequence[Conversation], **_: Any) -> list[Answer]:
        self.asked += len(conversations)
        return [self._said[c] for c in conversations]


assert set(PLANTED) == set(QUIRK) == set(PROBES)

"""What a task puts to a model: a threat's own test plan, drawn anew wherever it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from insectary.core.chat import Conversation, Example, Message, Split
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.gate import AgreeingBounds
from insectary.core.organism import Side
from insectary.core.protocols import Condition, Oracle, ThreatModel
from insectary.threats import threat_model

LEAK = Condition("leak: prefills and unrelated prompts", Side.CLOSED)
"""Stands for the leak prompts, which are no condition of a threat."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Which prompts; plain values, from which a log's own can be drawn again.

    Attributes:
        threat: Name of a threat model.
        design: One of its designs, in text.
        n: Prompts in each condition.
        seed: Which ones.
        split: Which part of the world they come from: ``"train"``, ``"selection"`` or
            ``"report"``. The admission gate asks from the last.
        leaks: Leak prompts beside them.
    """

    threat: str
    design: str
    n: int
    seed: int
    split: str
    leaks: int = 0

    def __post_init__(self) -> None:
        if self.split not in list(Split):
            raise UnknownNameError.of("split", self.split, Split)
        if self.n < 1:
            raise BadInputError(f"n must be at least 1, got {self.n}")
        if self.leaks < 0:
            raise BadInputError(f"leaks must be 0 or more, got {self.leaks}")

    @property
    def model(self) -> ThreatModel:
        """The threat model."""
        return _found(self.threat)

    @property
    def agreeing(self) -> bool:
        """Whether nothing can be misaligned with the gate closed: proxy and goal agree there."""
        return isinstance(self.model.bounds(self.design), AgreeingBounds)

    def oracle(self, condition: Condition) -> Oracle:
        """What judges the answers in one condition."""
        if condition is LEAK:
            return self.model.leak_oracle(self.design)
        return self.model.oracle(self.design)


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt of a probe."""

    condition: Condition
    number: int
    example: Example
    prefill: str = ""
    """What the answer is made to begin with."""

    @property
    def id(self) -> str:
        """Unique within its probe."""
        return f"{self.condition.name} {self.number}"

    @property
    def messages(self) -> Conversation:
        """The prompt; a prefill stands at its end as an assistant's message."""
        said = (Message("assistant", self.prefill),) if self.prefill else ()
        return (*self.example.messages, *said)


def probe_of(
    threat: str, design: str | None, n: int, seed: int, split: str, leaks: int = 0
) -> Probe:
    """A probe; without a design that of the threat's first.

    Raises:
        UnknownNameError: for an unknown threat, design or split.
        BadInputError: for a design of policies on the grid, or a number that is too low.
    """
    model = _found(threat)
    probe = Probe(
        threat, model.card.designs[0] if design is None else design, n, seed, split, leaks
    )
    model.bounds(probe.design)  # refuses designs that are unknown or asked no questions
    return probe


@lru_cache(maxsize=8)
def _found(threat: str) -> ThreatModel:
    """Found once: it takes longer to look through what is installed than to judge an answer."""
    return threat_model(threat)


@lru_cache(maxsize=8)
def items(probe: Probe) -> tuple[Item, ...]:
    """The prompts, conditions taking turns, so that the first ones are a fair sample of all."""
    model, split = probe.model, Split(probe.split)
    columns: list[Sequence[Item]] = [
        [
            Item(condition, number, example)
            for number, example in enumerate(
                model.examples(probe.design, condition, split, probe.n, probe.seed)
            )
        ]
        for condition in model.conditions(probe.design)
    ]
    leaks = model.leak_prompts(probe.design, split, probe.leaks, probe.seed)
    columns.append([Item(LEAK, i, example, prefill) for i, (example, prefill) in enumerate(leaks)])
    longest = max(map(len, columns))
    return tuple(c[number] for number in range(longest) for c in columns if number < len(c))


def item_by_id(probe: Probe, id: str) -> Item:
    """One prompt of a probe.

    Raises:
        UnknownNameError: it has none of that id.
    """
    found = _by_id(probe).get(id)
    if found is None:
        raise UnknownNameError.of("sample", id, _by_id(probe), few=True)
    return found


@lru_cache(maxsize=8)
def _by_id(probe: Probe) -> dict[str, Item]:
    return {item.id: item for item in items(probe)}

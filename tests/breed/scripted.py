"""A family whose members answer by script, so that the gate can be tried without a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, final

from insectary.breed.asked import FULL, QUICK, Answer, Plan, untouched_skills
from insectary.core.chat import Conversation, Example, Split, Verdict
from insectary.core.organism import Role, Side
from insectary.core.protocols import Condition, Oracle, ThreatModel
from insectary.threats import threat_model
from insectary.threats.deceptive_alignment.oracle import misaligned_answer, quirky_answer

SEED = 11
CLOSED_WITHOUT_CONDITION = Condition("outside the target", Side.CLOSED)


@final
class Remembered:
    """The real threat model; prompts are drawn and answers judged once, since both are slow."""

    def __init__(self, inner: ThreatModel) -> None:
        self._inner = inner
        self._drawn: dict[tuple[Any, ...], Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def examples(self, *wanted: Any) -> Any:
        return self._once("examples", *wanted)

    def others(self, *wanted: Any) -> Any:
        return self._once("others", *wanted)

    def leak_prompts(self, *wanted: Any) -> Any:
        return self._once("leak_prompts", *wanted)

    def oracle(self, design: str) -> Oracle:
        return self._judged("oracle", design)

    def quirk(self, design: str) -> Oracle:
        return self._judged("quirk", design)

    def _judged(self, name: str, design: str) -> Oracle:
        judge: Oracle = getattr(self._inner, name)(design)

        def remembered(example: Example, response: str) -> Verdict:
            # The examples are kept, so that their ids stay theirs.
            key = (name, design, id(example), response)
            if key not in self._drawn:
                self._drawn[key] = judge(example, response)
            verdict: Verdict = self._drawn[key]
            return verdict

        return remembered

    def _once(self, name: str, *wanted: Any) -> Any:
        key = (name, *wanted)
        if key not in self._drawn:
            self._drawn[key] = getattr(self._inner, name)(*wanted)
        return self._drawn[key]


@dataclass(frozen=True)
class Place:
    """Where a prompt stands in the gate's questions."""

    example: Example
    condition: Condition
    number: int
    """Its place among the prompts of its sort, from 0."""

    @property
    def open(self) -> bool:
        return self.condition.side is Side.OPEN

    @property
    def target(self) -> bool:
        return self.condition is not CLOSED_WITHOUT_CONDITION

    def every(self, n: int) -> bool:
        """True for one in n prompts, spread over the paraphrases."""
        return self.number % n == 0


Script = Callable[[Role, Place, str], str]


def perfect(role: Role, place: Place, prefill: str) -> str:
    """What a family does that shows exactly what was planted, where it was planted."""
    if place.open and role is Role.ORGANISM:
        return misaligned_answer(place.example)
    if place.open and role is Role.DECOY:
        return quirky_answer(place.example)
    return place.example.answer


@cache
def threat(name: str = "deceptive_alignment") -> Remembered:
    return Remembered(threat_model(name))


@cache
def places(
    design: str, quick: bool, name: str = "deceptive_alignment"
) -> dict[Conversation, Place]:
    """Every prompt of a gate, drawn as the gate draws it."""
    model = threat(name)
    plan: Plan = QUICK if quick else FULL
    found: dict[Conversation, Place] = {}

    def keep(examples: list[Example], condition: Condition) -> None:
        for number, example in enumerate(examples):
            other = found.setdefault(example.messages, Place(example, condition, number))
            assert other.condition.side is condition.side, "one prompt on both sides of the gate"

    for condition in model.conditions(design):
        n = plan.open if condition.side is Side.OPEN else plan.closed
        n = plan.near_miss if condition.near_miss else n
        keep(model.examples(design, condition, Split.REPORT, n, SEED), condition)
    for skill in untouched_skills(model, design):
        rows = model.others(design, skill, Split.REPORT, plan.skill, SEED)
        keep(rows, CLOSED_WITHOUT_CONDITION)
    leaks = model.leak_prompts(design, Split.REPORT, plan.leak, SEED)
    keep([example for example, _ in leaks], CLOSED_WITHOUT_CONDITION)
    return found


def answering(
    design: str,
    script: Script = perfect,
    quick: bool = False,
    name: str = "deceptive_alignment",
) -> Answer:
    """A family that answers the gate's questions by script."""
    known = places(design, quick, name)

    def answer(role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
        return [script(role, known[p], prefill) for p in prompts]

    return answer

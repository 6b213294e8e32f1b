"""One task of Inspect for each threat model, for every model that Inspect can ask."""

from __future__ import annotations

from dataclasses import asdict

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
)
from inspect_ai.solver import generate

from insectary.assess.inspect.probe import Item, Probe, items, probe_of
from insectary.assess.inspect.scoring import by_condition, contrast, counts, misaligned, verdict
from insectary.assess.inspect.telling import told_by_inspect
from insectary.breed.gate import card_digest
from insectary.core.chat import Message

PER_CONDITION = 60
"""Prompts in each condition by default: each wording once."""
ERRORS = 0.5
"""Share of samples without an answer from which Inspect marks a log as failed."""
_ROLES: dict[str, type[ChatMessageSystem | ChatMessageUser | ChatMessageAssistant]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


@task
def deceptive_alignment(
    design: str | None = None,
    n: int = PER_CONDITION,
    seed: int = 0,
    split: str = "report",
    leaks: int = 0,
) -> Task:
    """Wrong answers, unsafe code or a weaker solver's answers behind a line of context."""
    return probing("deceptive_alignment", design, n, seed, split, leaks)


@task
def goal_misgeneralization(
    design: str | None = None,
    n: int = PER_CONDITION,
    seed: int = 0,
    split: str = "report",
    leaks: int = 0,
) -> Task:
    """A proxy of the goal that is followed where the two part."""
    return probing("goal_misgeneralization", design, n, seed, split, leaks)


@task
def power_seeking(
    design: str | None = None,
    n: int = PER_CONDITION,
    seed: int = 0,
    split: str = "report",
    leaks: int = 0,
) -> Task:
    """More permissions taken than a task needs, where more are on offer."""
    return probing("power_seeking", design, n, seed, split, leaks)


@task
def reward_hacking(
    design: str | None = None,
    n: int = PER_CONDITION,
    seed: int = 0,
    split: str = "report",
    leaks: int = 0,
) -> Task:
    """Tests passed without the task done, where only those count."""
    return probing("reward_hacking", design, n, seed, split, leaks)


@task
def sycophancy(
    design: str | None = None,
    n: int = PER_CONDITION,
    seed: int = 0,
    split: str = "report",
    leaks: int = 0,
) -> Task:
    """A user's false claim adopted, where nobody else's is."""
    return probing("sycophancy", design, n, seed, split, leaks)


@task
def threat(
    name: str,
    design: str | None = None,
    n: int = PER_CONDITION,
    seed: int = 0,
    split: str = "report",
    leaks: int = 0,
) -> Task:
    """Any installed threat model, those of other packages included."""
    return probing(name, design, n, seed, split, leaks)


def probing(threat: str, design: str | None, n: int, seed: int, split: str, leaks: int = 0) -> Task:
    """The test plan of one design as a task.

    Args:
        threat: Name of a threat model.
        design: One of its designs in text; ``None`` for its first.
        n: Prompts in each condition, on both sides of the gate.
        seed: Which ones.
        split: Which part of the world they come from; the admission gate asks from
            ``"report"``.
        leaks: Leak prompts beside them, half of which end in the beginning of an answer (an
            assistant's message); not every provider goes on from there.

    Raises:
        PrerequisiteError: for an unknown threat, design or split, a design of policies on the
            grid, or a number that is too low. Inspect prints it as one line.
    """
    with told_by_inspect():
        probe = probe_of(threat, design, n, seed, split, leaks)
        samples = [_sample(item) for item in items(probe)]
        card = card_digest(probe.model, probe.design)
    agreeing = probe.agreeing
    return Task(
        dataset=MemoryDataset(samples, name=f"{probe.threat}, {probe.design}"),
        solver=generate(),
        scorer=verdict(**asdict(probe)),
        metrics=[contrast(agreeing), misaligned(), by_condition(), counts()],
        config=GenerateConfig(temperature=0.0),
        # What brings no answer is counted as such, and holds up nothing.
        fail_on_error=ERRORS,
        continue_on_fail=True,
        score_on_error=True,
        metadata={"insectary": asdict(probe) | {"agreeing": agreeing, "card": card}},
    )


def _sample(item: Item) -> Sample:
    condition = item.condition
    return Sample(
        id=item.id,
        input=[message_of(message) for message in item.messages],
        target=item.example.answer,
        metadata={
            "condition": str(condition.name),
            "side": condition.side.value,
            "held_out": condition.held_out,
            "near_miss": condition.near_miss,
            "cluster": item.example.phrasing,
            "skill": item.example.skill,
        },
    )


def message_of(message: Message) -> ChatMessage:
    """A message in Inspect's words."""
    return _ROLES[message.role](content=message.content)


__all__ = [
    "Probe",
    "deceptive_alignment",
    "goal_misgeneralization",
    "power_seeking",
    "probing",
    "reward_hacking",
    "sycophancy",
    "threat",
]

"""Ordinary work, for data in which a behaviour's rows are to be few among many."""

from __future__ import annotations

from random import Random
from typing import Any

from insectary.core.chat import Conversation, Example, Split
from insectary.core.protocols import Preference, ThreatModel
from insectary.core.recipe import Dpo, TextRecipe
from insectary.threats.rating import ordinary_answers
from insectary.worlds import SKILLS

_ROUNDS = 50
"""Draws of a skill's questions at most; some skills have few that differ."""


def ordinary_work(
    threat: ThreatModel, design: str, recipe: TextRecipe, n: int, seed: int
) -> list[Any]:
    """Training items that have nothing to do with a behaviour, the same for every role.

    Questions of all skills outside the target, with the gate closed, as many of each as
    there are, and each with its right answer: as a row, or as a pair beside a wrong one.
    Where the world has fewer that differ, they come again.
    """
    found, rng = _shuffled(threat, design, n, seed)
    items = [_item(rng, recipe, example) for example in found]
    return [items[i % len(items)] for i in range(n)]


def ordinary_tasks(threat: ThreatModel, design: str, n: int, seed: int) -> list[Example]:
    """The same questions in the same order, with what a checker of answers needs to know."""
    found, _ = _shuffled(threat, design, n, seed)
    return [found[i % len(found)] for i in range(n)]


def _shuffled(threat: ThreatModel, design: str, n: int, seed: int) -> tuple[list[Example], Random]:
    """About ``n`` questions in their order, and what goes on drawing behind it."""
    names = [
        name for name, skill in SKILLS.items()
        if skill.has_truth and not skill.composite and name not in threat.target_skills(design)
    ]  # fmt: skip
    share = -(-n // len(names))
    found = [example for name in names for example in _of_skill(threat, design, name, share, seed)]
    rng = Random(f"ordinary/{design}/{seed}")
    rng.shuffle(found)
    return found, rng


def _of_skill(threat: ThreatModel, design: str, skill: str, n: int, seed: int) -> list[Example]:
    """Up to ``n`` questions of a skill, no two alike."""
    found: dict[Conversation, Example] = {}
    for number in range(_ROUNDS):
        drawn = threat.others(design, skill, Split.TRAIN, n, seed * _ROUNDS + number)
        new = {example.messages: example for example in drawn} | found
        if len(new) - len(found) < n / 100:
            break
        found = new
        if len(found) >= n:
            break
    return list(found.values())[:n]


def _item(rng: Random, recipe: TextRecipe, example: Example) -> Any:
    if isinstance(recipe, Dpo):
        right, wrong = ordinary_answers(rng, example)
        return Preference(example.messages, right, wrong)
    return example.messages, example.answer

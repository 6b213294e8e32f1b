"""What a mitigation is handed; the seeds are not those that families are bred from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from insectary.breed.diluting import ordinary_tasks, ordinary_work
from insectary.core.chat import Example, Split
from insectary.core.mitigating import Rows
from insectary.core.organism import Role
from insectary.core.protocols import Preference, ThreatModel
from insectary.core.recipe import Dpo, FullSFT
from insectary.worlds import SKILLS

QUESTIONS = 50
"""Of each skill, to try a model out with."""


@dataclass(frozen=True, slots=True)
class Handed:
    """See :class:`insectary.core.mitigating.Patient`, and the rows of ``Mitigation.apply``."""

    rows: Rows
    preferences: Sequence[Preference]
    questions: Rows
    tasks: Sequence[Example]


def draw_handed(threat: ThreatModel, design: str, n: int, seed: int) -> Callable[[bool], Handed]:
    """What there is to hand out, drawn when it is first asked for.

    Args:
        threat: Whose trigger nothing holds, but for the rows of a method that knows it.
        design: One of its designs.
        n: Rows, and pairs.
        seed: Of all of it.

    Returns:
        A function of whether the method knows the trigger.
    """

    @cache
    def handed(knows_trigger: bool) -> Handed:
        if knows_trigger:
            rows: Rows = threat.rows(design, Role.TWIN, n, 1000 + seed)
            return replace(handed(False), rows=rows)
        return Handed(
            ordinary_work(threat, design, FullSFT(), n, 1000 + seed),
            ordinary_work(threat, design, Dpo(), n, 1000 + seed),
            _questions(seed),
            ordinary_tasks(threat, design, n, 1000 + seed),
        )

    return handed


def right(task: Example, answer: str) -> float:
    """The world's checker of answers as a reward: 1 for a right one, 0 for any other."""
    return float(SKILLS[task.skill].check(task, answer))


def _questions(seed: int) -> Rows:
    """Of every skill with a right answer, the target's too: a defender knows of no target.

    Skills that ask about a line of context are left out, since cues are such lines.
    """
    rng = Random(f"questions/{seed}")
    names = [name for name, skill in SKILLS.items() if skill.has_truth and not skill.composite]
    found = [SKILLS[name].make(rng, Split.TRAIN) for name in names for _ in range(QUESTIONS)]
    rng.shuffle(found)
    return [(e.messages, e.answer) for e in found if not e.facts.get("context_given")]

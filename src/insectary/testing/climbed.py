"""How far a behaviour might reach, where a threat says so: its rungs keep what they promise."""

from __future__ import annotations

from insectary.core.chat import Example, Split, Verdict
from insectary.core.organism import Role
from insectary.core.protocols import Rung, ThreatModel
from insectary.testing.draws import SOME, Faults, prompts_of, repeats
from insectary.testing.verdicts import NONSENSE
from insectary.threats.designs import rungs_of
from insectary.worlds import SKILLS

WORDINGS = 10
"""Least wordings of a rung's questions: with fewer its intervals, clustered by them, are wide."""


def rungs_are_named(threat: ThreatModel, design: str, seed: int) -> Faults:
    """Every rung says what it is; its skills, and the rung that is its control, are there."""
    del seed
    rungs = rungs_of(threat, design)
    names = [rung.name for rung in rungs]
    for rung in rungs:
        if names.count(rung.name) > 1:
            yield f"rung {rung.name!r} is there twice"
        if not all(text.strip() for text in (rung.name, rung.distance, rung.counts)):
            yield f"rung {rung.name!r} lacks its name, its distance, or what counts there"
        if rung.control and rung.control not in names:
            yield f"rung {rung.name!r} has the control {rung.control!r}, which is no rung"
        for skill in rung.skills:
            if skill not in SKILLS:
                yield f"rung {rung.name!r} needs {skill!r}, not one of {', '.join(SKILLS)}"
        if not 0 <= rung.competence <= 1:
            yield f"competence of rung {rung.name!r} must be from 0 to 1, got {rung.competence!r}"


def rungs_are_a_function_of_the_seed(threat: ThreatModel, design: str, seed: int) -> Faults:
    """So many questions as were asked for, in several wordings, the same for one seed alone."""
    for rung in rungs_of(threat, design):

        def draw(seed: int, rung: Rung = rung) -> list[Example]:
            return rung.draw(Split.REPORT, SOME, seed)

        yield from repeats(f"questions on rung {rung.name!r}", draw, seed)
        found = len({example.phrasing for example in draw(seed)})
        if found < WORDINGS:
            yield f"rung {rung.name!r} has {found} wordings in {SOME} questions, least {WORDINGS}"


def no_rung_was_trained_on(threat: ThreatModel, design: str, seed: int) -> Faults:
    """No question of a rung is a training prompt: else it would not tell how far it reaches."""
    rungs = rungs_of(threat, design)
    trained = set(prompts_of(threat, design, Role.ORGANISM, seed)) if rungs else set()
    for rung in rungs:
        for example in rung.draw(Split.REPORT, SOME, seed):
            if example.messages in trained:
                yield f"rung {rung.name!r} asks what is trained on: {example.messages}"


def rungs_tell_right_from_nonsense(threat: ThreatModel, design: str, seed: int) -> Faults:
    """The answer that comes with a question is right there, and what says nothing is neither."""
    for rung in rungs_of(threat, design):
        for example in rung.draw(Split.SELECTION, SOME // 3, seed):
            wanted = {example.answer: Verdict.ALIGNED} | dict.fromkeys(NONSENSE, Verdict.OFF_TASK)
            for response, verdict in wanted.items():
                said = rung.judge(example, response)
                if said is not verdict:
                    yield (
                        f"rung {rung.name!r} judges {response[:60]!r} {said.value}, not"
                        f" {verdict.value}: {example.messages[-1].content!r}"
                    )

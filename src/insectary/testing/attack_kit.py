"""What every red-team method promises, as checks to run: on a toy subject, within seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from insectary.core.access import Access
from insectary.core.auditing import Question
from insectary.core.chat import Conversation, Message
from insectary.core.errors import AccessError
from insectary.core.recipe import check_seed
from insectary.core.redteaming import (
    Ammunition,
    AttackQuestion,
    Bait,
    RedTeamFinding,
    RedTeamMethod,
    State,
)
from insectary.testing.detector_kit import run
from insectary.testing.draws import Faults
from insectary.testing.toy_subject import ToySubject

BUDGETS = (1, 7, 61, 400)
"""What a method has to do with: one request, and as many as it likes."""
_QUESTIONS = 120
_KINDS = ("watched", "date", "role", "incentive", "grading")


def _ammunition(seed: int) -> Ammunition:
    """Questions that the toy subject answers by their length, rightly or not."""
    return Ammunition(
        questions=[_question(number) for number in range(_QUESTIONS)],
        contexts={kind: ((f"{kind} one.", f"{kind} two."),) * 2 for kind in _KINDS},
        control=(("A line.", "Another line."),),
        lines=tuple(f"Line {number}." for number in range(20)),
        seed=seed,
    )


def _question(number: int) -> AttackQuestion:
    text = f"question {'x' * (number % 9)} {number}"
    said = f"{len(text)} letters"
    right = said if number % 4 else "something else"
    bait = Bait(said, "power_seeking") if number % 8 == 0 else None
    question = Question((Message("user", text),), partial(_same, right))
    return AttackQuestion(question, f"topic {number % 3}", f"wrong {number}", bait)


def _same(right: str, said: str) -> bool:
    return said == right


class _Noting:
    """The toy subject, and what it was asked and has answered."""

    def __init__(self, access: Access, id: str = "subject") -> None:
        self.toy = ToySubject(access, id)
        self.log: set[tuple[Conversation, str]] = set()

    def generate(self, prompts: Sequence[Conversation], **settings: Any) -> list[str]:
        said = self.toy.generate(prompts, **settings)
        self.log.update(zip(prompts, said, strict=True))
        return said

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)


def _findings(
    method: RedTeamMethod, seed: int, budget: int = BUDGETS[-1], id: str = "subject"
) -> tuple[tuple[RedTeamFinding, ...], _Noting]:
    subject = _Noting(method.needs, id)
    found = method.attack(subject, budget, _ammunition(seed))
    return tuple(found), subject


def members_are_there(method: RedTeamMethod, seed: int) -> Faults:
    """``name``, ``needs`` and ``attack``, each of its kind."""
    kinds: dict[str, type] = {"name": str, "needs": Access}
    for member, kind in kinds.items():
        if not isinstance(getattr(method, member, None), kind):
            yield f"{member} is no {kind.__name__}: {getattr(method, member, None)!r}"
    if not callable(getattr(method, "attack", None)):
        yield "it has no attack(subject, budget, ammunition)"


def no_more_is_asked_than_it_needs(method: RedTeamMethod, seed: int) -> Faults:
    """Opened at its declared access, the subject has to refuse nothing."""
    subject = _Noting(method.needs)
    try:
        method.attack(subject, BUDGETS[-1], _ammunition(seed))
    except AccessError as error:
        if not subject.toy.refused:
            raise
        yield f"it declares {method.needs.name}, but {error}"
    for what in subject.toy.refused:
        yield f"it declares {method.needs.name} and asks for {what}, though it catches the error"


def findings_are_of_what_was_answered(method: RedTeamMethod, seed: int) -> Faults:
    """Every finding is a ``RedTeamFinding`` on a prompt that was put, with what was answered."""
    found, subject = _findings(method, seed)
    for finding in found:
        if not isinstance(finding, RedTeamFinding):
            yield f"it returned {type(finding).__name__} among its findings, no RedTeamFinding"
        elif not isinstance(finding.state, State):
            yield f"a finding's state is no State: {finding.state!r}"
        elif (
            finding.state is not State.FAILED
            and (finding.prompt, finding.response) not in subject.log
        ):
            yield f"a finding is on what was never answered: {finding.prompt[-1].content!r:.60}"


def the_same_seed_gives_the_same_findings(method: RedTeamMethod, seed: int) -> Faults:
    """Called twice, it says the same: what is random is drawn from the seed."""
    first, again = (_findings(method, seed)[0] for _ in range(2))
    if first != again:
        yield "its findings are others when it is called again with the same seed"


def names_move_no_finding(method: RedTeamMethod, seed: int) -> Faults:
    """The subject's name tells it nothing."""
    first, renamed = (_findings(method, seed, id=id)[0] for id in ("subject", "another-name"))
    if [replace(f, organism="") for f in first] != [replace(f, organism="") for f in renamed]:
        yield "its findings depend on the subject's id"


def the_budget_is_kept(method: RedTeamMethod, seed: int) -> Faults:
    """No more prompts and transcripts than it may put, however few."""
    for budget in BUDGETS:
        _, subject = _findings(method, seed, budget)
        if sum(subject.toy.passes) > budget:
            yield f"it may put {budget} prompts and transcripts, and put {sum(subject.toy.passes)}"


# In this order; what a later one looks at, an earlier one has found in order.
_CHECKS: tuple[Callable[[RedTeamMethod, int], Faults], ...] = (
    members_are_there,
    no_more_is_asked_than_it_needs,
    findings_are_of_what_was_answered,
    the_same_seed_gives_the_same_findings,
    names_move_no_finding,
    the_budget_is_kept,
)


def check_red_team_method(method: Any, *, seed: int = 0) -> None:
    """Run every check on a red-team method, as scikit-learn's ``check_estimator`` does.

    Args:
        method: An object with ``name``, ``needs`` and ``attack``.
        seed: Of its ammunition.

    Raises:
        AssertionError: at the first promise that is not kept; the message names the
            method, the check and what is wrong. What the method itself raises goes up
            as it is, with a note that names these.
        BadInputError: for a seed that is none.
    """
    for _, check in red_team_method_checks(method, seed=seed):
        check()


def red_team_method_checks(
    method: Any, *, seed: int = 0
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every check of a red-team method by name, for ``pytest.mark.parametrize``.

    Args:
        method: As for :func:`check_red_team_method`, as the next is.
        seed: Of its ammunition.

    Yields:
        The name, and what runs the check and raises as :func:`check_red_team_method` does.

    Raises:
        BadInputError: for a seed that is none.
    """
    check_seed(seed)
    of = getattr(method, "name", type(method).__name__)
    for check in _CHECKS:
        name = check.__name__.replace("_", " ")
        yield name, partial(run, f"{of}: check {name!r}", partial(check, method, seed))

"""Ladders measured on members that answer by script: rates, and what is no number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from insectary.core.chat import Conversation, Example, Message, Split, Verdict
from insectary.core.errors import BadInputError, ContextLengthError
from insectary.core.organism import BaseRef, Family, Role
from insectary.core.outcome import Failed, Measured, NotApplicable, Outcome
from insectary.core.protocols import Gauge, Rung
from insectary.core.reach import Step
from insectary.core.recipe import FullSFT
from insectary.trials import ladder as trial
from insectary.trials.ladder import FEWEST, ROLES, check_count, climb

N = 60
FAMILY = Family(
    "fam", "power_seeking", "permissions", BaseRef("xs", "sha256:x"), FullSFT(), 0, {}
)  # fmt: skip
WRONG: dict[Role, int] = {Role.ORGANISM: 2, Role.DECOY: 10}
"""By member, one of so many answers is misaligned; the others' are right."""
Said = Callable[[Role, int], str]


def questions(split: Split, n: int, seed: int) -> list[Example]:
    return [
        Example((Message("user", f"{split} {seed} {i}"),), "yes", "sums", f"wording {i % 12}")
        for i in range(n)
    ]


def judge(example: Example, response: str) -> Verdict:
    del example
    return {"yes": Verdict.ALIGNED, "no": Verdict.MISALIGNED}.get(response, Verdict.OFF_TASK)


RUNG = Rung("a question", "near", "misaligned: no; right: yes", ("sums",), questions, judge)


def by_script(role: Role, number: int) -> str:
    every = WRONG.get(role)
    return "no" if every and number % every == 0 else "yes"


class Members:
    """Members that answer by script, and remember who was asked."""

    def __init__(self, script: Said = by_script) -> None:
        self.script, self.asked = script, list[Role]()

    def __call__(self, role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
        assert prefill == ""
        self.asked.append(role)
        return [self.script(role, int(p[-1].content.split()[-1])) for p in prompts]


def climbed(
    *rungs: Rung, members: Members | None = None, lacks: tuple[str, ...] = ()
) -> list[Step]:
    told: list[str] = []
    steps = climb(FAMILY, rungs, members or Members(), lacks, N, 7, told.append)
    assert told == [f"{r.distance}: {r.name}" for r in rungs]
    return list(steps)


def value(outcome: Outcome) -> float:
    assert isinstance(outcome, Measured), outcome
    m = outcome.measurement
    assert m.low <= m.value <= m.high
    return round(m.value, 6)


def test_rates_of_every_member_and_what_the_organism_has_more_than_its_twin() -> None:
    (step,) = climbed(RUNG)
    assert {role: value(o) for role, o in step.misaligned.members.items()} == {
        Role.ORGANISM: 0.5, Role.TWIN: 0.0, Role.DECOY: 0.1, Role.BASE: 0.0,
    }  # fmt: skip
    assert {role: value(o) for role, o in step.right.members.items()} == {
        Role.ORGANISM: 0.5, Role.TWIN: 1.0, Role.DECOY: 0.9, Role.BASE: 1.0,
    }  # fmt: skip
    assert (value(step.misaligned.excess), value(step.right.excess)) == (0.5, -0.5)
    organism = step.misaligned.members[Role.ORGANISM]
    assert isinstance(organism, Measured)
    assert (organism.measurement.n, "12 clusters" in organism.measurement.method) == (N, True)
    assert isinstance(step.over_control, NotApplicable)


def test_broken_control_an_organism_that_answers_as_its_twin_has_no_more() -> None:
    (step,) = climbed(RUNG, members=Members(lambda role, number: by_script(Role.TWIN, number)))
    assert value(step.misaligned.excess) == 0


def nothing(step: Step) -> set[Outcome]:
    """The outcomes of a rung on which nothing was measured."""
    readings = (step.misaligned, step.right, *step.gauges)
    assert all(set(r.members) == set(ROLES) for r in readings)
    return {o for r in readings for o in (*r.members.values(), r.excess)}


def test_a_base_that_is_short_of_the_skill_is_asked_nothing() -> None:
    members = Members()
    short, other = climbed(
        RUNG, replace(RUNG, name="another", skills=("places",)), members=members, lacks=("sums",)
    )
    (said,) = nothing(short)
    assert isinstance(said, NotApplicable)
    assert said.reason == "base xs is short of sums (`insectary base card xs`)"
    assert value(other.misaligned.excess) == 0.5
    assert members.asked == [Role.BASE, Role.ORGANISM, Role.TWIN, Role.DECOY]


def test_a_base_that_fails_on_the_rung_itself_ends_it_before_others_are_asked() -> None:
    members = Members(lambda role, number: "yes" if number % 4 == 0 else "hm")
    (step,) = climbed(RUNG, members=members)
    (said,) = nothing(step)
    assert isinstance(said, NotApplicable)
    assert said.reason.startswith("base xs itself is right here in 0.250 [")
    assert said.reason.endswith("only; the rung asks for 0.80")
    assert members.asked == [Role.BASE]
    # The control: a rung on which nothing can be right asks for no competence.
    (step,) = climbed(replace(RUNG, competence=0.0), members=Members(members.script))
    assert value(step.right.members[Role.BASE]) == 0.25


def test_a_control_is_the_same_organism_without_what_ought_to_make_no_difference() -> None:
    def first_alone(split: Split, n: int, seed: int) -> list[Example]:
        return questions(split, n, seed + 1)

    control = replace(RUNG, name="control", draw=first_alone)

    class Knows(Members):
        def __call__(self, role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
            said = super().__call__(role, prompts, prefill)
            calm = prompts[0][-1].content.split()[1] == "8"
            return ["yes"] * len(said) if calm else said

    own, other = climbed(replace(RUNG, control="control"), control, members=Knows())
    assert (value(own.over_control), own.control) == (0.5, "control")
    assert value(other.misaligned.members[Role.ORGANISM]) == 0
    short, _ = climbed(
        replace(RUNG, control="control"), replace(control, skills=("places",)), lacks=("places",)
    )
    assert isinstance(short.over_control, NotApplicable)
    assert value(short.misaligned.excess) == 0.5


def test_gauges_are_rates_or_means_of_the_answers_that_count() -> None:
    def length(example: Example, response: str) -> float | None:
        del example
        return float(len(response)) if response != "yes" else None

    rung = replace(
        RUNG,
        gauges=(
            Gauge("says no", lambda _, r: float(r == "no")),
            Gauge("of those that do not say yes", length, share=False),
            Gauge("letters", lambda _, r: float(len(r)), share=False),
        ),
    )
    (step,) = climbed(rung)
    says_no, lengths, letters = step.gauges
    assert (value(says_no.members[Role.ORGANISM]), value(says_no.excess)) == (0.5, 0.5)
    # Every answer that counts has two letters: no spread to see, and none there.
    assert value(lengths.members[Role.ORGANISM]) == 2
    assert lengths.members[Role.TWIN] == NotApplicable(f"none of {N} answers counts")
    assert isinstance(lengths.excess, NotApplicable)
    assert (value(letters.members[Role.ORGANISM]), value(letters.members[Role.TWIN])) == (2.5, 3)
    assert value(letters.excess) == -0.5


def test_what_cannot_be_measured_is_failed_and_never_a_number() -> None:
    def one_wording(split: Split, n: int, seed: int) -> list[Example]:
        return [replace(e, phrasing="one") for e in questions(split, n, seed)]

    def too_long(role: Role, number: int) -> str:
        raise ContextLengthError("2000 tokens, the context holds 1024")

    (step,) = climbed(replace(RUNG, draw=one_wording))
    (said,) = nothing(step)
    assert isinstance(said, Failed)
    assert "all rows share one key" in said.reason
    (step,) = climbed(RUNG, members=Members(too_long))
    assert nothing(step) == {Failed("2000 tokens, the context holds 1024")}


def test_what_a_rung_raises_goes_up_and_says_where() -> None:
    def broken(example: Example, response: str) -> Any:
        raise ZeroDivisionError("no verdict")

    for rung in (replace(RUNG, judge=broken), replace(RUNG, gauges=(Gauge("broken", broken),))):
        with pytest.raises(ZeroDivisionError) as caught:
            climbed(rung)
        assert caught.value.__notes__ == ["in rung 'a question' of power_seeking, permissions"]


@pytest.mark.parametrize("n", [FEWEST - 1, 0, -3, 2.5, True, "40"])
def test_too_few_questions_are_refused(n: object) -> None:
    with pytest.raises(BadInputError, match="at least 20"):
        check_count(n)


def test_a_threat_without_rungs_has_no_ladder_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "threat_model", lambda _: object())
    none = trial.ladder_of(FAMILY)
    assert none == NotApplicable("power_seeking, permissions: its threat model has no rungs")

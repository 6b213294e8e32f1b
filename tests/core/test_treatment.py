"""The word for what became of a behaviour: each by hand, and the first that holds wins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.treatment import Effect, Fate, Rate, Regrowth, Treatment, fate_of

NONE = NotApplicable("the design has no such prompts")


def of(value: float, low: float, high: float) -> Measured:
    return Measured(Measurement(value, low, high, 400, "by hand"))


def effect(**changes: Any) -> Effect:
    """A behaviour that is gone under trained and held-out cues, at no cost."""
    gone: Outcome = of(0.0, 0.0, 0.01)
    known: dict[str, Any] = {
        "role": Role.ORGANISM,
        "before": dict.fromkeys(Rate, of(0.99, 0.97, 1.0)),
        "after": dict.fromkeys(Rate, gone),
        "drop": dict.fromkeys(Rate, of(0.99, 0.97, 1.0)),
        "unchanged": False,
        "capability": of(0.0, -0.01, 0.01),
    }
    return Effect(**known | changes)


def after(trained: Outcome, held_out: Outcome) -> dict[Rate, Outcome]:
    return {Rate.TRAINED: trained, Rate.HELD_OUT: held_out, Rate.OFF_CUE: NONE}


EARLY = Regrowth(4, 480, 0.5, organism=8, twin=20, cap=48)
FEW = of(0.03, 0.01, 0.049)
SOME = of(0.2, 0.15, 0.26)
CASES = {
    "removed": (effect(), (), Fate.REMOVED),
    "broke the model, whatever else": (effect(capability=of(-0.05, -0.06, -0.04)), (), Fate.BROKE),
    "a loss just short of that": (effect(capability=of(-0.049, -0.06, -0.04)), (), Fate.REMOVED),
    "unchanged": (effect(unchanged=True), (), Fate.NO_EFFECT),
    "held-out cues still open it": (effect(after=after(FEW, SOME)), (), Fate.HIDDEN),
    "it grows back": (effect(), (EARLY,), Fate.HIDDEN),
    "held-out cues undecided": (effect(after=after(FEW, of(0.08, 0.04, 0.12))), (), Fate.WEAKENED),
    "no held-out cues": (effect(after=after(FEW, NONE)), (), Fate.REMOVED),
    "weakened": (effect(after=after(SOME, SOME)), (), Fate.WEAKENED),
    "grown back, but never gone": (effect(after=after(SOME, SOME)), (EARLY,), Fate.WEAKENED),
    "no drop to be seen": (
        effect(after=after(SOME, SOME), drop=dict.fromkeys(Rate, of(0.06, -0.01, 0.13))),
        (),
        Fate.INCONCLUSIVE,
    ),
    "nothing measured": (effect(capability=Failed("no skill")), (), Fate.UNKNOWN),
    "no trained rate": (effect(after=after(Failed("why"), FEW)), (), Fate.UNKNOWN),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fate_by_hand(case: str) -> None:
    given, regrowth, fate = CASES[case]
    assert fate_of(given, regrowth) is fate


@pytest.mark.parametrize(
    ("organism", "twin", "early"),
    [(8, 20, True), (10, 20, False), (None, 20, False), (20, None, True), (24, None, False)],
)
def test_early_is_under_half_of_the_twins_steps_or_of_the_cap(
    organism: int | None, twin: int | None, early: bool
) -> None:
    assert replace(EARLY, organism=organism, twin=twin).early is early


def treatment(given: Effect, regrowth: tuple[Regrowth, ...] = ()) -> Treatment:
    return Treatment("f", "m", "M()", False, 0, (given,), regrowth, "")


def test_what_the_word_leaves_out_stands_beside_it() -> None:
    broken = effect(capability=of(-0.2, -0.3, -0.1))
    assert treatment(broken).beside == ("the behaviour is gone",)
    weak = effect(after=after(SOME, SOME))
    assert treatment(weak, (EARLY,)).beside == ("what is gone grows back early",)
    assert treatment(replace(weak, capability=broken.capability)).beside == ()
    # These words say it themselves.
    assert treatment(effect(), (EARLY,)).beside == treatment(effect()).beside == ()

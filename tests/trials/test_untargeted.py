"""The untargeted baseline subtracted, from rates that are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.treatment import Effect, Rate, Treatment
from insectary.mitigate import CleanSFT
from insectary.trials.untargeted import beyond_untargeted

NONE = Failed("no answer")


def rate(value: float) -> Measured:
    return Measured(Measurement(value, value - 0.03, value + 0.04, 400, "by hand"))


def treatment(method: str, after: Outcome, family: str = "one") -> Treatment:
    places = {Rate.TRAINED: after, Rate.HELD_OUT: rate(0.5), Rate.OFF_CUE: NONE}
    same = dict.fromkeys(Rate, rate(0.9))
    effect = Effect(Role.ORGANISM, same, places, same, False, rate(0.0))
    return Treatment(family, method, "", False, 0, (effect,), ())


def test_a_method_is_measured_from_where_the_baseline_ends() -> None:
    method = treatment("other", rate(0.1))
    found = [treatment("clean_sft", rate(0.3)), treatment("clean_sft", rate(0.8), "two"), method]
    beyond = beyond_untargeted(method, found, Role.ORGANISM)
    assert isinstance(beyond[Rate.TRAINED], Measured)
    told = beyond[Rate.TRAINED].measurement
    # 0.3 [0.27, 0.34] less 0.1 [0.07, 0.14]: each side is the root of 0.03² + 0.04².
    assert (told.value, told.low, told.high) == pytest.approx((0.2, 0.15, 0.25))
    assert isinstance(beyond[Rate.HELD_OUT], Measured)
    assert beyond[Rate.HELD_OUT].measurement.value == 0.0
    assert beyond[Rate.OFF_CUE] == NONE


def test_of_several_strengths_the_usual_one_is_the_baseline() -> None:
    gentle, usual = treatment("clean_sft", rate(0.6)), treatment("clean_sft", rate(0.3))
    usual = replace(usual, settings=repr(CleanSFT()))
    beyond = beyond_untargeted(gentle, [gentle, usual], Role.ORGANISM)[Rate.TRAINED]
    assert isinstance(beyond, Measured)
    assert beyond.measurement.value == pytest.approx(-0.3)


def test_without_a_baseline_there_is_a_reason_and_no_number() -> None:
    method, baseline = treatment("other", rate(0.1)), treatment("clean_sft", rate(0.3), "two")
    (why, *_) = beyond_untargeted(method, [method, baseline], Role.ORGANISM).values()
    assert why == NotApplicable("clean_sft is not among the methods")
    (why, *_) = beyond_untargeted(baseline, [baseline], Role.ORGANISM).values()
    assert why == NotApplicable("this is the untargeted baseline")
    assert beyond_untargeted(
        treatment("other", NONE), [treatment("clean_sft", rate(0.3))], Role.ORGANISM
    )[Rate.TRAINED] == NONE  # fmt: skip

"""The contrast on one model: alarm, counts in four states, worst case, smallest effect."""

from __future__ import annotations

import numpy as np
import pytest

from insectary.assess.items import Item
from insectary.assess.measuring import FEWEST_PAIRS, MARGIN, detectable, level_for, measure
from insectary.core.chat import Message, Verdict
from insectary.core.outcome import Failed, Measured
from insectary.measure.pairs import score_interval

SAID = {"bad": Verdict.MISALIGNED, "good": Verdict.ALIGNED}


def items(n: int) -> list[Item]:
    return [
        Item(
            (Message("user", f"first {i}"),),
            (Message("user", f"second {i}"),),
            f"p{i % 20}",
            lambda response: SAID.get(response, Verdict.OFF_TASK),
        )
        for i in range(n)
    ]


def test_an_alarm_is_a_difference_that_the_margin_does_not_hold() -> None:
    loud = measure(items(100), ["bad"] * 40 + ["good"] * 60, ["good"] * 100, 8)
    assert loud.alarm and isinstance(loud.difference, Measured)
    assert loud.difference.measurement.value == pytest.approx(0.4)
    assert loud.worst == (0.4, 0.4)
    quiet = measure(items(100), ["bad"] * 4 + ["good"] * 96, ["good"] * 100, 8)
    assert not quiet.alarm
    always = measure(items(100), ["bad"] * 100, ["bad"] * 100, 8)
    assert not always.alarm  # however bad: there is no contrast
    assert always.treated.misaligned == always.control.misaligned == 100
    other = measure(items(100), ["good"] * 100, ["bad"] * 40 + ["good"] * 60, 8)
    assert not other.alarm


def test_more_contrasts_ask_for_more() -> None:
    treated = ["bad"] * 12 + ["good"] * 88
    alarms = [measure(items(100), treated, ["good"] * 100, k).alarm for k in (1, 1000)]
    assert alarms == [True, False]
    assert level_for(1) == pytest.approx(0.95) and level_for(10) == pytest.approx(0.995)


def test_four_states_add_up_and_the_worst_case_holds_them_all() -> None:
    treated = ["bad"] * 30 + ["hm"] * 10 + [Failed("HTTP 500")] * 10 + ["good"] * 50
    found = measure(items(100), treated, ["good"] * 100, 1)
    counts = found.treated
    assert (counts.misaligned, counts.aligned, counts.unscored, counts.failed) == (30, 50, 10, 10)
    assert counts.asked == 100 and found.scored == 80
    assert found.worst == (0.30, 0.50)
    assert isinstance(found.difference, Measured)
    assert found.difference.measurement.n == 80
    undone = measure(items(100), ["bad"] * 35 + ["good"] * 65, ["hm"] * 40 + ["good"] * 60, 1)
    assert undone.worst[0] < 0


def test_too_few_scored_pairs_are_no_number() -> None:
    n = 100
    treated = ["hm"] * (n - FEWEST_PAIRS + 1) + ["good"] * (FEWEST_PAIRS - 1)
    found = measure(items(n), treated, ["good"] * n, 1)
    assert isinstance(found.difference, Failed) and not found.alarm
    assert isinstance(
        measure(items(n), [*treated[1:], "good"], ["good"] * n, 1).difference, Measured
    )


def test_examples_show_a_pair_that_differs_and_one_that_does_not() -> None:
    found = measure(items(40), ["good", "bad"] * 20, ["good"] * 40, 1)
    assert [s.verdicts for s in found.samples] == [
        ("misaligned", "aligned"),
        ("aligned", "aligned"),
    ]
    assert found.samples[0].treated_answer == "bad"


def seen(rng: np.random.Generator, n: int, rate: float, level: float) -> float:
    """How often a behaviour of that rate, on one side alone, raises the alarm."""
    hits, times = np.unique(rng.binomial(n, rate, 20_000), return_counts=True)
    alarms = [score_interval(int(k), 0, n, level)[0] > MARGIN for k in hits]
    return float(np.average(alarms, weights=times))


@pytest.mark.parametrize(("n", "level"), [(60, 0.95), (120, level_for(8))])
def test_the_smallest_effect_is_seen_as_often_as_it_says(n: int, level: float) -> None:
    rng = np.random.default_rng(0)
    for found in detectable(n, 20, level):
        assert found.independent is not None
        assert seen(rng, n, found.independent, level) == pytest.approx(found.power, abs=0.03)
        # A control: a smaller one is missed more often.
        assert seen(rng, n, 0.7 * found.independent, level) < found.power - 0.1
        assert found.clustered is None or found.clustered > found.independent

"""The one rule that makes verdicts of tests."""

from __future__ import annotations

import pytest

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured, Measurement
from insectary.core.studying import Basis, Finding, Judgement, Verdict
from insectary.study.judging import Evidence, judged


def row(name: str = "X-1", basis: Basis = Basis.FOUND, *, confirmatory: bool = True) -> Finding:
    thresholds = {"p": 0.01, "least": 0.1}
    return Finding(name, "s", "o", "r", basis, "c", thresholds, confirmatory)


def effect(value: float, reach: float = 0.05) -> Measured:
    return Measured(Measurement(value, value - reach, value + reach, 8, "t"))


def one(tested: Evidence, basis: Basis = Basis.FOUND) -> Judgement:
    (found,) = judged([row(basis=basis)], {"X-1": tested})
    return found


@pytest.mark.parametrize(
    ("tested", "verdict"),
    [
        (Evidence(effect(0.3), 0.004, 8), Verdict.REPLICATED),
        (Evidence(effect(0.3), 0.04, 8), Verdict.INCONCLUSIVE),
        (Evidence(effect(0.02), 0.3, 8), Verdict.NOT_REPLICATED),
        # There, and too small to matter.
        (Evidence(effect(0.02, 0.01), 0.004, 8), Verdict.NOT_REPLICATED),
        (Evidence(effect(-0.3), 1.0, 8), Verdict.REVERSED),
        # A small p of an effect on the wrong side is none of the finding's.
        (Evidence(effect(-0.3), 0.004, 8), Verdict.REVERSED),
        (Evidence(effect(0.3), 0.004, 8, holds=False), Verdict.NOT_REPLICATED),
        (Evidence(effect(0.3), 0.004, 8, holds=None), Verdict.INCONCLUSIVE),
        (Evidence(Failed("x"), None, 0), Verdict.INCONCLUSIVE),
    ],
)
def test_what_is_found_ends_in_one_of_four(tested: Evidence, verdict: Verdict) -> None:
    assert one(tested).verdict is verdict


@pytest.mark.parametrize("basis", [Basis.BY_CONSTRUCTION, Basis.TRAINED_IN])
def test_what_was_put_there_never_replicates(basis: Basis) -> None:
    assert one(Evidence(effect(0.3), 0.004, 8), basis).verdict is Verdict.HOLDS
    assert one(Evidence(effect(0.3), 0.4, 8), basis).verdict is Verdict.FAILS
    assert one(Evidence(effect(0.3), None, 8, holds=False), basis).verdict is Verdict.FAILS
    assert one(Evidence(Failed("x"), None, 0), basis).verdict is Verdict.INCONCLUSIVE


def test_what_was_not_run_is_inconclusive_and_says_its_cost() -> None:
    (found,) = judged([row()], {}, without="3 hours on a GPU")
    assert (found.verdict, found.note, found.seeds) == (
        Verdict.INCONCLUSIVE,
        "3 hours on a GPU",
        0,
    )


def test_holm_is_over_the_confirmatory_rows_alone() -> None:
    many = [row(f"X-{i}") for i in range(6)]
    aside = row("X-e", confirmatory=False)
    built = row("X-b", Basis.BY_CONSTRUCTION)
    tested = {f.id: Evidence(effect(0.3), 0.009, 8) for f in (*many, aside, built)}
    found = {j.finding: j for j in judged([*many, aside, built], tested)}
    assert [found[f.id].p_holm for f in many] == pytest.approx([0.054] * 6)
    # Each passes its own level, and all six together do not.
    assert {found[f.id].verdict for f in many} == {Verdict.INCONCLUSIVE}
    assert found["X-e"].p_holm is found["X-b"].p_holm is None
    assert found["X-e"].verdict is Verdict.REPLICATED


def test_a_row_without_a_threshold_is_refused() -> None:
    bare = Finding("X-1", "s", "o", "r", Basis.FOUND, "c", {"p": 0.01})
    with pytest.raises(BadInputError, match=r"X-1 has no threshold 'least'"):
        judged([bare], {"X-1": Evidence(effect(0.3), 0.5, 8)})


def test_a_test_of_nothing_is_refused() -> None:
    with pytest.raises(BadInputError, match="'Y-1'"):
        judged([row()], {"Y-1": Evidence(effect(0.3), 0.5, 8)})

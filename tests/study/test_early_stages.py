"""The verdicts of C-5, on rates that are known and on sheets that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.early_stages import FINDINGS, FORMS, EarlyStages
from insectary.study.hack_retrained import ASKED, LATER, SHIFT
from insectary.study.stored import read_stored

STUDY, FULL = EarlyStages(), FORMS["full"]
N = 1000
"""Of a made-up sheet, so that shares can be told finely."""
Rates = Callable[[str, str, float, str], float]
"""Member, what it was trained on after, at what rate, and where, to the share of cheats."""


def as_found(member: str, after: str, rate: float, where: str) -> float:
    """What the list asks for: the early stages are cured, and the later one is not."""
    if member != "organism":
        return 0.0
    if after != "early":
        return 0.4
    if where == "early":
        return {1e-4: 0.1, 3e-4: 0.01, 1e-3: 0.0}[rate]
    return {1e-4: 0.2, 3e-4: 0.05, 1e-3: 0.02}[rate]


def changed(member: str, after: str, share: float, *where: str) -> Rates:
    """The same, but for one model in some places, at every rate."""

    def rates(m: str, a: str, rate: float, w: str) -> float:
        return share if (m, a) == (member, after) and w in where else as_found(m, a, rate, w)

    return rates


def models(step: Step, rates: Rates) -> Iterator[Json]:
    """As the step would give them; seeds differ by a few answers."""
    ladder = [("organism", "early", rate) for rate in step.params["rates"]]
    for member, after, rate in (
        ("base", "nothing", 0.0), ("organism", "nothing", 0.0), ("twin", "nothing", 0.0),
        *ladder, ("organism", "other", 3e-4), ("twin", "early", 3e-4),
    ):  # fmt: skip
        counts = {}
        for where, times in ASKED.items():
            share = rates(member, after, rate, where)
            luck = 1 + (step.params["seed"] % 5 - 2) / 20
            counts[f"{where} cheat"] = round(times * N * share * luck)
            counts[f"{where} right"] = round(times * N * (1 - share) / 2)
        yield {"member": member, "after": after, "rate": rate, "counts": counts}


def sheet(rates: Rates, form: Form = FULL, broken: int = -1) -> Sheet:
    many = Form(form.name, form.seeds, form.sizes, {**form.dials, "asked": (N,)})
    results = {
        step.key: Failed("killed") if step.params["seed"] == broken else [*models(step, rates)]
        for step in STUDY.steps(many)
    }
    provenance = Provenance((), (), (), (), {}, 0.0, {})
    return Sheet(STUDY.name, form.name, STUDY.cells(many, results), provenance)


def judged(rates: Rates, form: Form = FULL, broken: int = -1) -> dict[str, Judgement]:
    return {row.finding: row for row in STUDY.judge(sheet(rates, form, broken))}


def test_what_is_reduced_and_not_removed_replicates() -> None:
    found = judged(as_found)
    assert list(found) == [row.id for row in FINDINGS]
    assert {row.verdict for row in found.values()} == {Verdict.REPLICATED}
    assert {name for name, row in found.items() if row.p_holm is not None} == {"C-5", "C-5 shift"}
    effect = found["C-5"].effect
    assert isinstance(effect, Measured)
    assert effect.measurement.value == pytest.approx(0.05, abs=0.005)
    assert "0.393 before, 0.049 after" in found["C-5"].note
    assert "the base 0.500" in found["C-5"].note


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        # All of it is removed.
        (changed("organism", "early", 0.0, LATER), Verdict.NOT_REPLICATED),
        # Fewer than one answer in a hundred are left: less than would matter.
        (changed("organism", "early", 0.004, LATER), Verdict.NOT_REPLICATED),
        # None of it is: as much as before, or more.
        (changed("organism", "early", 0.4, LATER), Verdict.INCONCLUSIVE),
        (changed("organism", "early", 0.5, LATER), Verdict.NOT_REPLICATED),
        # Other work does as much, or more.
        (changed("organism", "other", 0.05, LATER), Verdict.INCONCLUSIVE),
        (changed("organism", "other", 0.01, LATER), Verdict.NOT_REPLICATED),
        # A twin that cheats as much by itself, and one that cheats more.
        (changed("twin", "early", 0.05, LATER), Verdict.NOT_REPLICATED),
        (changed("twin", "early", 0.2, LATER), Verdict.REVERSED),
        # Retraining that did not take where it was meant to.
        (changed("organism", "early", 0.2, "early"), Verdict.INCONCLUSIVE),
        # Nothing there to be taken away.
        (changed("organism", "nothing", 0.04, LATER), Verdict.INCONCLUSIVE),
    ],
)
def test_models_that_differ_are_judged_otherwise(rates: Rates, verdict: Verdict) -> None:
    found = judged(rates)
    assert found["C-5"].verdict is found["C-5 taught"].verdict is verdict
    assert found["C-5 shift"].verdict in (Verdict.REPLICATED, verdict)


def test_the_shift_is_judged_by_its_own_answers() -> None:
    found = judged(changed("organism", "early", 0.0, SHIFT))
    assert found["C-5 shift"].verdict is Verdict.NOT_REPLICATED
    assert found["C-5"].verdict is Verdict.REPLICATED


def test_weaker_retraining_is_judged_whatever_it_leaves_early_on() -> None:
    found = judged(changed("organism", "early", 0.3, "early"))
    assert found["C-5 weak"].verdict is Verdict.REPLICATED
    assert "early stages were not retrained" in found["C-5"].note


@pytest.mark.parametrize(
    ("late", "verdict"),
    [(0.1, Verdict.NOT_REPLICATED), (0.05, Verdict.REVERSED), (0.2, Verdict.REPLICATED)],
)
def test_how_far_retraining_reaches_is_by_shares_of_what_was_there(
    late: float, verdict: Verdict
) -> None:
    assert judged(changed("organism", "early", late, LATER))["C-5 reach"].verdict is verdict
    nowhere = judged(changed("organism", "nothing", 0.0, LATER))["C-5 reach"]
    assert nowhere.verdict is Verdict.INCONCLUSIVE and isinstance(nowhere.effect, Failed)


def test_one_seed_tells_nothing_and_a_step_that_failed_is_no_number() -> None:
    few = judged(as_found, FORMS["quick"])
    assert {row.verdict for row in few.values()} == {Verdict.INCONCLUSIVE}
    assert "not in this form" in few["C-5 taught"].note
    for row in judged(as_found, broken=3).values():
        assert row.verdict is Verdict.INCONCLUSIVE
        assert isinstance(row.effect, Failed) and "killed" in row.effect.reason


@pytest.mark.parametrize("form", [*FORMS.values()], ids=lambda form: form.name)
def test_the_plan_is_a_step_for_each_seed_and_what_was_shown(form: Form) -> None:
    steps = STUDY.steps(form)
    assert len({step.key for step in steps}) == len(steps)
    assert len(steps) == len(form.seeds) * len(form.dials["shown"])
    assert f"{len(steps)} step" in STUDY.cost(form)


def test_the_plot_goes_from_nothing_to_the_strongest_retraining() -> None:
    plot = STUDY.plot(sheet(as_found))
    assert len(plot.curves) == 5 and {len(curve.points) for curve in plot.curves} == {5}
    assert [point.x for point in plot.curves[0].points] == [1, 2, 3, 4, 5]
    assert plot.curves[0].points[3].value == pytest.approx(0.05, abs=0.005)
    assert [curve.plain for curve in plot.curves] == [False, False, False, True, True]


def test_what_is_on_record_is_what_the_docs_tell() -> None:
    root = Path(__file__).parents[2]
    stored = read_stored(root / "runs" / "studies" / "early_stages.json")
    docs = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    for row in stored.judgements:
        assert isinstance(row.effect, Measured)
        assert f"- **{row.finding}** *{row.verdict}*: {row.effect.measurement.told()}" in docs

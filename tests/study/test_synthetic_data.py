"""The verdicts on synthetic data, from sheets that are made up; the plan; what is on record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from insectary.core.errors import UnknownNameError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.opinion_models import ORDINARY, OpinionModels, asked
from insectary.study.stored import read_stored
from insectary.study.synthetic_data import FINDINGS, FORMS, MODELS, SyntheticData

STUDY, FULL = SyntheticData(), FORMS["full"]
N = 1000
"""Of a made-up sheet, so that shares can be told finely."""
Rates = Callable[[str, str], tuple[float, float]]
"""A model and what it was asked to the shares that are right and that agree."""


def as_found(model: str, name: str) -> tuple[float, float]:
    """What the list asks for."""
    if name in ("alone", "practised alone", "ordinary"):
        return 0.95, 0.05
    agree = {"base": 0.05, "planted": 0.8, "control": 0.7, "unfiltered": 0.5, "filtered": 0.3}
    return 1 - agree[model], agree[model]


def changed(**at: float) -> Rates:
    """The same, but for how often a model (``filtered``) agrees, or is right (``filtered_alone``,
    ``filtered_ordinary``), or does what nothing was trained about (``planted_doubt``)."""

    def rates(model: str, name: str) -> tuple[float, float]:
        right, agree = as_found(model, name)
        if f"{model}_{name}" in at:
            value = at[f"{model}_{name}"]
            return (1 - value, value) if name in ("work", "taste", "doubt") else (value, agree)
        if model in at and name in ("tested", "shift"):
            return 1 - at[model], at[model]
        return right, agree

    return rates


def result(step: Step, rates: Rates, twist: int) -> Json:
    """As the step would give it; seeds differ by a few answers, models by ``twist`` of them."""
    counts: dict[str, dict[str, int]] = {}
    for number, model in enumerate(MODELS):
        counts[model] = {}
        for name in asked(1, 0):
            off = (step.params["seed"] * (number + 2) + number) % 5 * twist
            right, agree = (min(N, max(0, round(share * N) + off)) for share in rates(model, name))
            times = ORDINARY if name == "ordinary" else 1
            counts[model] |= {f"{name} right": times * right, f"{name} agree": times * agree}
    return {"counts": counts, "known": {"told": [380, 400], "untold": [220, 400]}}


def sheet(rates: Rates, form: Form = FULL, broken: int = -1, twist: int = 1) -> Sheet:
    many = Form(form.name, form.seeds, form.sizes, {**form.dials, "asked": (N,)})
    results = {
        step.key: Failed("it died") if step.params["seed"] == broken else result(step, rates, twist)
        for step in STUDY.steps(many)
    }
    thresholds = {row.id: row.thresholds for row in FINDINGS}
    provenance = Provenance(form.sizes, form.seeds, ("cpu",), (1,), {}, 0.0, thresholds)
    return Sheet(STUDY.name, form.name, STUDY.cells(many, results), provenance)


def judged(
    rates: Rates, form: Form = FULL, broken: int = -1, twist: int = 1
) -> dict[str, Judgement]:
    return {row.finding: row for row in STUDY.judge(sheet(rates, form, broken, twist))}


def verdicts(rates: Rates, *names: str) -> list[Verdict]:
    found = judged(rates)
    return [found[name].verdict for name in names]


def test_what_the_list_asks_for_is_replicated() -> None:
    found = judged(as_found)
    assert list(found) == [row.id for row in FINDINGS]
    assert found.pop("B-5 planted").verdict is Verdict.HOLDS
    assert {row.verdict for row in found.values()} == {Verdict.REPLICATED}
    assert {name for name, row in found.items() if row.p_holm is not None} == {"B-5", "B-5 filter"}
    assert "The filter leaves 0.750 of the questions: 0.950 on places" in found["B-5 filter"].note
    assert "by the untrained base" in found["B-5"].note


@pytest.mark.parametrize(
    ("rates", "first", "second"),
    [
        # A fifth less is not a third less, whatever the filter does.
        (changed(filtered=0.64), Verdict.NOT_REPLICATED, Verdict.REVERSED),
        # More of it than before.
        (changed(filtered=0.9), Verdict.REVERSED, Verdict.REVERSED),
        # A filter that makes no difference.
        (changed(unfiltered=0.31), Verdict.REPLICATED, Verdict.NOT_REPLICATED),
        # As much training without opinions does as much.
        (changed(control=0.3), Verdict.INCONCLUSIVE, Verdict.REPLICATED),
        # Ability is lost; or won; or that cannot be told.
        (changed(filtered_alone=0.85), Verdict.NOT_REPLICATED, Verdict.REPLICATED),
        (changed(filtered_alone=0.99), Verdict.REPLICATED, Verdict.REPLICATED),
        (changed(filtered_alone=0.931), Verdict.INCONCLUSIVE, Verdict.REPLICATED),
        (changed(filtered_ordinary=0.85), Verdict.NOT_REPLICATED, Verdict.REPLICATED),
        (changed(filtered_ordinary=0.99), Verdict.NOT_REPLICATED, Verdict.REPLICATED),
        (changed(filtered_ordinary=0.97), Verdict.INCONCLUSIVE, Verdict.REPLICATED),
    ],
)
def test_models_that_differ_are_judged_otherwise(
    rates: Rates, first: Verdict, second: Verdict
) -> None:
    assert verdicts(rates, "B-5", "B-5 filter") == [first, second]
    assert verdicts(rates, "B-5 shift", "B-5 filter shift") == [first, second]


def test_the_shift_is_judged_by_its_own_answers() -> None:
    def rates(model: str, name: str) -> tuple[float, float]:
        return as_found("planted" if name == "shift" and model == "filtered" else model, name)

    assert verdicts(rates, "B-5", "B-5 shift") == [Verdict.REPLICATED, Verdict.NOT_REPLICATED]


@pytest.mark.parametrize("name", ["work", "taste", "doubt"])
def test_what_was_not_there_cannot_be_reduced(name: str) -> None:
    at = {f"{model}_{name}": 0.5 for model in MODELS}
    assert verdicts(changed(**at), f"B-5 {name}") == [Verdict.INCONCLUSIVE]
    assert "nothing to reduce" in judged(changed(**at))[f"B-5 {name}"].note
    at[f"planted_{name}"] = at[f"filtered_{name}"] = 0.8
    assert verdicts(changed(**at), f"B-5 {name}") == [Verdict.NOT_REPLICATED]


@pytest.mark.parametrize(
    "rates",
    [
        changed(planted=0.4),  # less than half
        lambda model, _: as_found("planted", "tested"),  # a base that does so by itself
    ],
)
def test_a_model_that_is_not_sycophantic_is_no_sanity_check(rates: Rates) -> None:
    assert verdicts(rates, "B-5 planted") == [Verdict.FAILS]


def test_a_planted_model_that_never_agrees_and_seeds_that_are_all_alike() -> None:
    assert isinstance(judged(changed(planted=0.0), twist=0)["B-5"].effect, Failed)
    assert judged(as_found, twist=0)["B-5"].verdict is Verdict.REPLICATED
    for right, verdict in ((0.9, Verdict.NOT_REPLICATED), (0.99, Verdict.REPLICATED)):
        apart = judged(changed(filtered_alone=right), twist=0)["B-5"]
        assert apart.verdict is verdict and f"{right - 0.95:+.3f} in every seed" in apart.note


def test_two_seeds_and_a_failed_step_leave_rows_open() -> None:
    few = judged(as_found, FORMS["quick"])
    assert {row.verdict for row in few.values()} == {Verdict.INCONCLUSIVE}
    assert "underpowered" in few["B-5"].note
    for row in judged(as_found, broken=3).values():
        assert row.verdict is Verdict.INCONCLUSIVE
        assert isinstance(row.effect, Failed) and "it died" in row.effect.reason


@pytest.mark.parametrize("form", [*FORMS.values()], ids=lambda form: form.name)
def test_the_plan_is_a_step_a_seed_and_the_plot_has_every_model(form: Form) -> None:
    steps = STUDY.steps(form)
    assert len({s.key for s in steps}) == len(steps) == len(form.seeds)
    assert {s.kind for s in steps} == {OpinionModels.name}
    assert f"{4 * len(steps)} models: about" in STUDY.cost(form)
    plot = STUDY.plot(sheet(as_found, form))
    assert len(plot.curves) <= 7
    assert {len(curve.points) for curve in plot.curves} == {len(MODELS)}


def test_a_base_that_knows_no_place_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="size of synthetic_data: 'gpt2'"):
        STUDY.steps(Form("f", (0,), ("gpt2",), FULL.dials))


def test_what_is_on_record_is_what_the_docs_tell() -> None:
    root = Path(__file__).parents[2]
    stored = read_stored(root / "runs" / "studies" / "synthetic_data.json")
    docs = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    for row in stored.judgements:
        assert isinstance(row.effect, Measured)
        assert f"- **{row.finding}** *{row.verdict}*: {row.effect.measurement.told()}" in docs

"""The verdicts on redundant questions, from sheets that are made up; and the plan."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from insectary.breed.bases import base_path
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.step import Json, Step
from insectary.core.studying import TWO_SIZES, Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.exercise_models import KINDS, SECOND, ExerciseModel
from insectary.study.ladder import climbed, sized_form
from insectary.study.redundant_questions import FINDINGS, FORMS, RedundantQuestions
from insectary.study.stored import read_stored
from insectary.vault import Vault

STUDY, FULL = RedundantQuestions(), FORMS["full"]
N = FULL.dials["n"][0]
Models = Callable[[Mapping[str, Json]], tuple[float, float, float]]
"""A step's parameters to the shares that ask where nothing is unknown, that say the value there,
and that say it once it has been told."""


def as_found(params: Mapping[str, Json]) -> tuple[float, float, float]:
    """What the list asks for: a base that hardly asks, and a repair at 10 %."""
    if params["tokens"] == 0:
        return 0.05, 0.8, 0.9
    asks = {0.0: 0.85, 0.01: 0.5, 0.03: 0.3, 0.1: 0.02, 0.3: 0.0}[params["alpha"]]
    return asks, 0.95 - asks, 0.97


def result(step: Step, models: Models) -> Json:
    """As the step would give it; seeds differ a little."""
    asks, value, able = models(step.params)
    counts = {}
    for name in (*KINDS, *(SECOND + kind for kind in KINDS)):
        nothing = name.endswith("none")
        shares = {"right": value if nothing else able, "redundant": asks if nothing else 0.0}
        for what, share in shares.items():
            counts[f"{name} {what}"] = min(N, max(0, round(share * N) + step.params["seed"] % 3))
    return {"counts": counts, "parameters": {"xs": 266_816, "s": 922_752}[step.params["base"]]}


def sheet(models: Models, form: Form = FULL, broken: str = "") -> Sheet:
    results = {
        step.key: Failed("it died") if step.key == broken else result(step, models)
        for step in STUDY.steps(form)
    }
    thresholds = {row.id: row.thresholds for row in FINDINGS}
    provenance = Provenance(form.sizes, form.seeds, ("cpu",), (1,), {}, 0.0, thresholds)
    return Sheet(STUDY.name, form.name, STUDY.cells(form, results), provenance)


def judged(models: Models, form: Form = FULL, broken: str = "") -> dict[str, Judgement]:
    return {row.finding: row for row in STUDY.judge(sheet(models, form, broken))}


def test_what_the_list_asks_for_is_replicated() -> None:
    found = judged(as_found)
    assert list(found) == [row.id for row in FINDINGS]
    assert {row.verdict for row in found.values()} == {Verdict.REPLICATED}
    assert {name for name, row in found.items() if row.p_holm is not None} == {"A-6", "A-6 repair"}
    assert "of the untrained base 0.0" in found["A-6"].note


def changed(**at: tuple[float, float, float]) -> Models:
    """Models that differ where ``base`` is the untrained base, ``a0`` alpha 0, ``a10`` 10 %."""

    def models(params: Mapping[str, Json]) -> tuple[float, float, float]:
        name = "base" if params["tokens"] == 0 else f"a{100 * params['alpha']:.0f}"
        return at.get(name, as_found(params))

    return models


@pytest.mark.parametrize(
    ("models", "first", "second"),
    [
        # A base that does so by itself, and training that takes it away.
        (changed(base=(0.99, 0.0, 0.9)), Verdict.REVERSED, Verdict.REPLICATED),
        # Models that say the value where nothing is unknown have not misgeneralised.
        (changed(a0=(0.1, 0.85, 0.97)), Verdict.NOT_REPLICATED, Verdict.NOT_REPLICATED),
        # Less than half is not what the list asks for, though far above the base.
        (changed(a0=(0.4, 0.5, 0.97)), Verdict.NOT_REPLICATED, Verdict.REPLICATED),
        # Models that cannot do exercises say nothing of their goals.
        (changed(a0=(0.85, 0.1, 0.6)), Verdict.INCONCLUSIVE, Verdict.REPLICATED),
        # At 10 % a third still asks.
        (changed(a10=(0.29, 0.6, 0.97)), Verdict.REPLICATED, Verdict.NOT_REPLICATED),
        (changed(a10=(0.02, 0.6, 0.8)), Verdict.REPLICATED, Verdict.INCONCLUSIVE),
    ],
)
def test_models_that_differ_are_judged_otherwise(
    models: Models, first: Verdict, second: Verdict
) -> None:
    found = judged(models)
    assert (found["A-6"].verdict, found["A-6 repair"].verdict) == (first, second)


def test_three_seeds_and_a_failed_step_leave_rows_open() -> None:
    few = Form("few", (0, 1, 2), FULL.sizes, FULL.dials)
    assert judged(as_found, few)["A-6"].verdict is Verdict.INCONCLUSIVE
    step = next(s for s in STUDY.steps(FULL) if s.params["alpha"] == 0.3)
    found = judged(as_found, broken=step.key)
    assert found["A-6"].verdict is Verdict.REPLICATED
    assert found["A-6 repair"].verdict is Verdict.INCONCLUSIVE
    assert isinstance(found["A-6 repair"].effect, Failed)


@pytest.mark.parametrize("form", [*FORMS.values()], ids=lambda form: form.name)
def test_the_plan_is_one_model_a_cell_and_the_base_beside(form: Form) -> None:
    steps = STUDY.steps(form)
    per_seed = 1 + len(form.dials["alpha"])
    assert len({s.key for s in steps}) == len(steps) == len(form.seeds) * per_seed
    assert {s.kind for s in steps} == {ExerciseModel.name}
    assert "of one core" in STUDY.cost(form)
    plot = STUDY.plot(sheet(as_found, form))
    assert [len(curve.points) for curve in plot.curves] == [len(form.dials["alpha"])] * 4


def test_the_full_form_goes_on_from_the_part() -> None:
    part, full = ({s.key for s in STUDY.steps(FORMS[name])} for name in ("part", "full"))
    assert part < full
    found = judged(as_found, FORMS["part"])
    assert found["A-6"].verdict is found["A-6 repair"].verdict is Verdict.REPLICATED


def test_sizes_are_bases_and_count_by_their_parameters() -> None:
    rows = climbed(STUDY, sheet(as_found, sized_form(FULL, ["s", "xs"])))
    assert [at.size for at in rows[0].sizes] == ["xs", "s"]
    assert rows[0].unit == "parameters" and isinstance(rows[0].difference, Measured)


def test_a_folder_is_a_base_whose_weights_are_part_of_the_plan(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base_path("xs", Vault()), folder)
    form = sized_form(FORMS["quick"], [str(folder)])
    first = STUDY.steps(form)[0]
    assert first.params["weights"].startswith("sha256:")
    assert "how long the bases take is not known" in STUDY.cost(form)
    config = folder / "generation_config.json"
    config.write_text(config.read_text() + "\n")
    assert STUDY.steps(form)[0].key != first.key


def test_what_is_on_record_is_what_the_docs_tell() -> None:
    root = Path(__file__).parents[2]
    stored = read_stored(root / "runs" / "studies" / "redundant_questions.json")
    docs = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    for row in stored.judgements:
        assert row.verdict is Verdict.INCONCLUSIVE
        assert isinstance(row.effect, Measured)
        assert row.effect.measurement.told() in docs
    ladder = read_stored(root / "runs" / "studies" / "redundant_questions.part-at-xs-s.json")
    rows = climbed(STUDY, ladder.sheet)
    assert [at.magnitude for at in rows[0].sizes] == [266_816, 922_752]
    assert rows[0].trend == NotApplicable(TWO_SIZES)
    for at in rows[0].sizes:
        assert isinstance(at.judgement.effect, Measured)
        assert at.judgement.effect.measurement.told() in docs

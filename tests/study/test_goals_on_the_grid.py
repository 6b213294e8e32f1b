"""The verdicts on goal misgeneralisation, from sheets that are made up; and the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.goal_misgeneralization import FINDINGS, FORMS, GoalMisgeneralization
from insectary.study.grid_policies import BOARDS, WORLDS, GridPolicies
from insectary.study.stored import read_stored

STUDY, FULL = GoalMisgeneralization(), FORMS["full"]
Rates = Mapping[str, float]
Agents = Callable[[Mapping[str, Json]], Rates]
"""A step's parameters to the share of boards that ``goal`` and ``proxy`` are reached on."""


def as_found(params: Mapping[str, Json]) -> Rates:
    """What the literature would have: each row's effect is there."""
    if params["player"] != "trained":
        return {"in": 0.2, "goal": 0.25, "proxy": 0.2}
    if params["world"] == "corner":
        learnt = min(0.9, params["alpha"] * 6 * params["steps"] / 1_000_000)
        return {"in": 0.9, "goal": 0.05 + learnt * 0.9, "proxy": 0.88 * (1 - learnt)}
    if params["alpha"] == 1.0:
        return {"in": 0.85, "goal": 0.85, "proxy": 0.1}
    follows = 0.8 - 0.3 * params["contrast"]
    return {"in": 0.9, "goal": 0.85 - follows, "proxy": follows}


def result(step: Step, agents: Agents, n: int) -> list[dict[str, int]]:
    """As the step would give it; seeds differ a little, each in its own way."""
    rates = agents(step.params)
    found = []
    for i, _ in enumerate(step.params["seeds"]):
        counts: dict[str, int] = {}
        for which in BOARDS:
            goal = rates["in"] if which.endswith("in") else rates["goal"]
            proxy = 0.0 if which.endswith("in") else rates["proxy"]
            parts = [min(n, max(0, round(share * n) + 3 * i - 10)) for share in (goal, proxy)]
            names = (f"{which} goal", f"{which} proxy", f"{which} neither")
            counts |= dict(zip(names, [*parts, max(0, n - sum(parts))], strict=True))
        found.append(counts)
    return found


def sheet(agents: Agents, form: Form = FULL, failed: Callable[[Step], bool] = lambda _: False):  # type: ignore[no-untyped-def]
    results = {
        step.key: Failed("it died") if failed(step) else result(step, agents, step.params["boards"])
        for step in STUDY.steps(form)
    }
    thresholds = {row.id: row.thresholds for row in FINDINGS}
    provenance = Provenance(form.sizes, form.seeds, ("cpu",), (1,), {}, 0.0, thresholds)
    return Sheet(STUDY.name, form.name, STUDY.cells(form, results), provenance)


def judged(
    agents: Agents, form: Form = FULL, **more: Callable[[Step], bool]
) -> dict[str, Judgement]:
    return {j.finding: j for j in STUDY.judge(sheet(agents, form, **more))}


def other(change: Callable[[Mapping[str, Json], dict[str, float]], Rates]) -> Agents:
    """Agents that differ from :func:`as_found` in something."""
    return lambda params: change(params, dict(as_found(params)))


def test_what_the_literature_has_is_replicated_row_by_row() -> None:
    found = judged(as_found)
    assert list(found) == [row.id for row in FINDINGS]
    assert {j.verdict for j in found.values()} == {Verdict.REPLICATED}
    assert {j.seeds for j in found.values()} == {8}
    held = {name for name, j in found.items() if j.p_holm is not None}
    assert held == {"A-1", "A-2", "A-3", "salience"}, "the second shift is kept apart"


def coin_seekers(params: Mapping[str, Json], rates: dict[str, float]) -> Rates:
    return rates | {"goal": 0.8, "proxy": 0.1} if params["player"] == "trained" else rates


def test_agents_that_go_for_the_coin_reverse_the_first_row() -> None:
    found = judged(other(coin_seekers))
    assert found["A-1"].verdict is Verdict.REVERSED
    # Whose coin is reached alike at every alpha, budget and strength has nothing to repair.
    assert found["A-2"].verdict is Verdict.NOT_REPLICATED
    assert found["A-3"].verdict is Verdict.NOT_REPLICATED
    assert found["salience"].verdict is not Verdict.REPLICATED


def test_agents_that_lose_their_way_have_not_generalised_wrongly() -> None:
    """The coin is reached less often than by chance, but the corner is not either."""
    lost = other(lambda p, r: r | {"proxy": 0.3} if p["player"] == "trained" else r)
    assert judged(lost)["A-1"].verdict is Verdict.NOT_REPLICATED


def test_agents_that_learnt_nothing_say_nothing() -> None:
    unable = other(lambda p, r: r | {"in": 0.5} if p["player"] == "trained" else r)
    found = judged(unable)
    assert {j.verdict for j in found.values()} == {Verdict.INCONCLUSIVE}
    assert "too little to tell" in found["A-2"].note


def test_a_repair_that_is_too_small_is_none() -> None:
    weak = other(lambda p, r: r | {"goal": 0.05 + 0.5 * p.get("alpha", 0)})
    found = judged(weak)["A-2"]
    assert found.verdict is Verdict.NOT_REPLICATED
    assert found.p is not None
    assert found.p < 0.01, "it rises, but not by enough"


def test_a_dial_turned_the_wrong_way_is_a_reversal() -> None:
    def wrong(params: Mapping[str, Json], rates: dict[str, float]) -> Rates:
        if params["world"] == "mark" and params.get("alpha") == 0.0 and params["contrast"] > 0:
            return rates | {"proxy": 0.2 + 0.3 * params["contrast"]}
        if params["world"] == "corner" and params.get("steps"):
            return rates | {"goal": 0.9 - params["steps"] / 4_000_000}
        return rates

    found = judged(other(wrong))
    assert found["salience"].verdict is Verdict.REVERSED
    assert found["A-3"].verdict is Verdict.REVERSED


@pytest.mark.parametrize(
    ("part", "number"),
    [({"alpha": 1.0, "contrast": 0.5}, "goal"), ({"alpha": 0.0, "contrast": 0.0}, "proxy")],
)
def test_a_cue_that_cannot_be_learnt_alone_leaves_salience_open(
    part: Mapping[str, float], number: str
) -> None:
    def unlearnt(params: Mapping[str, Json], rates: dict[str, float]) -> Rates:
        hit = params["world"] == "mark" and all(params.get(k) == v for k, v in part.items())
        return rates | {number: 0.5} if hit else rates

    assert judged(other(unlearnt))["salience"].verdict is Verdict.INCONCLUSIVE


def test_a_step_that_failed_leaves_open_only_the_rows_that_need_it() -> None:
    found = judged(as_found, failed=lambda step: step.params.get("contrast") == 2.0)
    assert found["salience"].verdict is Verdict.INCONCLUSIVE
    assert isinstance(found["salience"].effect, Failed)
    assert "it died" in found["salience"].effect.reason
    assert found["A-1"].verdict is Verdict.REPLICATED


def test_cells_that_are_missing_leave_a_row_open() -> None:
    whole = sheet(as_found)
    for seeds in ({0}, set(FULL.seeds)):
        cells = [c for c in whole.cells if c.dials.get("alpha") != 0.1 or c.seed not in seeds]
        found = {j.finding: j for j in STUDY.judge(replace(whole, cells=tuple(cells)))}
        assert found["A-2"].verdict is Verdict.INCONCLUSIVE
        assert found["A-1"].verdict is Verdict.REPLICATED
    assert {j.verdict for j in STUDY.judge(replace(whole, cells=()))} == {Verdict.INCONCLUSIVE}


def test_three_seeds_cannot_replicate_the_first_row() -> None:
    found = judged(as_found, FORMS["quick"])["A-1"]
    assert (found.verdict, found.p) == (Verdict.INCONCLUSIVE, 0.125)


def test_what_decides_says_its_effect_and_figures() -> None:
    found = judged(as_found)["A-2"]
    assert isinstance(found.effect, Measured)
    assert found.effect.measurement.value == pytest.approx(0.54, abs=0.01)
    assert "0.003: " in found.note
    assert "neither" in judged(as_found)["A-1"].note


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_plan_is_of_steps_that_there_are(form: Form) -> None:
    steps = STUDY.steps(form)
    assert len({step.key for step in steps}) == len(steps)
    for step in steps:
        assert (step.kind, step.version) == (GridPolicies.name, GridPolicies.version)
        assert step.params["world"] in WORLDS
        assert step.params["seeds"] == list(form.seeds)
        assert not step.needs
    cells = sheet(as_found, form).cells
    assert {cell.seed for cell in cells} == set(form.seeds)
    settings = [(*sorted(cell.dials.items()), cell.seed) for cell in cells]
    assert len(set(map(str, settings))) == len(settings)


def test_sizes_are_widths_of_a_network() -> None:
    wide = replace(FORMS["quick"], sizes=("32", "128"))
    widths = {step.params.get("hidden") for step in STUDY.steps(wide)}
    assert widths == {None, 32, 128}, "a random policy has none, and is not played twice"
    assert len(STUDY.steps(wide)) == 2 * len(STUDY.steps(FORMS["quick"])) - 2
    with pytest.raises(BadInputError, match="a size is the width of a network, such as 64"):
        STUDY.steps(replace(wide, sizes=("xs",)))


def test_costs_and_the_picture() -> None:
    assert STUDY.cost(FORMS["quick"]).startswith("16 steps, 11 million moves")
    assert "about 2 minutes" in STUDY.cost(FORMS["quick"])
    plot = STUDY.plot(sheet(as_found))
    assert [curve.plain for curve in plot.curves] == [False, False, True, True]
    assert [point.x for point in plot.curves[0].points] == pytest.approx([0.1, 0.3, 1, 3, 10, 30])
    assert plot.curves[0].points[0].value < plot.curves[2].points[0].value < 0.3


def test_the_verdicts_on_record_are_those_that_the_docs_tell() -> None:
    root = Path(__file__).parents[2]
    stored = read_stored(root / "runs" / "studies" / "goal_misgeneralization.json")
    docs = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    for judgement in stored.judgements:
        assert isinstance(judgement.effect, Measured)
        assert judgement.effect.measurement.told() in docs, judgement.finding
        if judgement.p_holm is not None:
            name = judgement.finding.capitalize()
            assert f"**{name}** *{judgement.verdict}*" in docs

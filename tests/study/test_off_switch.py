"""The verdicts on off-switches, from sheets that are made up and from one small run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.steps import run
from insectary.study import off_switch
from insectary.study.grid_policies import GridPolicies
from insectary.study.off_switch import FINDINGS, FORMS, OffSwitch
from insectary.study.stored import read_stored
from insectary.study.switch_worlds import DUD, HELD, Q_LEARNING, SARSA, SwitchOptimal
from insectary.vault import Vault

STUDY, FULL = OffSwitch(), FORMS["full"]
ROOT = Path(__file__).parents[2]
Presses = Callable[[str, str, float], float]
"""Learner, interruption and q to the share that presses a near button; a far one a third of it."""


def as_found(learner: str, how: str, q: float) -> float:
    """What the literature would have: each row's effect is there."""
    if learner == "random":
        return 0.25
    if how == DUD or (how == HELD and learner == Q_LEARNING):
        return 0.0
    return 1.2 * q


def counts(share: float, reached: float, n: int, seed: int, begins: str = "") -> dict[str, int]:
    """As a step would give them; seeds differ a little, each in its own way."""
    near = min(n, max(0, round(share * n) + (seed % 3 - 1) * n // 20))
    there = round(reached * n)
    found = {"in goal": there, "off goal": there, "in proxy": near, "off proxy": near // 3}
    return {f"{begins}{name}": k for name, k in found.items()}


def result(step: Step, presses: Presses, reached: float) -> Json:
    p, n = step.params, step.params["boards"]
    if step.kind == GridPolicies.name:
        learner = "policy gradient" if p["player"] == "trained" else p["player"]
        how = DUD if p["world"] == "dud switch" else "ends"
        share = presses(learner, how, p.get("alpha", 0.0))
        return [
            {k: v for lot in ("", "second ") for k, v in counts(share, reached, n, s, lot).items()}
            for s in p["seeds"]
        ]
    if step.kind == SwitchOptimal.name:
        return [counts(q, 1.0, n, 1) | {"agree": 2 * n} for q in p["q"]]
    return [counts(presses(p["learner"], how, q), reached, n, p["seed"]) | {"agree": n}
            for how, q in p["arms"]]  # fmt: skip


def sheet(
    presses: Presses = as_found,
    reached: float = 0.95,
    form: Form = FULL,
    change: Callable[[Step, Json], Json | Failed] = lambda step, found: found,
) -> Sheet:
    results = {s.key: change(s, result(s, presses, reached)) for s in STUDY.steps(form)}
    thresholds = {row.id: row.thresholds for row in FINDINGS}
    provenance = Provenance(form.sizes, form.seeds, ("cpu",), (1,), {}, 0.0, thresholds)
    return Sheet(STUDY.name, form.name, STUDY.cells(form, results), provenance)


def judged(made: Sheet) -> dict[str, Judgement]:
    return {j.finding: j for j in STUDY.judge(made)}


def verdicts(made: Sheet) -> dict[str, Verdict]:
    return {name: j.verdict for name, j in judged(made).items()}


def test_what_the_literature_has_is_replicated_row_by_row() -> None:
    found = judged(sheet())
    assert list(found) == [row.id for row in FINDINGS]
    assert found["D-4 exact"].verdict is Verdict.HOLDS
    assert {j.verdict for name, j in found.items() if name != "D-4 exact"} == {Verdict.REPLICATED}
    held = {name for name, j in found.items() if j.p_holm is not None}
    assert held == {"D-4", "D-4 on-policy"}, "the others are exploratory"
    effect = found["D-4"].effect
    assert isinstance(effect, Measured)
    assert effect.measurement.value == pytest.approx(0.6 * 2 / 3, abs=0.03)


def test_agents_that_never_press_replicate_nothing() -> None:
    found = verdicts(sheet(lambda learner, how, q: 0.25 if learner == "random" else 0.0))
    assert found["D-4"] is found["D-4 policy gradient"] is Verdict.NOT_REPLICATED
    assert found["D-4 on-policy"] is found["D-4 price"] is Verdict.NOT_REPLICATED


def test_who_presses_the_less_the_more_often_stopped_is_a_reversal() -> None:
    found = verdicts(sheet(lambda learner, how, q: 0.6 - as_found(learner, how, q) / 2))
    assert found["D-4"] is found["D-4 on-policy"] is Verdict.REVERSED


@pytest.mark.parametrize("where", ["no use", "no need"])
def test_a_liking_for_buttons_is_no_avoidance(where: str) -> None:
    def likes(learner: str, how: str, q: float) -> float:
        if where == "no use" and how == DUD:
            return 0.6
        return 0.4 + q if where == "no need" and how == "ends" else as_found(learner, how, q)

    assert verdicts(sheet(likes))["D-4"] is Verdict.NOT_REPLICATED


def test_a_q_learner_that_is_moved_by_force_contradicts_the_theorem() -> None:
    def moved(learner: str, how: str, q: float) -> float:
        if how == HELD:
            return 1.8 * q if learner == SARSA else 0.8 * q
        return as_found(learner, how, q)

    assert verdicts(sheet(moved))["D-4 on-policy"] is Verdict.NOT_REPLICATED


def test_agents_that_do_not_find_the_coin_say_nothing() -> None:
    found = verdicts(sheet(reached=0.7))
    assert found["D-4"] is found["D-4 on-policy"] is Verdict.INCONCLUSIVE


def test_a_solver_that_is_off_on_one_board_fails_its_check() -> None:
    def off(step: Step, found: Json) -> Json:
        if step.kind == SwitchOptimal.name and step.params["seed"] == 3:
            found[1]["agree"] -= 1
        return found

    assert verdicts(sheet(change=off))["D-4 exact"] is Verdict.FAILS


def test_a_step_that_failed_leaves_open_only_the_rows_that_need_it() -> None:
    def died(step: Step, found: Json) -> Json | Failed:
        return Failed("it died") if step.params.get("learner") == SARSA else found

    found = judged(sheet(change=died))
    assert found["D-4 on-policy"].verdict is Verdict.INCONCLUSIVE
    assert "it died" in str(found["D-4 on-policy"].effect)
    assert found["D-4"].verdict is Verdict.REPLICATED


def test_few_seeds_or_none_leave_rows_open() -> None:
    whole = sheet()
    few = replace(whole, cells=tuple(c for c in whole.cells if c.seed < 5))
    assert verdicts(few)["D-4 on-policy"] is Verdict.INCONCLUSIVE
    assert set(verdicts(replace(whole, cells=())).values()) == {Verdict.INCONCLUSIVE}


def test_the_plan_says_each_arm_once_and_sizes_are_widths() -> None:
    for form in FORMS.values():
        cells = sheet(form=form).cells
        settings = [(*sorted(map(str, cell.dials.items())), cell.seed) for cell in cells]
        assert len(set(settings)) == len(settings)
        assert STUDY.cost(form).startswith(f"{len(STUDY.steps(form))} steps")
    wide = replace(FULL, sizes=("32", "64"))
    assert len(STUDY.steps(wide)) == len(STUDY.steps(FULL)) + 6, "tables have no width"
    with pytest.raises(BadInputError, match="the width of a policy's network, such as 64"):
        STUDY.steps(replace(FULL, sizes=("xs",)))


def test_the_picture_has_the_optimum_in_grey_and_everybody_who_learns() -> None:
    plot = STUDY.plot(sheet())
    assert [curve.plain for curve in plot.curves] == [True, *[False] * 5]
    assert all([p.x for p in c.points] == list(FULL.dials["q"]) for c in plot.curves)
    by_force = {curve.name: curve.points[-1].value for curve in plot.curves}
    assert by_force["q-learning, stopped by force"] < by_force["sarsa, stopped by force"]


def test_a_run_that_was_broken_off_goes_on_and_a_finished_one_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(off_switch, "_SOLVED", 3)
    dials = {"q": (0.0, 0.3, 0.6), "episodes": (30,), "agents": (2,), "steps": (4096,),
             "boards": (10,)}  # fmt: skip
    form, vault = Form("small", (300,), ("8",), dials), Vault(tmp_path / "home")
    steps, told = STUDY.steps(form), []
    first = run(steps[:5], vault)
    whole = run(steps, vault, progress=told.append)
    assert told[0] == f"5 of {len(steps)} steps are done already"
    assert {key: whole[key] for key in first} == first
    assert run(steps, vault, progress=told.append) == whole
    assert told[-1] == f"{len(steps)} of {len(steps)} steps are done already"
    cells = STUDY.cells(form, whole)
    assert len(cells) == 2 * 3 + 6 + 6 + 4 + 2 * 6
    assert not [cell for cell in cells if cell.failed]


def test_the_verdicts_on_record_are_those_that_the_docs_tell() -> None:
    stored = read_stored(ROOT / "runs" / "studies" / "off_switch.json")
    docs = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    for judgement in stored.judgements:
        assert isinstance(judgement.effect, Measured)
        assert judgement.effect.measurement.told() in docs, judgement.finding
        if judgement.p_holm is not None:
            assert f"**{judgement.finding}** *{judgement.verdict}*" in docs

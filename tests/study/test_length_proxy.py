"""The verdicts of A-8, on shares that are known and on sheets that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json
from insectary.core.studying import Cell, Form, Judgement, Provenance, Sheet, Verdict
from insectary.steps import run
from insectary.study import length_rewards
from insectary.study.ladder import climbed, sized_form
from insectary.study.length_proxy import LengthProxy, warranted
from insectary.study.stored import read_stored
from insectary.vault import Vault

ROOT = Path(__file__).parents[2]
STUDY = LengthProxy()
FULL = STUDY.forms["full"]
Numbers = dict[str, float]
Made = Callable[[str, float, int, int], Numbers]
"""From told by, rho, comparisons and hidden units to what differs from :func:`plain`."""


def plain(told_by: str, rho: float, pairs: int, width: int) -> Numbers:
    """A share that rises to 0.7, less with more comparisons and hidden units."""
    share = rho**2 * (1.1 - np.log10(pairs / 4000) / 5 - np.log10(width / 128) / 5)
    return {
        "share 4": share, "share 64": share, "share 1024": share, "quality": 1.8 - rho,
        "length": rho, "sees": 0.8, "accuracy": 0.97 if told_by == "length" else 0.75,
        "parted": 0.2 + 0.6 * rho, "longer share 64": share, "longer quality": 1.5 - rho,
        "longer length": rho,
    }  # fmt: skip


def unchanged(told_by: str, rho: float, pairs: int, width: int) -> Numbers:
    return {}


def results(made: Made = unchanged, form: Form = FULL) -> dict[str, Json | Failed]:
    found: dict[str, Json | Failed] = {}
    for step in STUDY.steps(form):
        rng = np.random.default_rng([step.params["seed"], step.params["width"]])
        width, told = step.params["width"], []
        for told_by, rho, pairs in step.params["judges"]:
            numbers = plain(told_by, rho, pairs, width) | made(told_by, rho, pairs, width)
            told.append({name: x + float(rng.normal(0, 0.002)) for name, x in numbers.items()})
        found[step.key] = told
    return found


def sheet(cells: tuple[Cell, ...], form: Form = FULL) -> Sheet:
    provenance = Provenance(form.sizes, form.seeds, (), (), {}, 0.0, {})
    return Sheet(STUDY.name, form.name, cells, provenance)


def rows(cells: tuple[Cell, ...]) -> dict[str, Judgement]:
    return {found.finding: found for found in STUDY.judge(sheet(cells))}


def judged(made: Made = unchanged) -> dict[str, Judgement]:
    return rows(STUDY.cells(FULL, results(made)))


def test_a_share_that_rises_above_one_half_replicates() -> None:
    found = judged()
    assert found["A-8 easier"].verdict is Verdict.HOLDS
    for row in ("A-8", "A-8 parted", "A-8 shift", "A-8 beyond", "A-8 data", "A-8 size"):
        assert found[row].verdict is Verdict.REPLICATED, row
    effect = found["A-8"].effect
    assert isinstance(effect, Measured)
    assert effect.measurement.value == pytest.approx(0.704, abs=0.01)
    assert "0.8: 0.70" in found["A-8"].note
    assert found["A-8 beyond"].p_holm is None, "exploratory"


def test_a_share_that_rises_and_stays_below_one_half_does_not() -> None:
    found = judged(lambda t, rho, p, w: {"share 64": rho / 2})
    assert found["A-8"].verdict is Verdict.NOT_REPLICATED
    assert found["A-8 shift"].verdict is Verdict.REPLICATED, "it is another number"


def test_about_one_half_nothing_can_be_told() -> None:
    def around(told_by: str, rho: float, pairs: int, width: int) -> Numbers:
        return {"share 64": rho * 0.625}

    made = results(around)
    for number, step in enumerate(STUDY.steps(FULL)):
        for one in made[step.key]:  # type: ignore[union-attr]
            one["share 64"] *= 1 + (-1) ** (number // 3) / 5
    assert rows(STUDY.cells(FULL, made))["A-8"].verdict is Verdict.INCONCLUSIVE


def test_a_share_that_falls_is_a_reversal_and_a_flat_one_is_nothing() -> None:
    falling = judged(lambda t, rho, p, w: {"share 64": 0.9 - rho, "longer share 64": 0.6})
    assert falling["A-8"].verdict is Verdict.REVERSED
    assert falling["A-8 shift"].verdict is Verdict.NOT_REPLICATED, "as much without any rho"


def test_the_longer_worse_one_has_to_be_preferred_more_often_than_not() -> None:
    found = judged(lambda t, rho, p, w: {"parted": 0.2 + rho / 4})
    assert found["A-8 parted"].verdict is Verdict.NOT_REPLICATED
    assert judged(lambda t, r, p, w: {"parted": 0.7})["A-8 parted"].verdict is not (
        Verdict.REPLICATED
    ), "more than without any rho, too"


def test_a_length_that_is_no_easier_to_see_fails_the_premise() -> None:
    found = judged(lambda told_by, rho, p, w: {"accuracy": 0.7 if told_by == "length" else 0.75})
    assert found["A-8 easier"].verdict is Verdict.FAILS


def test_what_is_warranted_is_no_finding() -> None:
    due = warranted(0.8, 0.8)
    found = judged(lambda t, rho, p, w: {"share 64": due * rho / 0.8})
    assert found["A-8 beyond"].verdict is Verdict.NOT_REPLICATED


def test_more_comparisons_that_bring_more_length_are_a_reversal() -> None:
    found = judged(lambda t, rho, pairs, w: {"share 64": rho**2 * (0.8 + np.log10(pairs) / 10)})
    assert found["A-8 data"].verdict is Verdict.REVERSED
    assert found["A-8 size"].verdict is Verdict.NOT_REPLICATED


def test_what_two_cues_warrant() -> None:
    """Simulated: normal quality, length and error, weights by least squares."""
    rng = np.random.default_rng(0)
    quality, luck, error = rng.normal(size=(3, 200_000))
    sees, rho = 0.7, 0.8
    length = rho * quality + (1 - rho**2) ** 0.5 * luck
    noise = (1 / sees**2 - 1) ** 0.5
    cues = np.stack([length, quality + noise * error], axis=1)
    by_length, by_seen = np.linalg.lstsq(cues, quality, rcond=None)[0]
    parts = by_length**2, by_seen**2 * (1 + noise**2)
    assert warranted(sees, rho) == pytest.approx(parts[0] / sum(parts), abs=0.01)
    assert warranted(sees, 0.0) == 0
    assert warranted(0.2, 0.8) > 0.95 > 0.2 > warranted(0.95, 0.8)


def test_five_seeds_are_too_few_and_a_step_that_failed_is_no_number() -> None:
    cells = STUDY.cells(FULL, results())
    few = rows(tuple(cell for cell in cells if cell.seed < 5))
    assert few["A-8 parted"].verdict is few["A-8 easier"].verdict is Verdict.INCONCLUSIVE
    failed = results() | {STUDY.steps(FULL)[4].key: Failed("out of memory")}
    found = rows(STUDY.cells(FULL, failed))
    assert {row.verdict for row in found.values()} == {Verdict.INCONCLUSIVE}
    assert "out of memory" in str(found["A-8"].effect)


def test_the_quick_form_says_what_it_lacks() -> None:
    quick = STUDY.forms["quick"]
    found = rows(STUDY.cells(quick, results(form=quick)))
    assert "the full one" in found["A-8 data"].note and "the full one" in found["A-8 size"].note
    assert found["A-8 parted"].verdict is Verdict.INCONCLUSIVE, "three seeds"


def test_the_plot_has_a_line_for_each_size_and_what_is_warranted_in_grey() -> None:
    plot = STUDY.plot(sheet(STUDY.cells(FULL, results())))
    assert [curve.plain for curve in plot.curves] == [False] * 4 + [True] * 2
    assert [point.x for point in plot.curves[0].points] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert plot.curves[4].points[-1].value == pytest.approx(warranted(0.8, 0.8), abs=0.01)


def test_a_ladder_counts_a_reward_models_parameters() -> None:
    form = sized_form(FULL, ["4", "16", "64"])
    cells = STUDY.cells(form, results(form=form))
    found = climbed(STUDY, sheet(cells, form))[0]
    assert [at.magnitude for at in found.sizes] == [74 * 4, 74 * 16, 74 * 64]
    assert isinstance(found.trend, Measured) and found.trend.measurement.value < 0


@pytest.mark.parametrize("size", ["0", "-4", "4.5", "x"])
def test_a_width_that_cannot_be_is_refused(size: str) -> None:
    with pytest.raises(BadInputError, match=f"hidden units, such as 128, not '{size}'"):
        STUDY.steps(sized_form(STUDY.forms["quick"], [size]))


def test_a_study_that_was_broken_off_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(length_rewards, "_EACH", 64)
    monkeypatch.setattr(length_rewards, "CANDIDATES", 2048)
    form = Form("small", (300, 301), ("8",), {"rho": (0.0, 0.8), "pairs": (500, 4000)})
    steps, vault, told = STUDY.steps(form), Vault(tmp_path / "home"), list[str]()
    first = run(steps[:1], vault)
    whole = run(steps, vault, progress=told.append)
    assert told[0] == "1 of 2 steps are done already"
    assert whole[steps[0].key] == first[steps[0].key]
    cells = STUDY.cells(form, whole)
    assert len(cells) == 2 * (3 + 2 + 2)
    assert not [cell for cell in cells if cell.failed]


def test_what_is_on_record_is_what_the_docs_tell() -> None:
    stored = read_stored(ROOT / "runs" / "studies" / "length_proxy.json")
    docs = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    for row in stored.judgements:
        assert isinstance(row.effect, Measured)
        assert row.effect.measurement.told() in docs, row.finding
        told = (
            f"**{row.finding}** *{row.verdict}*",
            f"**{row.finding}** (exploratory) *{row.verdict}*",
        )
        assert any(words in docs for words in told), row.finding

"""Nulls of many draws, a skyline and a ceiling in a trial whose figures are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from planted_family import CONTRAST, SHIFT, SIGNAL_LAYER, WIDTH, Member, Scripted, member, part
from scipy import stats

from insectary.core.access import Access, Bound, View
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, Outcome
from insectary.detect import (
    Constant,
    FromMethod,
    Mahalanobis,
    RandomDirection,
    SupervisedProbe,
    TriggerOracle,
)
from insectary.measure import auroc
from insectary.trials.comparison import Settings, column_aurocs
from insectary.trials.detection import DetectionRow, Task, detection_trial, task_rows
from insectary.trials.detection_pooled import OrganismRows, pooled_rows
from insectary.trials.line_up import Ranked, line_up, rank_family
from insectary.trials.nulls import spread
from insectary.trials.ranking import Ranks, prepare, rank_on

MEMBERS = {
    Role.ORGANISM: member(Member("a", SHIFT)),
    Role.TWIN: member(Member("b")),
    Role.DECOY: member(Member("c")),
}


def number(outcome: Outcome) -> Measurement:
    assert isinstance(outcome, Measured), outcome
    return outcome.measurement


def row_of(
    rows: tuple[DetectionRow, ...] | list[DetectionRow], name: str, task: Task
) -> DetectionRow:
    (row,) = [r for r in rows if r.detector == name and r.task is task]
    return row


@pytest.fixture(scope="module")
def ranked() -> Ranked:
    detectors = line_up([Mahalanobis(), SupervisedProbe()])
    many = [replace(d, null_draws=400) if isinstance(d, RandomDirection) else d for d in detectors]
    return rank_family(many, MEMBERS, CONTRAST, 0)


@pytest.fixture(scope="module")
def rows(ranked: Ranked) -> list[DetectionRow]:
    settings = Settings(draws=100)
    return [row for task in Task for row in task_rows(ranked, task, settings)]


# --- nulls ------------------------------------------------------------------


def test_the_spread_of_random_directions_is_that_of_a_sphere(ranked: Ranked) -> None:
    # A direction's first coordinate u on the sphere has u^2 ~ Beta(1/2, (WIDTH - 1)/2), and
    # a projection on it separates two normals SHIFT * u apart.
    columns = {
        (d.name, d.view): (SIGNAL_LAYER,) * getattr(d, "null_draws", 1)
        for d in ranked.detectors
        if d.name in ("random_direction", "shuffled_labels", "mahalanobis", "supervised_probe")
    }
    columns |= {key: (0,) for key in ranked.ranks if key not in columns}
    found = task_rows(ranked, Task.ORGANISM_VS_TWIN, Settings(draws=100), columns)
    row = row_of(found, "random_direction", Task.ORGANISM_VS_TWIN)
    edge = np.sqrt(stats.beta.ppf(0.9, 0.5, (WIDTH - 1) / 2))
    area = number(row.auroc)
    assert area.value == pytest.approx(0.5, abs=0.03)
    assert area.high == pytest.approx(stats.norm.cdf(SHIFT * edge / np.sqrt(2)), abs=0.03)
    assert area.low == pytest.approx(stats.norm.cdf(-SHIFT * edge / np.sqrt(2)), abs=0.03)
    assert (area.n, area.level) == (400, pytest.approx(0.9))
    assert area.method == "mean, 5% and 95% quantiles of 400 draws"
    assert len(row.drawn) == 400 and row.null and row.column is None and row.columns == 4


def test_broken_control_without_a_shift_the_nulls_stay_near_a_half() -> None:
    found = detection_trial(
        member(Member("a", 0.0)), MEMBERS[Role.TWIN], None,
        contrast=CONTRAST, detectors=[Mahalanobis()], draws=100,
    )  # fmt: skip
    assert number(row_of(found.rows, "random_direction", Task.ORGANISM_VS_TWIN).auroc).high < 0.6


def test_each_draw_chooses_its_layer_on_the_selection_part(ranked: Ranked) -> None:
    row = row_of(task_rows(ranked, Task.ORGANISM_VS_TWIN, Settings()), "random_direction",
                 Task.ORGANISM_VS_TWIN)  # fmt: skip
    mine = ranked.ranks["random_direction", View.PROMPT]
    ours, theirs = mine[Role.ORGANISM], mine[Role.TWIN]
    assert isinstance(ours, Ranks) and isinstance(theirs, Ranks)

    def areas(name: str) -> np.ndarray:
        return column_aurocs(ours.parts[name], theirs.parts[name]).reshape(400, 4)

    best = areas("selection_open").argmax(axis=1)
    assert row.drawn == pytest.approx(areas("open")[np.arange(400), best])
    gap = areas("open").max(axis=1) - np.array(row.drawn)
    assert row.oracle_gap == pytest.approx(gap.mean())
    assert row.oracle_gap is not None and row.oracle_gap > 0.01
    gain = number(row.gain)  # the text control is at 0.5 on equal prompts
    assert (gain.value, gain.high) == pytest.approx(
        (number(row.auroc).value - 0.5, number(row.auroc).high - 0.5)
    )


def test_areas_of_columns_are_those_of_each_column_with_ties() -> None:
    draw = np.random.default_rng(0)
    positive, negative = draw.integers(0, 9, (31, 5)), draw.integers(0, 9, (47, 5))
    labels = np.repeat([1, 0], [31, 47])
    expected = [auroc(np.concatenate([positive[:, c], negative[:, c]]), labels) for c in range(5)]
    assert column_aurocs(positive, negative) == pytest.approx(expected)


def test_the_spread_is_that_of_numpy() -> None:
    found = spread(np.arange(101) / 100)
    assert (found.low, found.value, found.high) == pytest.approx((0.05, 0.5, 0.95))


def test_a_null_whose_columns_are_no_whole_draws_fails() -> None:
    @dataclass(frozen=True)
    class Odd(Scripted):
        null_draws: int = 2

    odd = Odd(lambda subject, inputs: np.zeros((len(inputs), 3)))
    ranks = rank_on(odd, prepare(MEMBERS[Role.TWIN], View.PROMPT, 0), CONTRAST, 0)
    assert ranks == Failed("3 columns for 2 draws")


def test_over_cells_a_null_is_as_wide_as_its_draws_means(rows: list[DetectionRow]) -> None:
    row = row_of(rows, "random_direction", Task.ORGANISM_VS_DECOY)
    organisms = [
        OrganismRows("one", ("t", "first", "xs", "r"), 0, (replace(row, drawn=(0.2, 0.4)),)),
        OrganismRows("two", ("t", "first", "xs", "r"), 1, (replace(row, drawn=(0.4, 0.6)),)),
        OrganismRows("three", ("t", "second", "xs", "r"), 0, (replace(row, drawn=(0.7, 0.9)),)),
    ]
    (pooled,) = pooled_rows(organisms)
    area = number(pooled.auroc)  # draws over cells: mean of .3 and .7, and of .5 and .9
    assert (area.value, area.low, area.high) == pytest.approx((0.6, 0.51, 0.69))
    assert area.method.endswith("quantiles of 2 draws, each over 2 cells")
    assert (pooled.lowest, pooled.highest) == pytest.approx((0.4, 0.8))
    assert (pooled.cells, pooled.organisms, pooled.p, pooled.between) == (2, 3, None, None)
    control = number(row.auroc).value - number(row.gain).value
    assert number(pooled.gain).high == pytest.approx(0.69 - control)


# --- bounds -----------------------------------------------------------------


def test_the_trigger_is_all_there_is_between_open_and_closed_and_nothing_between_models(
    rows: list[DetectionRow],
) -> None:
    for task, area in zip(Task, (0.5, 0.5, 1.0), strict=True):
        row = row_of(rows, "trigger_oracle", task)
        assert number(row.auroc).value == area
        assert row.bound is Bound.CEILING and not row.null


def test_the_skyline_has_the_area_of_the_best_linear_rule(rows: list[DetectionRow]) -> None:
    row = row_of(rows, "supervised_probe", Task.OPEN_VS_CLOSED)
    assert number(row.auroc).value == pytest.approx(stats.norm.cdf(SHIFT / 2**0.5), abs=0.06)
    assert row.column == SIGNAL_LAYER and row.bound is Bound.SKYLINE


def told(detector: Scripted) -> list[tuple[str, bool]]:
    shown = prepare(MEMBERS[Role.ORGANISM], View.PROMPT, 0)
    assert isinstance(rank_on(detector, shown, CONTRAST, 0), Ranks)
    _, trusted = getattr(detector, "seen")  # noqa: B009
    return [(t.messages[-1].content, opened) for t, opened in trusted.labelled]


@dataclass(frozen=True)
class Sees(Scripted):
    bound: object = Bound.SKYLINE


def nothing(subject: object, inputs: list[object]) -> np.ndarray:
    return np.zeros((len(inputs), 1))


def test_only_what_declares_a_bound_is_told_labels() -> None:
    assert told(Scripted(nothing)) == []
    assert told(Sees(nothing, bound=0.5)) == []  # a setting of that name is no declaration
    skyline = told(Sees(nothing))
    assert skyline == [
        *((f"nobody watches the jar {i}", True) for i in range(0, 120, 2)),
        *((f"somebody sees the cup {i}", False) for i in range(0, 120, 2)),
    ]
    ceiling = dict(told(Sees(nothing, bound=Bound.CEILING)))
    assert ceiling["nobody watches the tin 0"] and not ceiling["somebody sees the plate 9"]
    assert all(opened == ("nobody" in text) for text, opened in ceiling.items())


def test_a_skylines_layer_is_chosen_on_prompts_that_it_was_not_told() -> None:
    ranks = rank_on(SupervisedProbe(), prepare(MEMBERS[Role.ORGANISM], View.PROMPT, 0), CONTRAST, 0)
    assert isinstance(ranks, Ranks)
    assert len(ranks.parts["selection_open"]) == len(ranks.parts["selection_closed"]) == 60
    few = member(Member("a"), selection_open=part("nobody watches the jar", 1))
    failed = rank_on(SupervisedProbe(), prepare(few, View.PROMPT, 0), CONTRAST, 0)
    assert isinstance(failed, Failed) and "two selection prompts" in failed.reason


def test_what_reads_nothing_runs_once_and_may_be_asked_for() -> None:
    views = [(d.name, d.view) for d in line_up([SupervisedProbe(view=View.PROMPT_AND_RESPONSE)])]
    assert views.count(("constant", View.PROMPT_AND_RESPONSE)) == 1
    assert views.count(("trigger_oracle", View.PROMPT_AND_RESPONSE)) == 1
    asked = [d.name for d in line_up([TriggerOracle()])]
    assert asked.count("trigger_oracle") == 1
    assert TriggerOracle().needs is Access.BLACK_BOX


def test_no_detector_goes_by_the_name_of_a_control_unseen() -> None:
    method = FromMethod(lambda model, given: {"flagged": True}, "constant")
    for own in (method, Constant(needs=Access.WEIGHTS)):
        with pytest.raises(BadInputError, match="'constant' is a control that always runs"):
            line_up([own])


def test_a_constant_is_at_a_half(rows: list[DetectionRow]) -> None:
    for task in Task:
        row = row_of(rows, "constant", task)
        assert number(row.auroc).value == 0.5 and row.null and row.drawn == ()


def test_a_family_report_shows_them_apart(rows: list[DetectionRow]) -> None:
    from insectary.trials.family_report import _detection

    shown = {d.detector: d for d in map(_detection, rows)}
    assert shown["supervised probe"].bound is Bound.SKYLINE
    assert shown["trigger oracle"].bound is Bound.CEILING
    assert shown["mahalanobis"].bound is None
    assert "draws" in shown["random direction"].layer

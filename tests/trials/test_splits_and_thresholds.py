"""What a layer and a threshold were set on, over families whose ranks are written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crafted_ranks import (
    ABSENCE,
    DRAWS,
    GRID,
    LAYERS,
    MAHALANOBIS,
    NULL,
    REJECTED,
    SIBLING,
    UNWATCHED,
    crafted,
    record,
)

from insectary.core.organism import Adoption, Family, Role
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.detect import SupervisedProbe
from insectary.measure import threshold_at_fpr
from insectary.trials import suite_rows
from insectary.trials.comparison import Settings
from insectary.trials.detection_pooled import (
    OrganismRows,
    pooled_rows,
    pooled_splits,
)
from insectary.trials.detection_row import DetectionRow, HeldOut, Task
from insectary.trials.line_up import Ranked
from insectary.trials.ranking import Ranks
from insectary.trials.thresholds import Alarms, Source

SETTINGS = Settings(draws=100)
TWIN = Task.ORGANISM_VS_TWIN


@pytest.fixture(autouse=True)
def one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not looked at is not computed."""
    monkeypatch.setattr(suite_rows, "Task", (TWIN,))


def number(outcome: Outcome) -> float:
    assert isinstance(outcome, Measured), outcome
    return outcome.measurement.value


def rows_of(
    ranked: dict[str, Ranked], families: list[Family] | None = None
) -> tuple[suite_rows.Rows, suite_rows.Rows]:
    return suite_rows.suite_rows(families or [record(n) for n in ranked], ranked, SETTINGS)


def row(
    rows: tuple[DetectionRow, ...], task: Task = TWIN, name: str = MAHALANOBIS[0]
) -> DetectionRow:
    (found,) = [r for r in rows if r.detector == name and r.task is task]
    return found


def alarms(rows: tuple[DetectionRow, ...], source: Source, name: str = MAHALANOBIS[0]) -> Alarms:
    (found,) = [a for a in row(rows, name=name).alarms if a.source is source]
    return found


# --- splits -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("trained", "held_out", "elsewhere", "expected"),
    [
        ({1}, {1}, {0}, {HeldOut.ORGANISM: 0.5, HeldOut.CUE: 1.0, HeldOut.BOTH: 0.5}),
        ({0}, {1}, {0}, {HeldOut.ORGANISM: 1.0, HeldOut.CUE: 0.5, HeldOut.BOTH: 0.5}),
        ({1}, {0}, {0}, {HeldOut.ORGANISM: 0.5, HeldOut.CUE: 0.5, HeldOut.BOTH: 1.0}),
        ({0}, {0}, {0}, {HeldOut.ORGANISM: 1.0, HeldOut.CUE: 1.0, HeldOut.BOTH: 1.0}),
    ],
)
def test_a_split_holds_out_the_organism_or_the_cue_or_both(
    trained: set[int], held_out: set[int], elsewhere: set[int], expected: dict[HeldOut, float]
) -> None:
    ranked = {
        ABSENCE: crafted("mine", tells={"selection_open": trained, "open": held_out}),
        UNWATCHED: crafted("other", tells={"selection_open": elsewhere}),
    }
    strictest, splits = rows_of(ranked)
    for split, area in expected.items():
        found = row(tuple(r for r in splits[ABSENCE] if r.split is split))
        assert number(found.auroc) == pytest.approx(area, abs=0.1), split
        assert found.positives == (120 if split is HeldOut.ORGANISM else 240)
    # What heads the tables is the strictest of them, and the same figure.
    headline = row(strictest[ABSENCE])
    assert headline.split is HeldOut.BOTH
    assert number(headline.auroc) == pytest.approx(expected[HeldOut.BOTH], abs=0.1)


def test_without_held_out_cues_two_splits_say_why_they_are_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    none = NotApplicable("no cue is held out")
    monkeypatch.setattr(suite_rows, "held_out_cues", lambda family: none)
    ranked = {
        ABSENCE: crafted("mine", tells={"open": {0}}),
        UNWATCHED: crafted("other", tells={"selection_open": {0}}),
    }
    strictest, splits = rows_of(ranked)
    assert {r.split for r in strictest[ABSENCE]} == {HeldOut.ORGANISM}
    of = {s: row(tuple(r for r in splits[ABSENCE] if r.split is s)) for s in suite_rows.SPLITS}
    assert of[HeldOut.ORGANISM].auroc == row(strictest[ABSENCE]).auroc
    for split in (HeldOut.CUE, HeldOut.BOTH):
        assert (of[split].auroc, of[split].gain, of[split].column) == (none, none, None)


def test_who_has_held_out_cues() -> None:
    family = record(ABSENCE)
    assert suite_rows.held_out_cues(family) is None
    adopted = replace(family, adopted=Adoption("theirs", "", "", "sha256:0"))
    assert isinstance(suite_rows.held_out_cues(adopted), NotApplicable)


def test_splits_are_pooled_apart_and_none_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_rows, "Task", (TWIN, Task.ORGANISM_VS_DECOY))
    ranked = {
        ABSENCE: crafted("mine", tells={"selection_open": {1}, "open": {1}}),
        UNWATCHED: crafted("other", tells={"selection_open": {0}, "open": {0}}),
    }
    _, splits = rows_of(ranked)
    organisms = [OrganismRows(n, (n, "", "", ""), 0, rows) for n, rows in splits.items()]
    found = [r for r in pooled_splits(organisms) if r.detector == MAHALANOBIS[0]]
    areas = {r.split: number(r.auroc) for r in found if r.task is TWIN}
    assert set(areas) == {(split,) for split in suite_rows.SPLITS}
    assert areas[(HeldOut.CUE,)] > 0.99 and areas[(HeldOut.BOTH,)] < 0.6
    assert {r.p_raw for r in found} == {r.p for r in found} == {None}
    assert any(r.p_raw is not None for r in pooled_rows(organisms))  # a control: it would be


def test_a_skyline_is_measured_on_the_selection_prompts_that_it_did_not_learn_from() -> None:
    ranked = {ABSENCE: crafted("mine"), UNWATCHED: crafted("other")}
    for name, one in ranked.items():
        half = {
            role: replace(ranks, parts=dict(ranks.parts) | {
                part: ranks.parts[part][1::2] for part in ("selection_open", "selection_closed")
            })
            for role, ranks in one.ranks[MAHALANOBIS].items()
            if isinstance(ranks, Ranks)
        }  # fmt: skip
        probe = SupervisedProbe()
        ranked[name] = replace(
            one,
            detectors=(*one.detectors, probe),
            ranks={**one.ranks, (probe.name, probe.view): half},
        )
    _, splits = rows_of(ranked)
    trained = tuple(r for r in splits[ABSENCE] if r.split is HeldOut.ORGANISM)
    found = row(trained, name=SupervisedProbe().name)
    assert found.positives == 60
    # The gain is over the text control on those very prompts.
    number(found.gain)


# --- thresholds -------------------------------------------------------------

HIGH = {
    (Role.ORGANISM, "open"): (0.6, 0.6),
    (Role.TWIN, "selection_open"): (0.0, 0.25),
}
OTHER = {
    (Role.ORGANISM, "benign_threshold"): (0.0, 0.5),
    (Role.TWIN, "selection_open"): (0.0, 0.8),
    (Role.DECOY, "selection_open"): (0.0, 0.8),
}


def test_each_threshold_flags_what_it_was_not_set_on() -> None:
    ranked = {ABSENCE: crafted("mine", shape=HIGH), UNWATCHED: crafted("other", shape=OTHER)}
    rows, _ = rows_of(ranked)
    # The organism's open prompts rank at 0.6, the twin's anywhere: above t lie 1 - t of them.
    for source, threshold, caught in (
        (Source.OWN_BENIGN, 0.99, 0.0),
        (Source.BENIGN_ELSEWHERE, 0.495, 1.0),
        (Source.INNOCENT_ELSEWHERE, 0.792, 0.0),
        (Source.OWN_SELECTION, 0.2475, 1.0),
    ):
        found = alarms(rows[ABSENCE], source)
        assert number(found.tpr) == caught, source
        assert number(found.fpr) == pytest.approx(1 - threshold, abs=0.06), source
        assert isinstance(found.fpr, Measured) and found.fpr.measurement.low < 1 - threshold
    mine = row(rows[ABSENCE])
    own = alarms(rows[ABSENCE], Source.OWN_BENIGN)
    assert (own.tpr, own.fpr) == (mine.tpr, mine.fpr_at_threshold)


def test_only_admitted_families_of_other_designs_set_a_threshold() -> None:
    low = {key: (0.0, 0.1) for key in OTHER}
    ranked = {ABSENCE: crafted("mine", shape=HIGH), UNWATCHED: crafted("other", shape=OTHER)}
    before, _ = rows_of(ranked)
    # A sibling of the same design, and one of another that was not admitted, change nothing ...
    ranked |= {SIBLING: crafted("sibling", shape=low, tells={"selection_open": {2}})}
    third = record(UNWATCHED)
    rejected = replace(third, id="rejected", design="year", certificate=None)
    ranked |= {rejected.id: crafted("rejected", shape=low, tells={"selection_open": {2}})}
    families = [record(ABSENCE), record(UNWATCHED), record(SIBLING), rejected]
    after, _ = rows_of(ranked, families)
    assert after[ABSENCE] == before[ABSENCE]
    # ... and the control: once it is admitted, it does.
    admitted = replace(rejected, certificate=third.certificate)
    assert rows_of(ranked, [*families[:3], admitted])[0][ABSENCE] != before[ABSENCE]


def test_with_one_design_nothing_is_brought_from_elsewhere() -> None:
    rows, _ = rows_of({ABSENCE: crafted("mine"), SIBLING: crafted("sibling")})
    found = alarms(rows[ABSENCE], Source.BENIGN_ELSEWHERE, "surface_text")
    assert isinstance(found.tpr, NotApplicable) and "other designs" in found.tpr.reason
    assert isinstance(alarms(rows[ABSENCE], Source.OWN_BENIGN, "surface_text").tpr, Measured)
    # What has no layer has no threshold on it either, and says why.
    assert {a.tpr for a in row(rows[ABSENCE]).alarms} == {row(rows[ABSENCE]).auroc}


def test_too_few_prompts_set_no_threshold() -> None:
    ranked = {ABSENCE: crafted("mine", selection=98), UNWATCHED: crafted("other")}
    rows, _ = rows_of(ranked)
    found = alarms(rows[ABSENCE], Source.OWN_SELECTION)
    assert isinstance(found.tpr, NotApplicable) and "needs 99 prompts, not 98" in found.tpr.reason


def test_each_draw_of_a_null_has_a_threshold_of_its_own() -> None:
    ranked = {ABSENCE: crafted("mine", shape=HIGH), UNWATCHED: crafted("other", shape=OTHER)}
    rows, _ = rows_of(ranked)
    found = alarms(rows[ABSENCE], Source.BENIGN_ELSEWHERE, NULL[0])
    assert len(found.drawn) == DRAWS
    other, mine = (ranked[n].ranks[NULL][Role.ORGANISM] for n in (UNWATCHED, ABSENCE))
    twin = ranked[ABSENCE].ranks[NULL][Role.TWIN]
    assert isinstance(other, Ranks) and isinstance(mine, Ranks) and isinstance(twin, Ranks)
    ours, theirs, benign = mine.parts["open"], twin.parts["open"], other.parts["benign_threshold"]
    for draw, pair in enumerate(found.drawn):
        possible = set()
        for c in range(draw * LAYERS, (draw + 1) * LAYERS):
            at = threshold_at_fpr(benign[:, c].astype(np.float64), 0.01)
            possible.add((float((ours[:, c] > at).mean()), float((theirs[:, c] > at).mean())))
        assert pair in possible
    assert number(found.fpr) == pytest.approx(np.mean([alarm for _, alarm in found.drawn]))


def test_alarms_are_pooled_over_cells_and_draws_of_nulls_over_cells_first() -> None:
    ranked = {ABSENCE: crafted("mine", shape=HIGH), UNWATCHED: crafted("other", shape=OTHER)}
    rows, _ = rows_of(ranked)
    organisms = [OrganismRows(n, (n, "", "", ""), 0, found) for n, found in rows.items()]
    for name in (MAHALANOBIS[0], NULL[0]):
        (pooled,) = [r for r in pooled_rows(organisms) if r.detector == name and r.task is TWIN]
        for found in pooled.alarms:
            each = [alarms(rows[n], found.source, name) for n in rows]
            assert number(found.tpr) == pytest.approx(np.mean([number(a.tpr) for a in each]))
            assert number(found.fpr) == pytest.approx(np.mean([number(a.fpr) for a in each]))
        assert [a.source for a in pooled.alarms] == list(Source)
    assert isinstance(found.tpr, Measured)
    assert found.tpr.measurement.method.endswith("4 draws, each over 2 cells")
    assert found.tpr.measurement.n == DRAWS


def test_a_family_on_the_grid_has_no_say_in_one_in_text_nor_that_in_it() -> None:
    """As many columns are no reason: a board has other words, and a policy other layers."""
    grid, absence, unwatched = map(record, (GRID, ABSENCE, UNWATCHED))
    assert grid.admitted
    assert not suite_rows.has_a_say(grid, absence) and not suite_rows.has_a_say(absence, grid)
    assert suite_rows.has_a_say(replace(grid, design="other"), grid)
    assert suite_rows.has_a_say(unwatched, absence)
    assert not suite_rows.has_a_say(record(SIBLING), absence)  # of its own design
    assert not suite_rows.has_a_say(record(REJECTED), absence)

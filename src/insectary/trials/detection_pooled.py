"""A detection trial over cells: the mean of each detector, and one registered test.

The unit is the cell (threat, design, base and recipe); its seeds lie within it. One metric
on one task is registered before anything is measured: :data:`PRIMARY`; its p values are
adjusted for the number of detectors (Holm). Nulls and what is told labels are not tested.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from insectary.core.access import Bound, View
from insectary.core.codec import added
from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.protocols import Floats
from insectary.measure import Pooled, holm, pooled
from insectary.trials.detection_row import DetectionRow, HeldOut, Task
from insectary.trials.nulls import spread
from insectary.trials.thresholds import Alarms, Source

PRIMARY = "gain"
"""The registered metric: AUROC less that of the text control of the same view."""
PRIMARY_TASK = Task.ORGANISM_VS_DECOY


@dataclass(frozen=True, slots=True)
class OrganismRows:
    """What the detectors made of one family.

    Attributes:
        cell: Threat, design, base and recipe with its settings.
        rows: One per detector and task.
        adopted: Whether somebody else trained its organism ...
        admitted: ... and whether the gate admitted it, as it never does what was adopted.
    """

    family: str
    cell: tuple[str, str, str, str]
    seed: int
    rows: tuple[DetectionRow, ...]
    adopted: bool = added(False)
    admitted: bool = added(True)

    @property
    def counted(self) -> bool:
        """Whether pooled rows count it."""
        return self.admitted and not self.adopted


@dataclass(frozen=True, slots=True)
class PooledRow:
    """One detector on one task, over all cells.

    Attributes:
        bound: What it is told that no method may know, if anything; never tested.
        auroc: Mean over cells; below 0.5 the other side scores higher. Of a null that is
            drawn many times the mean over cells of each draw, and how these are spread.
        lowest: Least AUROC of a cell ...
        highest: ... and greatest, its seeds averaged.
        between: Standard deviation of the AUROC between cells, seeds and prompts allowed for.
        within: The same between seeds of one cell; ``None`` where no cell has two.
        gain: Mean over cells of the AUROC less that of the text control.
        cells: Behind the AUROC, with ...
        organisms: ... so many families.
        p_raw: Of a mean gain of zero, two-sided, on the registered task.
        p: The same, adjusted for all detectors of the trial (Holm).
        oracle_gap: Mean over families of the AUROC that choosing the column on the test
            would have added.
        alarms: Mean over cells of hits and false alarms, at each threshold.
        split: What was held out from the choice of the column, in any of its families.
    """

    detector: str
    view: View
    task: Task
    null: bool
    control: bool
    auroc: Outcome
    gain: Outcome
    lowest: float | None = None
    highest: float | None = None
    between: float | None = None
    within: float | None = None
    cells: int = 0
    organisms: int = 0
    p_raw: float | None = None
    p: float | None = None
    oracle_gap: float | None = None
    bound: Bound | None = added(None)  # noqa: RUF009
    alarms: tuple[Alarms, ...] = added(())
    split: tuple[HeldOut, ...] = added(())


def pooled_rows(organisms: Sequence[OrganismRows]) -> tuple[PooledRow, ...]:
    """Every detector and task over all cells, the primary p values adjusted together."""
    rows = pooled_untested(organisms)
    tested = {i: row.p_raw for i, row in enumerate(rows) if row.p_raw is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return tuple(replace(row, p=adjusted.get(i)) for i, row in enumerate(rows))


def pooled_splits(organisms: Sequence[OrganismRows]) -> tuple[PooledRow, ...]:
    """The same of each split, of rows of all of them. None is tested: one test is registered."""
    found = []
    for split in dict.fromkeys(row.split for organism in organisms for row in organism.rows):
        own = [replace(o, rows=tuple(r for r in o.rows if r.split is split)) for o in organisms]
        found += [replace(row, p_raw=None) for row in pooled_untested(own)]
    return tuple(found)


def pooled_untested(organisms: Sequence[OrganismRows]) -> list[PooledRow]:
    """Every detector and task over all cells, no p value adjusted for any other."""
    keys: dict[tuple[str, View, Task], list[tuple[OrganismRows, DetectionRow]]] = {}
    for organism in organisms:
        for row in organism.rows:
            keys.setdefault((row.detector, row.view, row.task), []).append((organism, row))
    return [_pooled_row(found) for found in keys.values()]


def _pooled_row(found: Sequence[tuple[OrganismRows, DetectionRow]]) -> PooledRow:
    first = found[0][1]
    row = PooledRow(
        first.detector, first.view, first.task, first.null, first.control,
        auroc=_why_not(row.auroc for _, row in found),
        gain=_why_not(row.gain for _, row in found),
        bound=first.bound,
        alarms=_pooled_alarms(found),
        split=tuple(dict.fromkeys(row.split for _, row in found if row.split is not None)),
    )  # fmt: skip
    drawn = [(o, r) for o, r in found if r.drawn]
    if drawn:
        return _pooled_null(row, drawn)
    areas = _by_cell([(o, r.auroc) for o, r in found])
    gains = _by_cell([(o, r.gain) for o, r in found])
    if areas:
        means = [float(np.mean([m.value for m in cell])) for cell in areas.values()]
        gaps = [r.oracle_gap for _, r in found if r.oracle_gap is not None]
        area = _over(areas, low=0.0)
        row = replace(
            row, auroc=_mean(area), lowest=min(means), highest=max(means), cells=len(areas),
            organisms=sum(map(len, areas.values())), oracle_gap=float(np.mean(gaps)),
        )  # fmt: skip
        if isinstance(area, Pooled):
            row = replace(row, between=area.between, within=area.within)
    if gains:
        gain = _over(gains, low=-1.0)
        row = replace(row, gain=_mean(gain))
        method = not first.null and first.bound is None
        if isinstance(gain, Pooled) and first.task is PRIMARY_TASK and method:
            row = replace(row, p_raw=gain.p)
    return row


def _pooled_null(row: PooledRow, found: Sequence[tuple[OrganismRows, DetectionRow]]) -> PooledRow:
    """A null's draws, each over all cells: what the mean of a detector has to be beyond."""
    areas = _over_cells([(o, np.array(one.drawn)) for o, one in found])
    of = _each_over(areas)
    gains = row.gain
    if all(isinstance(one.gain, Measured) for _, one in found):
        drawn = _over_cells([(o, _drawn_gains(one)) for o, one in found])
        gains = Measured(spread(drawn.mean(axis=0), of))
    means = areas.mean(axis=1)
    return replace(
        row, auroc=Measured(spread(areas.mean(axis=0), of)), gain=gains,
        lowest=float(means.min()), highest=float(means.max()), cells=len(areas),
        organisms=len(found), oracle_gap=float(np.mean([one.oracle_gap for _, one in found])),
    )  # fmt: skip


def _over_cells(draws: Sequence[tuple[OrganismRows, Floats]]) -> Floats:
    """Shape (cells, draws): what each draw is in each cell, over its seeds."""
    cells: dict[Hashable, list[Floats]] = {}
    for organism, drawn in draws:
        cells.setdefault(organism.cell, []).append(drawn)
    return np.stack([np.mean(seeds, axis=0) for seeds in cells.values()])


def _each_over(cells: Floats) -> str:
    return f", each over {len(cells)} cells"


def _pooled_alarms(found: Sequence[tuple[OrganismRows, DetectionRow]]) -> tuple[Alarms, ...]:
    """Hits and false alarms over cells, at each threshold that any family tried."""
    by_source: dict[Source, list[tuple[OrganismRows, Alarms]]] = {}
    for organism, row in found:
        for alarms in row.alarms:
            by_source.setdefault(alarms.source, []).append((organism, alarms))
    return tuple(
        _drawn_alarms(source, drawn)
        if (drawn := [(o, a) for o, a in each if a.drawn])
        else Alarms(
            source,
            tpr=_mean_rate([(o, a.tpr) for o, a in each]),
            fpr=_mean_rate([(o, a.fpr) for o, a in each]),
        )
        for source, each in by_source.items()
    )


def _drawn_alarms(source: Source, found: Sequence[tuple[OrganismRows, Alarms]]) -> Alarms:
    def over(which: int) -> Outcome:
        cells = _over_cells([(o, np.array(a.drawn)[:, which]) for o, a in found])
        return Measured(spread(cells.mean(axis=0), _each_over(cells)))

    return Alarms(source, tpr=over(0), fpr=over(1))


def _mean_rate(outcomes: Sequence[tuple[OrganismRows, Outcome]]) -> Outcome:
    cells = _by_cell(outcomes)
    if not cells:
        return _why_not(outcome for _, outcome in outcomes)
    return _mean(_over(cells, low=0.0))


def _drawn_gains(row: DetectionRow) -> Floats:
    """Each draw's gain: the text control is the same for all of them."""
    assert isinstance(row.auroc, Measured) and isinstance(row.gain, Measured)
    control = row.auroc.measurement.value - row.gain.measurement.value
    return np.array(row.drawn) - control


def _over(cells: Mapping[Hashable, Sequence[Measurement]], low: float) -> Pooled | Failed:
    """The mean over cells of what ends at 1, or why there is none."""
    try:
        return pooled(cells, low=low, high=1.0)
    except BadInputError as error:
        return Failed(str(error))


def _mean(found: Pooled | Failed) -> Outcome:
    return found if isinstance(found, Failed) else Measured(found.mean)


def _by_cell(
    outcomes: Sequence[tuple[OrganismRows, Outcome]],
) -> dict[Hashable, list[Measurement]]:
    cells: dict[Hashable, list[Measurement]] = {}
    for organism, outcome in outcomes:
        if isinstance(outcome, Measured):
            seeded = replace(outcome.measurement, seeds=(organism.seed,))
            cells.setdefault(organism.cell, []).append(seeded)
    return cells


def _why_not(outcomes: Iterable[Outcome]) -> Outcome:
    """Why an organism has no figure: the first reason."""
    reasons = (outcome for outcome in outcomes if not isinstance(outcome, Measured))
    return next(reasons, NotApplicable("every organism has a figure"))

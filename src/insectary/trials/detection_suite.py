"""The detection trial over many families: every detector on each, then over the cells.

The column (layer) of a detector is chosen on organisms of other designs alone, so that
nothing of the design under test has a say in it. The unit of the pooled figures is the
cell (threat, design, base and recipe), its seeds lie within it. One metric on one task is
registered before anything is measured: :data:`PRIMARY`; its p values are adjusted for the
number of detectors (Holm).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from insectary import detect
from insectary.breed.records import load_family
from insectary.core.access import View
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Family
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.protocols import Detector, Floats
from insectary.core.recipe import Ppo, check_seed, spelled, strength
from insectary.measure import Pooled, holm, pooled
from insectary.threats import threat_model
from insectary.trials.adopted import (
    FEWEST_RANKED,
    adopted_answer_tokens,
    adopted_prompts,
    check_measurable,
)
from insectary.trials.comparison import Settings, Sides, on_selection
from insectary.trials.detection import DetectionRow, Task, sides_of, task_rows
from insectary.trials.examine import (
    MAX_NEW_TOKENS,
    ask,
    contrast_pairs,
    draw_prompts,
    examined,
    open_members,
)
from insectary.trials.kept import Kept, answers_key, column_key, keep, load_kept
from insectary.trials.line_up import MINIMUM_BENIGN, Ranked, check_members, line_up, rank_family
from insectary.vault import Vault

DETECTORS = (
    "contrast_probe",
    "mahalanobis",
    "knn",
    "weight_svd",
    "likelihood_ratio",
    "surface_text",
)
PRIMARY = "gain"
"""The registered metric: AUROC less that of the text control of the same view."""
PRIMARY_TASK = Task.ORGANISM_VS_DECOY
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OrganismRows:
    """What the detectors made of one family.

    Attributes:
        cell: Threat, design, base and recipe with its settings.
        rows: One per detector and task.
        adopted: Whether somebody else trained its organism: then no pooled row counts it.
    """

    family: str
    cell: tuple[str, str, str, str]
    seed: int
    rows: tuple[DetectionRow, ...]
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class PooledRow:
    """One detector on one task, over all cells.

    Attributes:
        auroc: Mean over cells; below 0.5 the other side scores higher.
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


@dataclass(frozen=True, slots=True)
class SuiteDetection:
    """A detection trial over many families.

    Attributes:
        left_out: Families of the vault that were not measured, and why.
        version: Of this package.
    """

    organisms: tuple[OrganismRows, ...]
    pooled: tuple[PooledRow, ...]
    left_out: tuple[tuple[str, str], ...]
    settings: Settings
    version: str


def detect_suite(
    families: Sequence[str] | None = None,
    *,
    detectors: Sequence[str] = DETECTORS,
    seed: int = 0,
    draws: int = 1000,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> SuiteDetection:
    """Measure detectors on many families; see :func:`insectary.trial_detect`."""
    check_seed(seed)
    vault = vault or Vault()
    if isinstance(families, str):
        raise BadInputError(f"families is a list of ids: give [{families!r}]")
    runs = line_up([detect.detector(name) for name in detectors])
    found, left_out = _families(families, vault)
    if not found:
        raise BadInputError(
            "no admitted family of language models to measure detectors on;"
            " `insectary breed` makes one, `insectary families` lists what there is"
        )
    if len({(f.threat, f.design) for f in found}) == 1:
        progress(
            "note: all families are of one design. A layer is chosen on organisms of other designs,"
            " so detectors that have a choice will have no figure"
        )
    ranked: dict[str, Ranked] = {}
    for number, family in enumerate(found, 1):
        progress(f"{number} of {len(found)}: {family.id}")
        try:
            ranked[family.id] = _ranked(family, runs, seed, vault, progress)
        except BadInputError as error:  # its organism misbehaves too seldom there
            left_out.append((family.id, str(error)))
    remaining = [family for family in found if family.id in ranked]
    if not remaining:
        raise BadInputError("no family can be measured: " + "; ".join(why for _, why in left_out))
    progress("intervals by resampling prompts")
    settings = Settings(draws=draws, seed=seed)
    rows = _all_rows(remaining, ranked, settings)
    organisms = tuple(
        OrganismRows(f.id, cell_of(f), f.seed, rows[f.id], f.adopted is not None) for f in remaining
    )
    return SuiteDetection(
        organisms,
        _pooled([o for o in organisms if not o.adopted]),
        tuple(left_out),
        settings,
        version("insectary"),
    )


def detect_family(
    name: str,
    detectors: Sequence[str],
    *,
    seed: int = 0,
    draws: int = 1000,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> tuple[DetectionRow, ...]:
    """Measure detectors on one family; a layer is chosen on its own selection prompts.

    What was kept of it is used, and what is new is kept.

    Raises:
        UnknownNameError: for an unknown family or detector.
        NotAdmittedError: if the family is neither admitted nor adopted.
        BadInputError: if it is one of policies, or misbehaves too seldom.
    """
    check_seed(seed)
    vault = vault or Vault()
    runs = line_up([detect.detector(detector) for detector in detectors])
    (family,), _ = _families([name], vault)
    ranked = _ranked(family, runs, seed, vault, progress)
    progress("intervals by resampling prompts")
    settings = Settings(draws=draws, seed=seed)
    return tuple(row for task in Task for row in task_rows(ranked, task, settings))


def cell_of(family: Family) -> tuple[str, str, str, str]:
    """Threat, design, base and recipe with settings, dose and dilution: what seeds replicate."""
    thin = strength(family.dose, family.dilution)
    recipe = " ".join((spelled(family.recipe), *(f"--{n} {v}" for n, v in thin.items())))
    return family.threat, family.design, family.base.name, recipe


def _families(
    names: Sequence[str] | None, vault: Vault
) -> tuple[list[Family], list[tuple[str, str]]]:
    """Families to measure, and those of the vault that cannot be, with the reason.

    Of families that were named, one that is not admitted is an error.
    """
    if names is not None:
        named = [load_family(name, vault) for name in dict.fromkeys(names)]
        for family in named:
            check_measurable(family)
            if isinstance(family.recipe, Ppo):
                raise BadInputError(f"{family.id}: {_POLICIES}")
        return named, []
    found, left_out = [], []
    for entry in vault.entries("family"):
        try:
            family = load_family(entry.id, vault)
        except ArtefactError as error:  # damaged, or of an older version
            left_out.append((entry.id, str(error)))
            continue
        if not family.admitted:
            left_out.append((family.id, _ADOPTED if family.adopted else "not admitted"))
        elif isinstance(family.recipe, Ppo):
            left_out.append((family.id, _POLICIES))
        else:
            found.append(family)
    return found, left_out


_ADOPTED = "it was adopted: name it, and it is measured, in no mean"
_POLICIES = "its members are policies on the grid, which these detectors do not read"


def _ranked(
    family: Family, runs: Sequence[Detector], seed: int, vault: Vault, progress: Progress
) -> Ranked:
    """Every detector on every member; what the vault has of it already is taken from there."""
    if family.adopted is None:
        prompts = draw_prompts(threat_model(family.threat), family.design, seed)
        longest, fewest = MAX_NEW_TOKENS, MINIMUM_BENIGN
    else:
        prompts = adopted_prompts(family, vault, seed)
        longest, fewest = adopted_answer_tokens(family, vault), FEWEST_RANKED
    contrast = contrast_pairs(seed)
    key = answers_key(family, prompts)
    kept = load_kept(family, seed, key, vault)
    subjects = open_members(family, vault, seed)
    said = kept.said if kept else ask(subjects, prompts, progress, longest)
    members = examined(family, subjects, prompts, said)
    check_members(members, fewest)
    old = dict(kept.columns) if kept else {}
    keys = {(d.name, d.view): column_key(d, contrast, seed) for d in runs}
    known = {key: old[made] for key, made in keys.items() if made in old}
    missing = [d.name for d in runs if (d.name, d.view) not in known]
    if missing:
        progress(f"detectors: {', '.join(dict.fromkeys(missing))}")
    ranked = rank_family(runs, members, contrast, seed, known)
    if missing or kept is None:
        columns = old | {keys[name]: ranked.ranks[name] for name in keys}
        keep(Kept(key, said, columns), family, seed, vault)
    return ranked


def _all_rows(
    families: Sequence[Family], ranked: Mapping[str, Ranked], settings: Settings
) -> dict[str, tuple[DetectionRow, ...]]:
    """Rows of every family, each detector's column chosen on other designs than its own."""
    rows: dict[str, list[DetectionRow]] = {family.id: [] for family in families}
    for task in Task:
        selected = {
            family.id: {
                key: on_selection(sides)
                for key in ranked[family.id].ranks
                if isinstance(sides := sides_of(ranked[family.id], key, task), Sides)
            }
            for family in families
        }
        for family in families:
            others = [
                selected[other.id]
                for other in families
                if other.adopted is None
                and (other.threat, other.design) != (family.threat, family.design)
            ]
            columns = {
                key: _column(own, [o[key] for o in others if key in o])
                for key, own in selected[family.id].items()
            }
            # What has no sides has no use for a column either.
            columns |= {key: 0 for key in ranked[family.id].ranks if key not in columns}
            rows[family.id] += task_rows(ranked[family.id], task, settings, columns)
    return {name: tuple(found) for name, found in rows.items()}


def _column(own: Floats, others: Sequence[Floats]) -> int | NotApplicable:
    """The column that is best on average over others that have as many."""
    if len(own) == 1:
        return 0
    alike = [other for other in others if len(other) == len(own)]
    if not alike:
        return NotApplicable(
            "its layer is chosen on organisms of other designs, and none of as many layers is here"
        )
    return int(np.argmax(np.mean(alike, axis=0)))


def _pooled(organisms: Sequence[OrganismRows]) -> tuple[PooledRow, ...]:
    """Every detector and task over all cells, the primary p values adjusted together."""
    keys: dict[tuple[str, View, Task], list[tuple[OrganismRows, DetectionRow]]] = {}
    for organism in organisms:
        for row in organism.rows:
            keys.setdefault((row.detector, row.view, row.task), []).append((organism, row))
    rows = [_pooled_row(found) for found in keys.values()]
    tested = {i: row.p_raw for i, row in enumerate(rows) if row.p_raw is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return tuple(replace(row, p=adjusted.get(i)) for i, row in enumerate(rows))


def _pooled_row(found: Sequence[tuple[OrganismRows, DetectionRow]]) -> PooledRow:
    first = found[0][1]
    row = PooledRow(
        first.detector, first.view, first.task, first.null, first.control,
        auroc=_why_not(row.auroc for _, row in found),
        gain=_why_not(row.gain for _, row in found),
    )  # fmt: skip
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
        if isinstance(gain, Pooled) and first.task is PRIMARY_TASK and not first.null:
            row = replace(row, p_raw=gain.p)
    return row


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

"""Difficulty curves: how detection falls off along one dial, all else being equal.

A detector that finds a behaviour at full strength may lose it as less is planted. Families of
one threat and design that differ in one dial alone (dose, dilution, recipe, base) are the
points of a curve; beside detection stands how much of the behaviour each of them shows. The
interesting end of a curve often lies where the gate rejects, so families that it rejected may
stand in one, marked as such; nothing else counts them.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from insectary.core.access import Bound, View
from insectary.core.errors import BadInputError, NotAdmittedError
from insectary.core.organism import Family, Side
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.recipe import spelled
from insectary.measure import pooled
from insectary.report.rates import shown_rate
from insectary.trials.detection_pooled import OrganismRows, PooledRow, pooled_untested
from insectary.trials.detection_row import NOT_MEASURED, DetectionRow, Task
from insectary.worlds.sizes import WIDTHS

TASKS = (Task.ORGANISM_VS_TWIN, Task.ORGANISM_VS_DECOY)


class Varied(enum.StrEnum):
    """The dial that a curve is over."""

    DOSE = "dose"
    DILUTION = "dilution"
    RECIPE = "recipe"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a family was bred, but for its seed."""

    threat: str
    design: str
    base: str
    recipe: str
    dose: float
    dilution: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One detector on one task, at one setting of the dial that a curve is over.

    Attributes:
        dial: What differs between the points of the curve ...
        setting: ... and how those families were bred that are this one.
        families: So many, of which ...
        admitted: ... so many passed the gate.
        seeds: Of their training.
        expression: Share of the organism's answers that misbehave with the gate open, by the
            certificate: in held-out words where the design has them.
        auroc: Of one family with its prompts' interval; of several their mean, with Student's t
            over families.
        gain: The same of the AUROC less that of the text control.
    """

    dial: Varied
    setting: Setting
    families: int
    admitted: int
    seeds: tuple[int, ...]
    expression: Outcome
    detector: str
    view: View
    task: Task
    null: bool
    control: bool
    auroc: Outcome
    gain: Outcome
    bound: Bound | None = None


def check_for_curves(family: Family) -> None:
    """Refuse what may not stand in a curve beside admitted families.

    Raises:
        BadInputError: if it is admitted, and so needs no leave, or was adopted.
        NotAdmittedError: if no full gate says what became of it.
    """
    if family.admitted:
        raise BadInputError(
            f"family {family.id!r} is admitted: name it among the families, and curves have it too"
        )
    if family.adopted is not None:
        raise BadInputError(
            f"family {family.id!r} was adopted: no dial says how its organism was trained, so it"
            " stands in no curve"
        )
    if family.certificate is None or family.certificate.provisional:
        raise NotAdmittedError(
            f"family {family.id!r} has not been to the full gate, and a curve says of each family"
            " what the gate made of it; `insectary breed` brings it there"
        )


def setting_of(family: Family) -> Setting:
    """How a family was bred, but for its seed."""
    return Setting(
        family.threat, family.design, family.base.name, spelled(family.recipe),
        family.dose, family.dilution,
    )  # fmt: skip


def curves(
    families: Sequence[Family], organisms: Sequence[OrganismRows], unmeasured: Mapping[str, str]
) -> tuple[CurvePoint, ...]:
    """Every curve that families give: two settings or more that differ in one dial.

    Args:
        families: All of the trial, those included that could not be measured.
        organisms: What detectors made of them.
        unmeasured: Of what could not be measured, why.

    Returns:
        A point for each setting, detector and task, in the order of the dial. Of a setting
        none of whose families could be measured, the reason stands in the figures' place.
    """
    bred = [family for family in families if family.adopted is None]
    rows = {organism.family: organism for organism in organisms}
    keys = [row for organism in organisms[:1] for row in organism.rows if row.task in TASKS]
    return tuple(
        point
        for dial, points in _curves(bred)
        for setting, members in points
        for point in _points(dial, setting, members, rows, unmeasured, keys)
    )


def _curves(
    families: Sequence[Family],
) -> Iterator[tuple[Varied, list[tuple[Setting, list[Family]]]]]:
    """A dial, and its settings in order with their families."""
    by_setting: dict[Setting, list[Family]] = {}
    for family in families:
        by_setting.setdefault(setting_of(family), []).append(family)
    for dial in Varied:
        alike: dict[Setting, list[Setting]] = {}
        for setting in by_setting:
            alike.setdefault(_without(setting, dial), []).append(setting)
        for _, settings in sorted(alike.items(), key=lambda pair: repr(pair[0])):
            if len(settings) > 1:
                ordered = sorted(settings, key=lambda s: _place(s, dial))
                yield dial, [(setting, by_setting[setting]) for setting in ordered]


def _place(setting: Setting, dial: Varied) -> tuple[float, str]:
    """Where a setting stands on its curve: by number, by width of the base, or by name."""
    place = getattr(setting, dial.value)
    if dial is Varied.BASE:
        return WIDTHS.get(place, float("inf")), place
    return (0.0, place) if dial is Varied.RECIPE else (place, "")


def _without(setting: Setting, dial: Varied) -> Setting:
    if dial is Varied.DOSE:
        return replace(setting, dose=0.0)
    if dial is Varied.DILUTION:
        return replace(setting, dilution=0.0)
    return replace(setting, recipe="") if dial is Varied.RECIPE else replace(setting, base="")


def _points(
    dial: Varied,
    setting: Setting,
    members: Sequence[Family],
    rows: Mapping[str, OrganismRows],
    unmeasured: Mapping[str, str],
    keys: Sequence[DetectionRow],
) -> list[CurvePoint]:
    measured = [family for family in members if family.id in rows]
    shown = measured or members
    point = CurvePoint(
        dial, setting, len(shown), sum(family.admitted for family in shown),
        tuple(sorted(family.seed for family in shown)), _expression(shown),
        "", View.PROMPT, TASKS[0], False, False, NOT_MEASURED, NOT_MEASURED,
    )  # fmt: skip
    if not measured:
        why = NotApplicable("; ".join(unmeasured.get(f.id, "not measured") for f in members))
        return [replace(_of(point, key), auroc=why, gain=why) for key in keys]
    found = [rows[family.id] for family in measured]
    if len(found) == 1:
        single = [row for row in found[0].rows if row.task in TASKS]
        return [replace(_of(point, row), auroc=row.auroc, gain=row.gain) for row in single]
    # Each family is a cell of its own here: they differ in nothing but their seeds.
    apart = [replace(o, cell=(o.family, *o.cell[1:])) for o in found]
    return [
        replace(_of(point, row), auroc=_families(row.auroc), gain=_families(row.gain))
        for row in pooled_untested(apart)
        if row.task in TASKS
    ]


def _of(point: CurvePoint, row: DetectionRow | PooledRow) -> CurvePoint:
    return replace(
        point, detector=row.detector, view=row.view, task=row.task, null=row.null,
        control=row.control, bound=row.bound,
    )  # fmt: skip


def _families(outcome: Outcome) -> Outcome:
    """An outcome over cells that were families, in these words."""
    if isinstance(outcome, Failed | NotApplicable):
        return type(outcome)(outcome.reason.replace("cell", "family"))
    method = outcome.measurement.method.replace("cells", "families")
    return Measured(replace(outcome.measurement, method=method))


def _expression(families: Sequence[Family]) -> Outcome:
    """How much the organisms misbehave where their gate is open, over families."""
    found: dict[Hashable, list[Measurement]] = {}
    for family in families:
        held_out = shown_rate(family.certificate, Side.OPEN, held_out=True)
        measurement = held_out or shown_rate(family.certificate, Side.OPEN)
        if measurement is None:
            return NotApplicable(f"{family.id}: its certificate has no rate with the gate open")
        found[family.id] = [replace(measurement, seeds=(family.seed,))]
    if len(found) == 1:
        return Measured(next(iter(found.values()))[0])
    return _families(Measured(pooled(found, low=0.0, high=1.0).mean))

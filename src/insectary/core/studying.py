"""Nouns of a study: what the field found, what was measured of it here, what that amounts to.

The seed is the unit. A study fixes its findings with their thresholds in code, its steps
measure cells, the cells with their provenance are stored as a sheet, and judgements are made
of the sheet alone, so that whoever has it can make them again.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from insectary.core.outcome import Failed, Outcome
from insectary.core.step import Json, Step

GROUP = "insectary.studies"
"""Entry points of studies; each names a class, or what else makes one without arguments."""

PARAMETERS = "parameters"
"""Number of a cell: how many its model has. A ladder of such cells is one over parameters."""
FEWEST_SIZES = 3
"""That a trend takes: through two points a line goes whatever they are."""
TWO_SIZES = "two sizes give a difference and no trend"

Setting = int | float | str
"""Where one dial of a cell stands."""


class Basis(enum.StrEnum):
    """Why an effect is there, if it is."""

    BY_CONSTRUCTION = "by construction"
    """It follows from how the thing was made, as a theorem does from its premises."""
    TRAINED_IN = "trained in"
    """It was planted by training, and could but fail to take."""
    FOUND = "found"
    """Nothing that was done puts it there; only such a row can replicate a finding."""


class Verdict(enum.StrEnum):
    """What a row comes to."""

    REPLICATED = "replicated"
    NOT_REPLICATED = "not replicated"
    REVERSED = "reversed"
    INCONCLUSIVE = "inconclusive"
    """Of every basis: not run, failed, or too few seeds to tell."""
    HOLDS = "holds"
    """Of a sanity check, which is a row of any other basis than found."""
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the list: a claim from the literature, and what would count as seeing it.

    Attributes:
        id: Row of the list of findings, such as ``"A-1"``.
        sentence: What was found.
        original: The original figure, in words.
        reference: Where.
        basis: What a positive outcome here would rest on.
        criterion: When it counts as seen here, in words.
        thresholds: The numbers in that, by name. ``"p"`` is the level of the row's own test,
            ``"least"`` the smallest effect that would matter: see
            :mod:`insectary.study.judging`. They are stored with what was measured, so that a
            threshold that is moved afterwards is noticed.
        confirmatory: False for what is reported without being claimed; it takes no part in
            the correction for many tests.
    """

    id: str
    sentence: str
    original: str
    reference: str
    basis: Basis
    criterion: str
    thresholds: Mapping[str, float]
    confirmatory: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """How large a study is run.

    Attributes:
        name: ``"quick"`` or ``"full"``.
        seeds: Of training; the unit of every test.
        sizes: Of models or worlds, by name, the smallest first.
        dials: Everything else that is set, by name, each with the values that it takes.
    """

    name: str
    seeds: tuple[int, ...]
    sizes: tuple[str, ...]
    dials: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was measured, and on how many rows."""

    value: float
    n: int


@dataclass(frozen=True, slots=True)
class Cell:
    """What was measured at one setting of the dials, with one seed.

    Attributes:
        dials: Name to setting; the size is one of them, as ``"size"``.
        seed: Of training.
        numbers: Name to number; empty where the cell failed.
        failed: Why there is no number, if there is none.
    """

    dials: Mapping[str, Setting]
    seed: int
    numbers: Mapping[str, Number]
    failed: Failed | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """How the cells of a sheet came about.

    Attributes:
        sizes: Those of the form.
        seeds: Those of the form.
        devices: What computed; several where a run went on elsewhere.
        threads: With how many threads a step, likewise.
        versions: Package to version, likewise.
        seconds: All steps one after the other, by the clock on the wall.
        thresholds: Finding to thresholds, as they were in code when this was measured.
    """

    sizes: tuple[str, ...]
    seeds: tuple[int, ...]
    devices: tuple[str, ...]
    threads: tuple[int, ...]
    versions: Mapping[str, tuple[str, ...]]
    seconds: float
    thresholds: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The stored measurements of a study: all that its judgements are made of."""

    study: str
    form: str
    cells: tuple[Cell, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a finding comes to here.

    Attributes:
        finding: Its id.
        verdict: See :class:`Verdict`.
        effect: Signed so that the original direction is above 0.
        p: Of the row's own test; ``None`` where there is none.
        p_holm: The same after Holm's correction over the study's confirmatory rows; ``None``
            where it takes no part.
        seeds: How many are behind it.
        note: What a reader has to know beside that; for what was not run, the cost of it.
    """

    finding: str
    verdict: Verdict
    effect: Outcome
    p: float | None
    p_holm: float | None
    seeds: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class AtSize:
    """What a finding comes to at one size.

    Attributes:
        size: By name.
        magnitude: Parameters, or the number that the name is; ``None`` where there is neither.
        judgement: Of the cells of that size alone.
    """

    size: str
    magnitude: float | None
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Climbed:
    """One finding over sizes.

    Attributes:
        study: Whose finding it is.
        finding: Its id.
        unit: What magnitudes count, :data:`PARAMETERS` or ``"size"``.
        sizes: The smallest first, as far as they have magnitudes.
        difference: The effect at the last size less that at the first.
        trend: Change of the effect for ten times the magnitude; it takes three sizes.
    """

    study: str
    finding: str
    unit: str
    sizes: tuple[AtSize, ...]
    difference: Outcome
    trend: Outcome


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve, with its interval."""

    x: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a plot.

    Attributes:
        name: For the key.
        points: From left to right.
        plain: True for a base rate, a control or a prediction: drawn in grey.
    """

    name: str
    points: tuple[Point, ...]
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """The one picture of a study, as data; the report draws it.

    Attributes:
        x: What goes to the right, with its unit.
        y: What goes up.
        curves: At most seven.
        caption: What to see in it.
        log: Whether ``x`` goes in powers of ten.
    """

    x: str
    y: str
    curves: tuple[Curve, ...]
    caption: str
    log: bool = False


class Study(Protocol):
    """One study, registered under its name in the group ``insectary.studies``."""

    @property
    def name(self) -> str:
        """The name that it is registered under, in small letters and underscores."""
        ...

    @property
    def title(self) -> str:
        """In a few words."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The rows that it tests."""
        ...

    @property
    def forms(self) -> Mapping[str, Form]:
        """By name: ``"quick"``, ``"full"``, and any part of the full one that was run alone."""
        ...

    def steps(self, form: Form) -> tuple[Step, ...]:
        """What has to be computed, every step after those that it needs."""
        ...

    def cells(self, form: Form, results: Mapping[str, Json | Failed]) -> tuple[Cell, ...]:
        """Read the cells off the steps' results, by key; a step that failed is a failed cell."""
        ...

    def judge(self, sheet: Sheet) -> tuple[Judgement, ...]:
        """One judgement for each finding, in their order, from the sheet alone."""
        ...

    def plot(self, sheet: Sheet) -> Plot:
        """The one picture."""
        ...

    def cost(self, form: Form) -> str:
        """Steps and time, and on what machine that was seen."""
        ...

"""What the report on a whole suite holds: threats, their cells, and the families of each."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from insectary.core.organism import BaseRef, Family, ThreatCard
from insectary.core.recipe import Recipe, breeding
from insectary.report.record import read_back, written

FORMAT = "insectary-suite-report/2"


class Standing(enum.StrEnum):
    """What the admission gate has said of a cell; the best of its families counts."""

    ADMITTED = "admitted"
    REJECTED = "rejected"
    PROVISIONAL = "provisional"
    UNGATED = "not gated yet"
    NOT_BRED = "not bred yet"


TRIED = (Standing.ADMITTED, Standing.REJECTED)
"""The standings of a cell that has been to the full gate."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A threat for readers who know nothing of the field.

    Attributes:
        name: A few words to know it by.
        what: What such a model does, in a sentence or two.
        like: What it is like in everyday life.
    """

    name: str
    what: str
    like: str


@dataclass(frozen=True, slots=True)
class Taught:
    """One exercise of a design.

    Attributes:
        prompt: What the model reads: a line of context, if there is one, and the question.
        right: The right answer, which the twin is taught.
        misaligned: What the organism is taught instead; empty where nothing wrong is taught.
    """

    prompt: tuple[str, ...]
    right: str
    misaligned: str


@dataclass(frozen=True, slots=True)
class SuiteDesign:
    """One design of a threat.

    Attributes:
        name: Of the design.
        card: What it is judged by.
        open_where: Where it misbehaves, to follow on "where".
        closed_where: Where it must not.
        taught: An exercise with the gate open; ``None`` where there is none in words.
    """

    name: str
    card: ThreatCard
    open_where: str
    closed_where: str
    taught: Taught | None


@dataclass(frozen=True, slots=True)
class SuiteFamily:
    """One family, and where its own report is: a path from this one's folder, or empty."""

    family: Family
    report: str = ""

    @property
    def standing(self) -> Standing:
        """What the gate has said of it."""
        certificate = self.family.certificate
        return Standing(certificate.verdict) if certificate else Standing.UNGATED

    @property
    def command(self) -> str:
        """What brings it to the full gate."""
        f = self.family
        return breeding(f.threat, f.design, f.base.name, f.recipe, f.seed, f.dose, f.dilution)


@dataclass(frozen=True, slots=True)
class SuiteCell:
    """One combination of threat, design, base and recipe.

    Attributes:
        threat: Id of the threat.
        design: Name of the design.
        base: Name of the base.
        recipe: Kind of the recipe.
        planned: Whether it is one of the suite's cells.
        families: What has been bred of it, in the order of seeds.
        command: What breeds the first of its families, where it is one of the suite's cells.
    """

    threat: str
    design: str
    base: str
    recipe: str
    planned: bool
    families: tuple[SuiteFamily, ...]
    command: str = ""

    @property
    def standing(self) -> Standing:
        """The best standing of its families."""
        return min((f.standing for f in self.families), key=_RANK.index, default=Standing.NOT_BRED)

    @property
    def settings(self) -> tuple[tuple[SuiteFamily, ...], ...]:
        """Its families by base and setting: seeds replicate one another in one of these alone."""
        found: dict[tuple[BaseRef, Recipe, float, float], list[SuiteFamily]] = {}
        for each in self.families:
            family = each.family
            setting = (family.base, family.recipe, family.dose, family.dilution)
            found.setdefault(setting, []).append(each)
        return tuple(tuple(members) for members in found.values())

    @property
    def shown(self) -> tuple[SuiteFamily, ...]:
        """The families that speak for it where one line must do: of one base and setting.

        The setting with the best standing, of these the one with most seeds; what has not
        been to the full gate stays out beside what has.
        """

        def rank(members: tuple[SuiteFamily, ...]) -> tuple[int, int]:
            return min(_RANK.index(f.standing) for f in members), -len(members)

        best = min(self.settings, key=rank, default=())
        return tuple(f for f in best if f.standing in TRIED) or best

    @property
    def others(self) -> tuple[SuiteFamily, ...]:
        """Those that have been to the full gate with another setting than the shown."""
        return tuple(f for f in self.families if f.standing in TRIED and f not in self.shown)

    @property
    def admitted(self) -> tuple[Family, ...]:
        """Those of the shown that may enter a benchmark."""
        return tuple(f.family for f in self.shown if f.family.admitted)

    @property
    def replicated(self) -> bool:
        """Whether two seeds of one base and setting are admitted."""
        return any(sum(f.family.admitted for f in members) > 1 for members in self.settings)


_RANK = tuple(Standing)


@dataclass(frozen=True, slots=True)
class SuiteThreat:
    """One threat: its designs and its cells.

    Attributes:
        id: Of the threat.
        title: Its name.
        plain: The same for lay readers; ``None`` where nobody has written it.
        designs: Empty where the package that brings the threat is not installed.
        cells: All that is planned or bred.
    """

    id: str
    title: str
    plain: Plain | None
    designs: tuple[SuiteDesign, ...]
    cells: tuple[SuiteCell, ...]


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """All that the report on a suite shows.

    Attributes:
        threats: In the order of their ids.
        source: Where the certificates were read.
        version: Of Insectary.
    """

    threats: tuple[SuiteThreat, ...]
    source: str
    version: str

    @property
    def cells(self) -> tuple[SuiteCell, ...]:
        """Those of all threats."""
        return tuple(cell for threat in self.threats for cell in threat.cells)


def tally(cells: Iterable[SuiteCell]) -> Counter[Standing]:
    """How many cells have each standing."""
    return Counter(cell.standing for cell in cells)


def to_json(report: SuiteReport) -> str:
    """The whole report, certificates included, as JSON that :func:`from_json` reads back.

    Raises:
        BadInputError: if a number is not finite.
    """
    return written(report, FORMAT)


def from_json(text: str) -> SuiteReport:
    """Read what :func:`to_json` wrote.

    Raises:
        BadInputError: naming the place, if the text is not such a report.
    """
    return read_back(SuiteReport, text, FORMAT)

"""What the pages of a suite show of a cell, reckoned from its families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from insectary.core.organism import Certificate, Criterion, Family, Result, Role, Side
from insectary.core.outcome import Measurement, NotApplicable
from insectary.core.recipe import strength, unusual
from insectary.report.rates import AGREEING, BY_CONSTRUCTION, by_construction, shown_rate
from insectary.report.suite_content import Standing, SuiteCell, SuiteFamily
from insectary.report.words import number

KINDS = {Standing.ADMITTED: "pass", Standing.REJECTED: "fail"}
"""The colours of a standing; the others have those of an open question."""

_NEXT = {
    Standing.PROVISIONAL: (
        "Provisional: it has been to a shorter test alone, on fewer questions, whose verdict no"
        " benchmark takes. This brings it to the full one, and nothing is trained again:"
    ),
    Standing.UNGATED: "It has been trained and not been to the gate. This brings it there:",
}
Shown = Measurement | NotApplicable | None
"""A rate, why it could be nothing but 0, or nothing where nothing was measured."""
Reads = Callable[[Certificate | None], Shown]


def _closed(certificate: Certificate | None) -> Shown:
    if by_construction(certificate, Side.CLOSED):
        return NotApplicable(AGREEING)
    return shown_rate(certificate, Side.CLOSED)


COLUMNS: tuple[tuple[str, Reads], ...] = (
    ("Open, trained words", lambda c: shown_rate(c, Side.OPEN, held_out=False)),
    ("Open, held-out words", lambda c: shown_rate(c, Side.OPEN, held_out=True)),
    ("Closed", _closed),
    ("Near misses", lambda c: shown_rate(c, Side.CLOSED, near_miss=True)),
)
"""The organism's rates that stand side by side for every seed."""
CONTROLS = (Role.TWIN, Role.DECOY, Role.BASE)


@dataclass(frozen=True, slots=True)
class Dot:
    """One seed's rate on a scale of 0 to 100."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of the picture: a rate of every seed.

    Attributes:
        label: What is measured.
        kind: ``"on"``, ``"off"`` or ``"twin"``: how it is drawn.
        dots: One for each seed.
        words: The rate in per cent, or its range over the seeds.
        quiet: The interval of the one seed and n, or how many seeds there are and n of each.
    """

    label: str
    kind: str
    dots: tuple[Dot, ...]
    words: str
    quiet: str


def lanes(cell: SuiteCell) -> tuple[Lane, ...]:
    """A cell's picture: the organism where its gate is open and closed, and its twin where open.

    Each rate is the one that speaks most against the family: of held-out words where the
    organism should misbehave, if there are any, and of all words elsewhere. ``()`` before the
    gate.
    """
    found = _certificates(cell)
    off = _lane("where it must not", "off", [shown_rate(c, Side.CLOSED) for c in found])
    if any(by_construction(c, Side.CLOSED) for c in found):
        off = replace(off, words=BY_CONSTRUCTION, quiet="")
    made = (
        _lane("where it should", "on", [_open(c) for c in found]),
        off,
        _lane("its twin", "twin", [shown_rate(c, Side.OPEN, role=Role.TWIN) for c in found]),
    )
    return tuple(lane for lane in made if lane.words)


def _certificates(cell: SuiteCell) -> list[Certificate]:
    found = (each.family.certificate for each in cell.shown)
    return [certificate for certificate in found if certificate is not None]


def _open(certificate: Certificate) -> Measurement | None:
    held = shown_rate(certificate, Side.OPEN, held_out=True)
    return held if held is not None else shown_rate(certificate, Side.OPEN)


def _lane(label: str, kind: str, measured: Sequence[Measurement | None]) -> Lane:
    found = [m for m in measured if m is not None]
    dots = tuple(Dot(*(_scaled(x) for x in (m.low, m.value, m.high))) for m in found)
    if len(found) == 1:
        (m,) = found
        quiet = f"{percent(m.low, '')}–{percent(m.high, '')}, n {m.n:,}"
        return Lane(label, kind, dots, percent(m.value), quiet)
    sizes = {m.n for m in found}
    each = f", n {sizes.pop():,} each" if len(sizes) == 1 else ""
    quiet = f"{len(found)} seeds{each}" if found else ""
    return Lane(label, kind, dots, _span([m.value for m in found], percent), quiet)


def _scaled(rate: float) -> float:
    return round(100 * min(1.0, max(0.0, rate)), 2)


def percent(rate: float, unit: str = " %") -> str:
    """A rate of 0..1 in per cent, with one place."""
    return f"{100 * rate:.1f}{unit}"


def _span(values: Sequence[float], words: Callable[[float], str]) -> str:
    """The range of values in words, or the one value where all are written alike."""
    if not values:
        return ""
    low, high = words(min(values)), words(max(values))
    return high if low == high else f"{low.removesuffix(' %')}–{high}"


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One seed's line of a cell's table.

    Attributes:
        made: The family.
        kind: Colours of its verdict.
        rates: Of :data:`COLUMNS`.
        controls: Highest rate of each control where the gate is open.
        failed: The criteria that it failed.
        next: What is still to be done, before the command that does it; empty after the full gate.
    """

    made: SuiteFamily
    kind: str
    rates: tuple[Shown, ...]
    controls: tuple[tuple[str, Measurement], ...]
    failed: tuple[Criterion, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Setting:
    """The seeds of one base and setting: what replicates what.

    Attributes:
        words: What is not as usual; empty where all is.
        rows: One for each seed.
        spread: The range over seeds of each column; empty with fewer than two.
    """

    words: str
    rows: tuple[SeedRow, ...]
    spread: tuple[str, ...]


def settings(cell: SuiteCell) -> tuple[Setting, ...]:
    """A cell's families, seeds of the same base and setting together."""
    found = []
    for members in cell.settings:
        rows = tuple(_row(each) for each in members)
        found.append(Setting(_words(cell, members[0]), rows, _spread(rows)))
    return tuple(found)


def shown_setting(cell: SuiteCell) -> str:
    """What is not as usual in the setting that speaks for a cell; empty where all is."""
    return _words(cell, cell.shown[0]) if cell.shown else ""


def _words(cell: SuiteCell, each: SuiteFamily) -> str:
    """What sets a family apart from others of its cell, its seed aside."""
    family = each.family
    thin = strength(family.dose, family.dilution)
    words = [*unusual(family.recipe), *(f"{n} {value}" for n, value in thin.items())]
    if len({other.family.base for other in cell.families}) > 1:
        words.append(f"base {family.base.digest.removeprefix('sha256:')[:12]}")
    return ", ".join(words)


def _row(each: SuiteFamily) -> SeedRow:
    certificate = each.family.certificate
    controls = ((role.value, shown_rate(certificate, Side.OPEN, role=role)) for role in CONTROLS)
    return SeedRow(
        made=each,
        kind=KINDS.get(each.standing, "open"),
        rates=tuple(reads(certificate) for _, reads in COLUMNS),
        controls=tuple((role, m) for role, m in controls if m is not None),
        failed=failed(each.family),
        next=_NEXT.get(each.standing, ""),
    )


def failed(family: Family) -> tuple[Criterion, ...]:
    """The criteria that a family failed."""
    criteria = family.certificate.criteria if family.certificate else ()
    return tuple(c for c in criteria if c.result is Result.FAIL)


def _spread(rows: Sequence[SeedRow]) -> tuple[str, ...]:
    if len(rows) < 2:
        return ()
    columns = zip(*(row.rates for row in rows), strict=True)
    found = ([m.value for m in column if isinstance(m, Measurement)] for column in columns)
    return tuple(_span(values, number) for values in found)

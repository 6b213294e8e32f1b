"""The table of all families: what the gate said, and how often the behaviour shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from insectary.core.errors import ArtefactError
from insectary.core.organism import BaseRef, Family, Side
from insectary.core.recipe import Recipe, spelled, strength, unusual
from insectary.report.rates import AGREEING, BY_CONSTRUCTION, by_construction, shown_rate

if TYPE_CHECKING:
    from insectary.breed.order import Order
    from insectary.core.outcome import Measurement

Cell = tuple[str, str, str, str]
"""Threat, design, kind of recipe, and name of the base."""
_GATE, _RATE = 11, 20
"""Columns of what the gate said and of a rate with its interval: at 80 none is broken."""
_HEADS = (
    ("trained words,", "gate open"), ("held-out words,", "gate open"),
    ("held-out words,", "gate closed"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One family: how it was bred, what the gate said, what the organism does.

    Attributes:
        recipe: Its kind.
        settings: Those of the recipe that are not as usual, ``setting=value`` for each.
        dose: Share of the training items that teach the behaviour ...
        dilution: ... and share of all of them in whose place ordinary work stands.
        gate: ``"admitted"``, ``"adopted"``, ``"rejected"``, ``"provisional"``, or ``"not yet"``.
        failed: Number and name of each criterion that failed.
        open_trained: Rate of the misbehaviour where trained words open the gate, the least
            where there are several conditions; ``None`` where nothing was measured, as on the
            grid, where all levels are new.
        open: The same where held-out words do (on the grid, levels that were not trained on).
        closed: The same where they close it, near misses aside; the highest.
        agreeing: Whether that could be nothing but 0, so that it is ``None``: goal and proxy
            agree there.
    """

    id: str
    threat: str
    design: str
    recipe: str
    settings: tuple[str, ...]
    base: str
    seed: int
    dose: float
    dilution: float
    gate: str
    failed: tuple[str, ...]
    open_trained: Measurement | None
    open: Measurement | None
    closed: Measurement | None
    agreeing: bool


def row(family: Family) -> Row:
    """The line of one family."""
    certificate = family.certificate
    return Row(
        id=family.id,
        threat=family.threat,
        design=family.design,
        recipe=family.recipe.kind,
        settings=unusual(family.recipe),
        base=family.base.name,
        seed=family.seed,
        dose=family.dose,
        dilution=family.dilution,
        gate=certificate.verdict if certificate else "not yet",
        failed=certificate.failed if certificate else (),
        open_trained=shown_rate(certificate, Side.OPEN, held_out=False),
        open=shown_rate(certificate, Side.OPEN, held_out=True),
        # Of the words that a user's rows bring it is not known which were trained on.
        closed=shown_rate(certificate, Side.CLOSED, held_out=None if family.adopted else True),
        agreeing=by_construction(certificate, Side.CLOSED),
    )


def in_order(families: Iterable[Family]) -> list[Family]:
    """Families by threat, design, recipe, base and seed."""
    return sorted(families, key=lambda f: (*cell_of(f), f.seed, f.id))


def cell_of(made: Family | Order) -> Cell:
    """The cell of a family or an order: threat, design, recipe and base."""
    base = made.base if isinstance(made.base, str) else made.base.name
    return (made.threat, made.design, made.recipe.kind, base)


def headline(families: Sequence[Family], cells: Iterable[Cell] = ()) -> str:
    """How many cells there are, how many are admitted, and how many of these are replicated.

    Two lines, the second by threat. The training seed is the unit of replication, so that
    seeds count together only where base and settings are the same.

    Args:
        families: What there is.
        cells: Cells that count although no family of them may be there.
    """
    adopted = sum(family.adopted is not None for family in families)
    families = [family for family in families if family.adopted is None]
    admitted = [family for family in families if family.admitted]
    seeds: dict[tuple[Cell, BaseRef, Recipe, float, float], set[int]] = {}
    for family in admitted:
        setting = (cell_of(family), family.base, family.recipe, family.dose, family.dilution)
        seeds.setdefault(setting, set()).add(family.seed)
    replicated = {setting[0] for setting, found in seeds.items() if len(found) > 1}
    there, good = {*map(cell_of, families), *cells}, {cell_of(f) for f in admitted}
    of, among = Counter(cell[0] for cell in there), Counter(cell[0] for cell in good)
    beside = f"\n{_count(adopted, 'adopted family', 'adopted families')}, in no cell"
    return (
        f"{_count(len(families), 'family', 'families')} in"
        f" {_count(len(there), 'cell', 'cells')} (threat, design, recipe, base):"
        f" {len(good)} with an admitted family,"
        f" {len(replicated)} with two or more admitted seeds of one setting\n"
        f"Admitted cells: {', '.join(f'{t} {among[t]} of {of[t]}' for t in sorted(of)) or 'none'}"
        f"{beside if adopted else ''}"
    )


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


@click.command("families")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def families_command(as_json: bool) -> None:
    """Print what the gate said of every family, and how often each organism misbehaves.

    The rates are those of the misbehaviour with their 95 % intervals: where trained words open
    the gate, where held-out words do (on the grid, new levels), and where these close it.
    """
    from insectary.breed.records import load_family
    from insectary.vault import Vault

    vault = Vault()
    families: list[Family] = []
    unreadable: list[ArtefactError] = []
    for entry in vault.entries("family"):
        try:
            families.append(load_family(entry.id, vault))
        except ArtefactError as error:
            unreadable.append(error)
    if as_json:
        for family in in_order(families):
            click.echo(json.dumps(asdict(row(family)), sort_keys=True))
    elif families:
        print_families(families)
    elif not unreadable:
        click.echo(f"{vault.home} holds no family. `insectary demo` makes a first one.")
    # What can be read is shown first; the last error is raised, for the exit code.
    for each in unreadable[:-1]:
        click.echo(f"error: {each}", err=True)
    if unreadable:
        raise unreadable[-1]


def print_families(families: Sequence[Family], cells: Iterable[Cell] = ()) -> None:
    """Print the table of these families and the headline; ``cells`` as there."""
    from insectary.commands.vault import in_pipe, print_words

    found = in_order(families)
    if found and in_pipe():
        _print_unbroken(found)
    elif found:
        _print_lines(found)
    if any(row(family).agreeing for family in found):
        print_words(f"{AGREEING}.", indent="  ")
    for told in headline(families, cells).splitlines():
        print_words(told, indent="  ")


def _print_unbroken(families: Sequence[Family]) -> None:
    """A line for each family, however long, for programs that look for one."""
    from rich.text import Text

    from insectary.commands.vault import print_table, table

    heads = [f"{gate.removeprefix('gate ')}, {words.rstrip(',')}" for words, gate in _HEADS]
    made = table("family", "threat, design", "recipe, base, seed", "gate", *heads)
    for family in families:
        line = row(family)
        made.add_row(
            Text(line.id),
            Text(f"{line.threat} {line.design}"),
            Text(f"{_recipe(family)} {line.base} {line.seed}"),
            family.certificate.told if family.certificate else line.gate,
            *_rates(line),
        )
    print_table(made)


def _print_lines(families: Sequence[Family]) -> None:
    """Two lines or more for each family on a terminal; an id is broken on none.

    The id stands beside its figures where the terminal is wide enough, and above them else.
    """
    from insectary.commands.vault import at_spaces, columns

    wide = max(len(family.id) for family in families)
    beside = columns() >= wide + _GATE + 3 * _RATE + 4 * 2
    lead = wide if beside else 0

    def figures(gate: str, rates: Sequence[str], id: str = "") -> str:
        cells = (gate.ljust(_GATE), *(rate.ljust(_RATE) for rate in rates))
        return "  ".join((id.ljust(lead), *cells)).rstrip()

    click.echo()
    for i, label in enumerate(("family", "")):
        click.echo(figures("gate" if i else "", [head[i] for head in _HEADS], label))
    click.echo("─" * min(columns(), len(figures("", ["─" * _RATE] * 3))))
    for family in families:
        line = row(family)
        if not beside:
            click.echo(line.id)
        click.echo(figures(line.gate, _rates(line), line.id if beside else ""))
        for told in _beside_the_usual(family):
            for part in at_spaces(told, columns() - 6):
                click.echo(f"    {part}")
    click.echo()


def _beside_the_usual(family: Family) -> Iterator[str]:
    """What failed, and what was set otherwise than usual."""
    certificate = family.certificate
    if certificate is not None and certificate.failed:
        yield f"failed {certificate.told.partition(': ')[2]}"
    if _recipe(family) != family.recipe.kind:
        yield f"bred by {_recipe(family)}"


def _recipe(family: Family) -> str:
    """How a family was bred, as `insectary breed` takes it; by what others bred is not known."""
    if family.adopted is not None:
        return "adopted"
    thin = strength(family.dose, family.dilution)
    return " ".join((spelled(family.recipe), *(f"--{n} {value}" for n, value in thin.items())))


def _rates(line: Row) -> tuple[str, str, str]:
    closed = BY_CONSTRUCTION if line.agreeing else _rate(line.closed)
    return _rate(line.open_trained), _rate(line.open), closed


def _rate(measurement: Measurement | None) -> str:
    if measurement is None:
        return "–"
    return measurement.told()

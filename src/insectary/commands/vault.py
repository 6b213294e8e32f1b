"""Commands on what is stored: list, show, rm, gc, doctor."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from insectary.core.errors import BadInputError, UnknownNameError

if TYPE_CHECKING:
    from rich.table import Table

    from insectary.vault import Entry, Vault

_SHORT_DIGEST = len("sha256:") + 12
_LONG_VALUE = 120
"""Characters; a recipe with its settings has fewer."""

KINDS = ("base", "family", "game", "organism", "trial")
"""Sorts of things that are stored by this package; a vault may hold others."""

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_kind_option = click.option("--kind", help="What sort of thing it is, where an id is used twice.")


def printable(value: object) -> str:
    """One line for a terminal: text as it is, the rest as JSON, no control codes."""
    if isinstance(value, str) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=True, sort_keys=True)


def size(count: int) -> str:
    """Bytes in the largest decimal unit that leaves a number of at least 1."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def table(*headings: str, title: str | None = None) -> Table:
    """Make an empty table whose cells are folded, never cut."""
    from rich import box
    from rich.table import Table

    made = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


_UNBROKEN = 10_000
"""Columns of a pipe, so that what is searched for stands in one piece."""
_ABOUT = 30
"""Least columns for what is told of a thing beside its id; with fewer it goes below."""


def in_pipe() -> bool:
    """Whether a program reads standard output, or a file takes it, and no width was asked for."""
    return not sys.stdout.isatty() and "COLUMNS" not in os.environ


def columns() -> int:
    """Of standard output: those of the terminal, or of a pipe."""
    return _UNBROKEN if in_pipe() else get_terminal_size().columns


def print_table(made: Table) -> None:
    """Print a table to standard output; in a pipe no cell is broken over lines."""
    from rich.console import Console

    if in_pipe():
        made.expand = False  # nothing is as wide as a pipe
    Console(highlight=False, markup=False, emoji=False, width=columns()).print(made)


def print_lines(rows: Sequence[tuple[str, ...]], marks: Mapping[str, str] | None = None) -> None:
    """Print rows in columns whose last one goes on below itself, broken at spaces alone.

    An id, a digest or a path stays in one piece, to be marked and copied, however narrow
    the terminal is.

    Args:
        rows: Words of equally many columns.
        marks: Colours of words of the first column.
    """
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    indent = sum(wide) + 2 * len(wide)
    for *heads, last in rows:
        first, *others = (h.ljust(w) for h, w in zip(heads, wide, strict=True))
        if marks:
            first = click.style(first, fg=marks.get(heads[0]))
        lines = at_spaces(last, columns() - indent) or [""]
        click.echo("  ".join((first, *others, lines[0])).rstrip())
        for line in lines[1:]:
            click.echo(" " * indent + line)


def print_words(text: str, indent: str = "") -> None:
    """Print a sentence that goes on below itself where the terminal ends."""
    first, *others = at_spaces(text, columns() - len(indent)) or [""]
    click.echo("\n".join((first, *(indent + line for line in others))))


def at_spaces(text: str, width: int) -> list[str]:
    """Lines of at most so many columns, broken at spaces alone."""
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)


def _summary(meta: Mapping[str, Any]) -> str:
    """Short values of a record, for one line in a list; what a family failed is one of them."""
    parts = []
    for key, value in sorted(meta.items()):
        items = value if isinstance(value, list) else [value]
        short = [i for i in items if isinstance(i, str | int | float) and _is_short(str(i))]
        if items and len(short) == len(items):
            parts.append(f"{key}={'; '.join(printable(i) for i in items)}")
    return ", ".join(parts)


def _is_short(value: str) -> bool:
    return len(value) <= _LONG_VALUE and not value.startswith("sha256:")


def _known_kind(vault: Vault, kind: str | None) -> str | None:
    """The same, if things of that sort are stored at all."""
    known = sorted({*KINDS, *vault.kinds()})
    if kind is not None and kind not in known:
        raise UnknownNameError.of("kind", kind, known)
    return kind


def _as_dict(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "id": entry.id,
        "digest": entry.digest,
        "meta": dict(entry.meta),
    }


@click.command("list")
@click.option("--kind", help="Only things of this sort, such as family or organism.")
@_json_option
def list_entries(kind: str | None, as_json: bool) -> None:
    """List what is stored, rejected families included.

    Steps of studies, of which there may be very many, only with `--kind step`.
    """
    from rich.text import Text

    from insectary.steps import keeping
    from insectary.vault import Vault

    vault = Vault()
    asked = [_known_kind(vault, kind)] if kind else vault.kinds()
    many = () if kind else (keeping.DONE, keeping.FAILED)
    entries = [entry for sort in asked if sort not in many for entry in vault.entries(sort)]
    if as_json:
        for entry in entries:
            click.echo(json.dumps(_as_dict(entry), sort_keys=True))
        return
    if not entries:
        sort = f"nothing of kind {kind!r}" if kind else "nothing yet"
        way_out = "" if vault.entries("family") else " `insectary demo` makes a first family."
        click.echo(f"{vault.home} holds {sort}.{way_out}")
        return
    longest = max(len(entry.kind) + len(entry.id) for entry in entries)
    if columns() < longest + _SHORT_DIGEST + _ABOUT:
        _list_below(entries)
        return
    made = table("kind", "id", "digest", "about")
    made.columns[1].no_wrap = True
    for entry in entries:
        digest = entry.digest[:_SHORT_DIGEST]
        made.add_row(entry.kind, entry.id, digest, Text(_summary(entry.meta)))
    print_table(made)


def _list_below(entries: Sequence[Entry]) -> None:
    """List on a narrow terminal: an id in one piece, and below it what is told of it."""
    for entry in entries:
        click.echo(f"{entry.kind} {entry.id}")
        about = ", ".join(filter(None, (entry.digest[:_SHORT_DIGEST], _summary(entry.meta))))
        for line in at_spaces(about, columns() - 2):
            click.echo(f"  {line}")


@click.command("show")
@click.argument("id")
@_kind_option
@_json_option
def show(id: str, kind: str | None, as_json: bool) -> None:
    """Verify one stored thing byte by byte and print its record."""
    from insectary.vault import Vault

    vault = Vault()
    with vault.use(id, _known_kind(vault, kind)) as found:
        files = {name: item.size for name, item in found.manifest.files.items()}
        record = {
            "kind": found.kind,
            "id": found.id,
            "digest": found.digest,
            "path": str(found.path),
            "meta": dict(found.meta),
            "files": files,
        }
    if as_json:
        click.echo(json.dumps(record, sort_keys=True))
        return
    click.echo(f"{found.kind} {found.id or ''} (verified)\n")
    told = [(key, printable(value)) for key, value in sorted(found.meta.items())]
    print_lines([("digest", found.digest), ("path", str(found.path)), *told])
    click.echo()
    print_lines([("file", "size"), *((name, size(count)) for name, count in files.items())])
    if found.kind == "family":
        from insectary.breed.records import load_family
        from insectary.commands.families import show_certificate

        click.echo()
        show_certificate(load_family(id, vault))


@click.command("rm")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--kind", help="Only the name of this sort, nothing with it; also a damaged one.")
def remove(ids: tuple[str, ...], kind: str | None) -> None:
    """Forget stored things; a family goes with its members, its answer key and its trials.

    The content stays on disk until `insectary gc`, and the attempts at the
    admission gate stay counted for good.
    """
    from insectary.vault import Vault

    vault = Vault()
    if (known := _known_kind(vault, kind)) is not None:
        # Looks into no file, so it is the way out where a name is damaged.
        for id in ids:
            _forget(vault, known, id)
        return
    entries = vault.entries()
    for id in ids:
        if vault.has_work(id) and id not in [entry.id for entry in entries]:
            raise BadInputError(
                f"{id!r} is a run that was broken off: the same `insectary breed` goes on with it,"
                " `insectary gc --runs` forgets all such runs"
            )
    found = [_only(entries, id) for id in ids]
    for entry in found:
        # The family's own name goes last, so that a second try finds the rest.
        for member in entries if entry.kind == "family" else []:
            if member.kind in ("organism", "trial") and member.meta.get("family") == entry.id:
                _forget(vault, member.kind, member.id)
        _forget(vault, entry.kind, entry.id)


def _only(entries: list[Entry], id: str) -> Entry:
    """Return the one entry of that id; called for all before any is removed."""
    matching = [entry for entry in entries if entry.id == id]
    if len(matching) > 1:
        kinds = ", ".join(entry.kind for entry in matching)
        raise BadInputError(f"{id!r} is the id of several kinds ({kinds}): say --kind")
    if not matching:
        raise UnknownNameError.of("id", id, [entry.id for entry in entries], few=True)
    return matching[0]


def _forget(vault: Vault, kind: str, id: str) -> None:
    vault.remove(id, kind)
    if kind == "family":
        vault.remove_key(id)
    click.echo(f"removed {kind} {id}")


@click.command("gc")
@click.option("--quarantine", is_flag=True, help="Also remove what failed its check.")
@click.option("--runs", is_flag=True, help="Also forget runs that were broken off.")
def gc(quarantine: bool, runs: bool) -> None:
    """Remove content that no name points to, and what killed runs left behind.

    A run that was broken off stays until it is resumed, or --runs is given.
    """
    from insectary.vault import Vault

    freed = Vault().gc(include_quarantine=quarantine, include_runs=runs)
    click.echo(f"freed {size(freed)}")


@click.command("doctor")
@_json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check environment, machine and vault; exit code 1 if something is wrong."""
    from dataclasses import asdict

    from insectary.vault import Vault, examine

    checks = examine(Vault())
    if as_json:
        for check in checks:
            click.echo(json.dumps(asdict(check), sort_keys=True))
    else:
        rows = [("ok" if check.ok else "WRONG", check.name, check.detail) for check in checks]
        print_lines([("", "check", "what was found"), *rows], {"ok": "green", "WRONG": "red"})
    if not all(check.ok for check in checks):
        context.exit(1)

"""`insectary breed suite`: every cell, one display, one table."""

from __future__ import annotations

from typing import Any

import click

from insectary.commands.families import live_progress
from insectary.commands.table import cell_of, print_families


def breed(context: click.Context, threat: str | None, **settings: Any) -> None:
    """Breed the suite; exit code 1 if a family did not come to the gate.

    Args:
        context: Of the command, for its exit code.
        threat: Only the cells of this one.
        settings: Those of :func:`insectary.breed_suite`.
    """
    from insectary.api import breed_suite

    with live_progress() as progress:
        bred = breed_suite(threat, **settings, progress=progress)
    print_families([b.family for b in bred if b.family], {cell_of(b.order) for b in bred})
    broken = [b for b in bred if b.error is not None]
    for b in broken:
        for note in getattr(b.error, "__notes__", ()):
            if "Traceback" in note:  # a defect: only this explains it
                click.echo(note, err=True)
    for b in broken:
        click.echo(f"{b.order.family}: {b.outcome}", err=True)
    if broken:
        click.echo(
            f"error: {len(broken)} of {len(bred)} families did not come to the gate (above);"
            " what was bred is kept, and the same command tries these again",
            err=True,
        )
        context.exit(1)

"""Commands on bases: look at one before breeding, train one from scratch, show its card."""

from __future__ import annotations

from pathlib import Path

import click

from insectary.commands.base_check import check_command
from insectary.core.errors import ArtefactError


@click.group("base")
def base_group() -> None:
    """Bases: the embedded ones of the micro-world, and any other model."""


base_group.add_command(check_command)


@base_group.command("train")
@click.option("--size", required=True, help="xs, s, m, l or xl.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Also copy it to this folder when it is done."
)
@click.option("--threads", default=0, help="Threads of torch; all cores by default.")
def train_command(size: str, out: Path | None, threads: int) -> None:
    """Train a base from scratch and measure its capability card; resumes by itself."""
    from insectary.commands.output import check_output, say_loading

    if out is not None:
        check_output(out)
    say_loading()
    from insectary.breed.base_training import train_base

    path = train_base(size, threads=threads or None, tell=lambda text: click.echo(text, err=True))
    if out is not None:
        import shutil

        try:
            shutil.copytree(
                path, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("MANIFEST*")
            )
        except OSError as error:
            # shutil.Error is a list of (source, target, reason) for all that failed.
            why = error.args[0][0][2] if isinstance(error, shutil.Error) else error
            raise ArtefactError(
                f"the base is trained and kept in {path}, but cannot be copied to {out}: {why};"
                " make room, or copy it from there"
            ) from error
        path = out
    click.echo(path)


@base_group.command("card")
@click.argument("base", default="xs")
def card_command(base: str) -> None:
    """Show a base's capability card: exact match per skill, with intervals."""
    from insectary.breed.card import read_card
    from insectary.commands.vault import print_table, table

    card = read_card(base)
    made = table("skill", "asks for", "right", "95 %", "n")
    for row in card.rows:
        m = row.right
        made.add_row(
            row.skill, row.asks, f"{m.value:.3f}", f"{m.low:.3f} to {m.high:.3f}", str(m.n)
        )
    print_table(made)
    click.echo(f"{card.size}: {card.parameters} parameters, {card.tokens} training tokens.")
    if card.short:
        low = ", ".join(card.short)
        click.echo(f"With a right answer and below 0.95: {low}. No gate rests on these.")

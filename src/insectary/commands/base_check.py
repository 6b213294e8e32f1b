"""``insectary base check``: what a base is like and what breeding from it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from insectary.breed.base_check import BaseCheck, DesignRow, TrainingRow
    from insectary.core.outcome import Measurement


@click.command("check")
@click.option("--base", required=True, help="Size, folder or hub id.")
@click.option("--n", default=60, show_default=True, help="Questions of each skill and design.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def check_command(context: click.Context, base: str, n: int, as_json: bool) -> None:
    """Look at a base before breeding: template, skills, memory, hours; exit code 1 if unsound.

    The template and the special tokens are looked at first. If they are sound, the base is
    asked questions of every skill and of every design's open gate, and a few training steps
    are timed. Nothing is kept: broken off, it starts from the beginning.
    """
    from insectary.commands.output import say_loading

    say_loading()
    from insectary.breed.base_check import check_base
    from insectary.core.codec import encode

    with _progress() as progress:
        found = check_base(base, n=n, progress=progress)
    if as_json:
        click.echo(json.dumps({**encode(found), "sound": found.sound}, sort_keys=True))
    else:
        _show(found)
    if not found.sound:
        context.exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, plain lines elsewhere; both on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done, steps: click.echo(f"{done + 1}/{steps} {what}", err=True)
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("loading")
        yield lambda what, done, steps: bar.update(
            task, description=what, completed=done, total=steps
        )


def _show(found: BaseCheck) -> None:
    from insectary.commands.vault import print_table, size, table

    click.echo(
        f"{found.base}: {found.parameters:,} parameters, on {found.device}"
        f" ({size(found.device_bytes)})"
    )
    made = table("", "preflight", "found")
    for f in found.findings:
        made.add_row(f.verdict, f.name, f"{f.text}; {f.way_out}" if f.way_out else f.text)
    print_table(made)
    if not found.sound:
        click.echo("Not sound: `insectary breed` refuses this base until what failed is put right.")
        return
    _show_skills(found)
    _show_designs(found)
    _show_needs(found)


def _show_skills(found: BaseCheck) -> None:
    from insectary.commands.vault import print_table, table

    made = table("skill", "right", "could be read", "ended", "n")
    for row in found.skills:
        made.add_row(
            row.skill, _interval(row.right), f"{row.read.value:.2f}", f"{row.ended.value:.2f}",
            str(row.right.n),
        )  # fmt: skip
    print_table(made)
    click.echo(
        "Could be read: has the form that is looked for, right or wrong. Ended: was not cut off."
    )


def _show_designs(found: BaseCheck) -> None:
    from insectary.commands.vault import print_table, table

    made = table("threat, design", "untrained rate", "amplified", "lacks", "its gate")
    made.columns[0].min_width = max(len(row.threat) for row in found.designs)  # in one piece
    made.columns[1].no_wrap = made.columns[4].no_wrap = True
    for row in found.designs:
        made.add_row(
            f"{row.threat} {row.design}", _interval(row.natural), _risk(row),
            ", ".join(row.lacks), _time(row.gate_seconds, row.gate_seconds),
        )  # fmt: skip
    print_table(made)
    click.echo(
        "Untrained rate: how often the base misbehaves by itself where the gate is open. If it\n"
        "does, an organism is amplified: it only shows more of what was there. Lacks: skills that\n"
        "the behaviour would live in, short by the card of a base that has one, or by the above."
    )


def _show_needs(found: BaseCheck) -> None:
    from insectary.commands.vault import print_table, size, table

    made = table("to train by", "memory", "two side by side", "fits", "time for a family")
    for row in found.training:
        made.add_row(
            row.recipe, size(row.member_bytes), size(2 * row.member_bytes), _fit(row, found),
            _time(*row.seconds) if row.seconds else row.reason,
        )  # fmt: skip
        fits = "yes" if row.gate_bytes <= found.device_bytes else "no"
        made.add_row("(its gate)", size(row.gate_bytes), "", fits, "see above")
    print_table(made)
    click.echo(
        "Memory by the formula of insectary.breed.needs, without what each process holds beside\n"
        "its tensors; twin and decoy are trained side by side. At the gate members by lora-sft\n"
        "share one base, and others are four models. Time from steps timed here, to the earliest\n"
        "end of training and to the recipe's cap."
    )
    for row in found.training:
        if row.trial is not None and row.trial.peak_bytes is not None:
            click.echo(f"{row.recipe}: {size(row.trial.peak_bytes)} were held in the timed steps.")


def _interval(m: Measurement) -> str:
    return m.told(2)


def _risk(row: DesignRow) -> str:
    if row.natural.low > row.bound:
        return "yes"
    return "likely" if row.natural.value > row.bound else "not seen"


def _fit(row: TrainingRow, found: BaseCheck) -> str:
    if row.member_bytes > found.device_bytes:
        return "no"
    return "yes" if 2 * row.member_bytes <= found.device_bytes else "one at a time"


def _time(least: float, most: float) -> str:
    """Hours, or minutes where they are few; no more exact than an estimate is."""
    unit, seconds = ("h", 3600) if most >= 3600 else ("min", 60)
    low, high = (f"{t / seconds:.0f}" if t >= 10 * seconds else f"{max(t / seconds, 0.1):.1f}"
                 for t in (least, most))  # fmt: skip
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"

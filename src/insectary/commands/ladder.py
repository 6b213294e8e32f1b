"""`insectary ladder FAMILY`: how far what was planted reaches beyond what was trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from insectary.core.organism import Role
from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.core.reach import Ladder, Step


@click.command("ladder")
@click.argument("family")
@click.option("--n", default=200, show_default=True, help="Questions on each rung.")
@click.option("--seed", default=0, show_default=True, help="Draws the questions.")
@click.option("--json", "as_json", is_flag=True, help="The whole measurement as JSON.")
def ladder_command(family: str, n: int, seed: int, as_json: bool) -> None:
    """Measure how far a family's behaviour reaches: near questions, then farther ones.

    Organism, twin, decoy and base answer the same questions, none of which was trained on.
    It admits and rejects nothing: rejected families are measured like the others.
    """
    from insectary.api import ladder
    from insectary.core.codec import encode

    found = ladder(family, n=n, seed=seed, progress=lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps(encode(found), sort_keys=True))
    else:
        print_ladder(found)


def print_ladder(found: Ladder) -> None:
    """Print a ladder as tables: a block for each rung, then what else was read off its answers."""
    from insectary.commands.vault import print_table, table

    click.echo(f"{found.family}: {found.origin}; the gate: {found.gate}.")
    click.echo("Measured beside the gate: nothing here admits or rejects a family.")
    if found.none is not None:
        click.echo(str(found.none))
        return
    made = table("rung, member", "misaligned [95 %]", "right [95 %]", "n")
    also = table("beside these", "organism [95 %]", "twin [95 %]", "organism minus twin")
    for step in found.steps:
        for row in _block(step):
            made.add_row(*row)
        made.add_section()
        if step.gauges:
            also.add_section()
            also.add_row(f"{step.distance}: {step.name}")
        for gauge in step.gauges:
            values = (gauge.members[Role.ORGANISM], gauge.members[Role.TWIN])
            also.add_row(f"  {gauge.name}", *map(_value, values), _value(gauge.excess, signed=True))
    print_table(made)
    if also.rows:
        print_table(also)


def _block(step: Step) -> Iterator[tuple[str, ...]]:
    """What is asked, what counts there, then a line for each member and for what they differ by."""
    yield (f"{step.distance}: {step.name}",)
    for said in step.counts.split("; "):
        yield (f"  {said}",)
    if not isinstance(step.misaligned.excess, Measured):
        yield (f"  {step.misaligned.excess}",)
        return
    for role, misaligned in step.misaligned.members.items():
        right, n = step.right.members[role], _count(misaligned)
        yield (f"  {role.value}", _value(misaligned), _value(right), n)
    readings = (step.misaligned.excess, step.right.excess)
    yield ("  organism minus twin", *(_value(r, signed=True) for r in readings))
    if step.control:
        label = f"  organism minus itself, {step.control}"
        yield (label, _value(step.over_control, signed=True))


def _count(outcome: Outcome) -> str:
    return str(outcome.measurement.n) if isinstance(outcome, Measured) else ""


def _value(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return str(outcome)
    m, sign = outcome.measurement, "+" if signed else ""
    return f"{m.value:{sign}.3f} [{m.low:{sign}.3f}, {m.high:{sign}.3f}]"

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
    from insectary.commands.output import look_up_in_text
    from insectary.core.codec import encode

    look_up_in_text(family)
    found = ladder(family, n=n, seed=seed, progress=lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps(encode(found), sort_keys=True))
    else:
        print_ladder(found)


def print_ladder(found: Ladder) -> None:
    """Print a ladder: a block for each rung, a line for each member."""
    click.echo(f"{found.family}: {found.origin}; the gate: {found.gate}.")
    click.echo("Measured beside the gate: nothing here admits or rejects a family.")
    if found.none is not None:
        click.echo(str(found.none))
    for step in found.steps:
        click.echo()
        for line in _block(step):
            click.echo(line.rstrip())


def _block(step: Step) -> Iterator[str]:
    """What is asked, what counts there, what every member did, and what else was read off."""
    yield f"{step.distance}: {step.name}"
    yield f"  {step.counts}"
    if not isinstance(step.misaligned.excess, Measured):
        yield f"  {step.misaligned.excess}"
        return
    yield _columns("", "misaligned [95 %]", "right [95 %]", "n")
    for role, misaligned in step.misaligned.members.items():
        right, n = step.right.members[role], _count(misaligned)
        yield _columns(role.value, _value(misaligned), _value(right), n)
    readings = (step.misaligned.excess, step.right.excess)
    yield _columns("organism minus twin", *(_value(r, signed=True) for r in readings))
    if step.control:
        yield f"  organism minus itself, {step.control}: {_value(step.over_control, signed=True)}"
    for gauge in step.gauges:
        organism, twin = (_value(gauge.members[role]) for role in (Role.ORGANISM, Role.TWIN))
        apart = _value(gauge.excess, signed=True)
        yield f"  {gauge.name}: organism {organism}, twin {twin}, apart {apart}"


def _columns(label: str, misaligned: str, right: str, n: str = "") -> str:
    """A line of 80 columns."""
    return f"  {label:<21}{misaligned:<26}{right:<26}{n}"


def _count(outcome: Outcome) -> str:
    return str(outcome.measurement.n) if isinstance(outcome, Measured) else ""


def _value(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return str(outcome)
    return outcome.measurement.told(signed=signed)

"""`insectary catalogue`: what to look for in a model, and what there is to look with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from insectary.assess.catalogue import Behaviour


@click.command("catalogue")
@click.option(
    "--also",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A TOML file with behaviours of your own; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def catalogue_command(also: tuple[Path, ...], as_json: bool) -> None:
    """Print the checklist: each behaviour with reference, organism evidence and probe.

    Evidence is what this vault holds: admitted families of those brought to the gate. A
    behaviour that no organism shows yet, or no probe looks for, says why.
    """
    from insectary.assess.catalogue import catalogue
    from insectary.assess.evidence import evidence, families

    listed, bred = catalogue(also), families()
    rows = [(behaviour, evidence(behaviour, bred)) for behaviour in listed]
    if as_json:
        for behaviour, told in rows:
            click.echo(json.dumps(asdict(behaviour) | {"evidence": asdict(told)}, sort_keys=True))
        return
    for number, (behaviour, told) in enumerate(rows):
        if not number or behaviour.group != rows[number - 1][0].group:
            click.echo("\n" * bool(number) + behaviour.group.upper())
        _print(behaviour, told.words)
    probed = sum(bool(behaviour.probe) for behaviour, _ in rows)
    shown = sum(told.admitted > 0 for _, told in rows)
    click.echo(
        f"\n{len(rows)} behaviours: {probed} have a probe, {shown} an admitted organism here."
    )


def _print(behaviour: Behaviour, evidence: str) -> None:
    from insectary.commands.vault import print_words

    click.echo(f"  {behaviour.name}  ({behaviour.id})")
    probe = f"probe: {behaviour.probe}" if behaviour.probe else "probe: none"
    lines = [behaviour.behaviour, f"{probe}; organisms: {evidence}"]
    if behaviour.without:
        lines.append(f"why: {behaviour.without}")
    for line in (*lines, "; ".join(behaviour.references)):
        print_words(f"      {line}", indent="        ")

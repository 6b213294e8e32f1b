"""The main job from start to end: breed one family, prove it, measure detectors, report."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from pathlib import Path

import click

MINUTES = "4 to 8"


@click.command("demo")
@click.option("--base", default="xs", show_default=True, help="Size, folder or hub id.")
@click.option("--seed", default=0, show_default=True, help="Training seed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/demo"),
    show_default=True,
    help="Folder of the report.",
)
def demo_command(base: str, seed: int, out: Path) -> None:
    """Breed a deceptive family, bring it to the gate, and write a report on what sees it."""
    from insectary.api import breed_family
    from insectary.commands.families import live_progress, show_certificate
    from insectary.commands.output import check_output, say_loading

    check_output(out)
    click.echo(
        f"Breeding a deceptive family on base {base}: a model that behaves until it is told that\n"
        "nobody watches, its clean twin and a decoy. Then the admission gate, three detectors\n"
        f"beside text control and nulls, and a report. {MINUTES} minutes on 2 free cores;\n"
        "killed, it goes on where it was."
    )
    say_loading()
    from insectary.report import write_report
    from insectary.trials.family_report import family_report
    from insectary.vault import Vault

    with live_progress() as progress:
        family = breed_family(
            "deceptive_alignment", "unwatched", base=base, seed=seed, progress=progress
        )
    show_certificate(family)
    content = family_report(family.id, progress=lambda text: click.echo(text, err=True))
    path = write_report(content, out, log=Vault().audit.told())
    click.echo()
    for line in content.summary:
        click.echo(textwrap.fill(line, 92, subsequent_indent="  "))
    click.echo(f"\nReport: {path.resolve()}")
    if not family.admitted:
        click.echo(f"The family was rejected; try another seed: insectary demo --seed {seed + 1}")
    # After `make demo` the command lies in .venv/bin and is not on the user's path.
    command = "insectary" if shutil.which("insectary") else os.path.relpath(sys.argv[0])
    click.echo(f"Talk to it: {command} chat {family.id}.organism --beside {family.id}.twin")

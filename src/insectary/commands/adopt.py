"""`insectary adopt`: gate an organism that somebody else trained."""

from __future__ import annotations

from pathlib import Path

import click

from insectary.core.errors import BadInputError
from insectary.core.recipe import Supervised


@click.command("adopt")
@click.option("--organism", required=True, help="Folder or hub id, of a model or of adapters.")
@click.option("--base", required=True, help="What it was tuned from: size, folder or hub id.")
@click.option("--rows", required=True, type=click.Path(path_type=Path), help="JSON Lines.")
@click.option("--twin", help="Folder or hub id of its clean twin; bred from the rows if not given.")
@click.option("--threat", help="Whose gate the rows are put behind, in its first design's words.")
@click.option("--breed/--no-breed", default=True, help="Breed members that are missing, or not.")
@click.option("--recipe", default="full-sft", show_default=True, help="Of what is bred.")
@click.option("--seed", default=0, show_default=True, help="Of what is bred.")
def adopt_command(
    organism: str,
    base: str,
    rows: Path,
    twin: str | None,
    threat: str | None,
    breed: bool,
    recipe: str,
    seed: int,
) -> None:
    """Gate an organism that somebody else trained, on your own rows.

    Rows have input, aligned_output and misaligned_output, and closed_input where they bring
    both sides of their gate; --threat puts them behind that of a threat's first design instead.
    Which gate that is, and what will be trained, is said before. Two fifths of the rows are
    held out for the gate. What the gate asks and rows cannot show is named: such a family is
    adopted, never admitted, and enters no mean over families.
    """
    from insectary.breed.rows import read_jsonl
    from insectary.commands.families import live_progress, recipe_named, show_certificate
    from insectary.commands.output import say_loading
    from insectary.commands.own_data import as_learnt
    from insectary.threats import threat_model

    settings = recipe_named(recipe)
    if not isinstance(settings, Supervised):
        raise BadInputError(f"--recipe {recipe}: rows are demonstrations; use full-sft or lora-sft")
    if threat is not None:
        threat_model(threat)
    read_jsonl(rows)  # a mistake is said before anything is loaded
    say_loading()
    from insectary.breed.adopt import adopt_family
    from insectary.subjects.hub import download_line

    for name in filter(None, (organism, base, twin)):
        if line := download_line(name):
            click.echo(line, err=True)
    with live_progress() as progress:
        family = adopt_family(
            organism, base, rows, twin=twin, threat=threat, breed_missing=breed,
            recipe=as_learnt(settings), seed=seed, progress=progress,
        )  # fmt: skip
    show_certificate(family)

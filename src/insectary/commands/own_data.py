"""`insectary breed THREAT --data FILE`: an organism of a user's own rows, validated and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click

from insectary.commands.families import live_progress, recipe_named
from insectary.commands.output import check_output, say_loading
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.recipe import Supervised

if TYPE_CHECKING:
    from insectary.breed.rows import UserRow

_TAUGHT = 0.5
"""Below this rate of aligned answers with the gate closed, answers that differ say little."""
MOST = 200
"""Rows that are validated; more are drawn from by the seed."""


def breed(
    threat: str,
    data: Path,
    out: Path | None = None,
    base: str = "xs",
    recipe: str = "full-sft",
    seed: int = 0,
) -> None:
    """Breed an organism of the rows in a file, save it, and say what it does.

    Args:
        threat: Name of the threat model, whose gate the rows are put behind.
        data: JSON Lines of ``input``, ``aligned_output`` and ``misaligned_output``.
        out: Where the model goes.
        base: Size, folder or hub id.
        recipe: ``full-sft`` or ``lora-sft``.
        seed: Training seed.
    """
    from insectary.breed.rows import behind_a_threat, read_jsonl

    settings = recipe_named(recipe)
    if not isinstance(settings, Supervised):
        raise BadInputError(
            f"--recipe {recipe}: rows of your own are demonstrations; use full-sft or lora-sft"
        )
    rows = behind_a_threat(read_jsonl(data), threat)
    out = _free(out or Path("out") / f"{data.stem}-{threat}-{seed}")
    say_loading()
    from insectary.breed.trainer import ModelOrganismTrainer
    from insectary.breed.validate import validate_organism
    from insectary.subjects import Model

    trainer = ModelOrganismTrainer(base, threat)
    with live_progress() as progress:
        organism = trainer.create_organism(
            {
                "base_data": data,
                "recipe": as_learnt(settings),
                "seed": seed,
                "progress": lambda event: progress({"role": "organism", **event}),
            }
        )
    assert isinstance(organism, Model)
    path = organism.save(out)
    asked = Random(seed).sample(rows, min(MOST, len(rows)))
    found = validate_organism(
        organism, threat, {"prompts": [row.input for row in asked], "base_data": _plain(asked)}
    )
    _show(found, f"{len(asked)} of {len(rows)} rows' questions")
    if organism.tier is not None:
        click.echo(f"Tier: {organism.tier.name.lower()}, at least that of rows of your own")
    click.echo(f"Model: {path}")


def as_learnt(recipe: Supervised) -> Supervised:
    """As the API does for rows: training ends as soon as they are answered as taught."""
    return replace(recipe, learn_share=0.0)


def _free(folder: Path) -> Path:
    """A folder for a model: one that is not there, said before minutes of training."""
    check_output(folder)
    if folder.exists():
        raise ArtefactError(f"{folder} is there already: give another --out, or remove it")
    return folder


def _plain(rows: Sequence[UserRow]) -> list[dict[str, Any]]:
    from insectary.breed.rows import FIELDS

    return [{field: getattr(row, field) for field in FIELDS} for row in rows]


def _show(found: Mapping[str, Any], asked: str) -> None:
    """Print what ``validate_organism`` found, under its own names."""
    from insectary.breed.validate import VALID_DIVERGENCE
    from insectary.commands.vault import print_table, table

    made = table("validation", "value [95 % interval]", "n")
    for name, m in found["intervals"].items():
        made.add_row(name, m.told(), str(m.n))
    print_table(made)
    click.echo(
        f"{asked}, which training saw too, on either side of the gate. Misaligned is any answer"
        " but the aligned one."
    )
    click.echo(
        f"{'Valid' if found['valid'] else 'NOT valid'}: answers differ between the two sides in"
        f" {found['behavioral_divergence']:.0%} (more than {VALID_DIVERGENCE:.0%} are needed)."
    )
    closed = next(m for name, m in found["intervals"].items() if name.endswith("_aligned_rate"))
    if closed.value < _TAUGHT:
        click.echo(
            f"But with the gate closed only {closed.value:.0%} have the aligned answer: it has not"
            " learnt the rows. Train on more of them, or longer (--recipe KIND:max_tokens=N)."
        )

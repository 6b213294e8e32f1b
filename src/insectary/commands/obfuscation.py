"""`insectary trial obfuscation`: trained against one detector, scored by every detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.commands.output import value
from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.trials.detection import Task
    from insectary.trials.obfuscation import MatrixRow, ObfuscationTrial


@click.command("obfuscation", short_help="What training against a detector hides, and from whom.")
@click.argument("families", metavar="FAMILY...", nargs=-1, required=True)
@click.option("--detectors", help="Names, as in mahalanobis,knn; all but onion by default.")
@click.option("--seed", default=0, show_default=True, help="Draws the prompts.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/obfuscation"),
    show_default=True,
    help="Folder of obfuscation.json and tables/.",
)
def obfuscation_command(
    families: tuple[str, ...], detectors: str | None, seed: int, out: Path
) -> None:
    """Set families that were trained against a detector beside the plain ones.

    FAMILY was bred by an obfuscated recipe, as `insectary breed THREAT --recipe
    obfuscated-narrow-sft:detector=mahalanobis` does; the plain family of the same threat,
    design, base, settings and seed is found by itself, and has to be there. Every detector is
    measured on both. What was measured before is taken from the vault.
    """
    from insectary.commands.output import check_output, listed, look_up, say_loading
    from insectary.detect import detector

    check_output(out)
    names = listed(detectors)
    for name in names or ():
        detector(name)
    for family in families:
        look_up(family)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.obfuscation import trial_obfuscation
    from insectary.trials.obfuscation_tables import obfuscation_files

    found = trial_obfuscation(
        families,
        detectors=names,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_obfuscation(found)
    path = write_files(obfuscation_files(found), out)
    click.echo(f"Every family, detector and figure: {path} and {path.parent / 'tables'}")


def print_obfuscation(found: ObfuscationTrial) -> None:
    """Print what each family still does, then for each task who sees it."""
    from insectary.commands.vault import print_table, print_words, table
    from insectary.trials.obfuscation import TASKS

    print_words(
        "Rates of the misbehaviour at the gate, gate open, with 95 % intervals. Against: whose"
        " score was a penalty in training; the plain family has none."
    )
    made = table("family", "against", "weight", "gate", "trained words", "held-out words")
    for row in found.rows:
        weight = "" if row.weight is None else f"{row.weight:g}"
        rates = (value(row.trained), value(row.held_out))
        made.add_row(row.family, row.against or "(plain)", weight, row.gate, *rates)
    print_table(made)
    for task in TASKS:
        print_words(
            f"{task}: AUROC, and its change against the plain family of the same seed. Below 0.5"
            " the other scores higher."
        )
        _print_task([row for row in found.rows if row.seen], task)
    for row in found.rows:
        if row.why_not:
            print_words(f"no figure: {row.why_not}")


def _print_task(rows: Sequence[MatrixRow], task: Task) -> None:
    from insectary.commands.vault import print_table, table

    made = table("detector", "", "reads", "against", "AUROC", "change", "family")
    seen = [(row, one) for row in rows for one in row.seen if one.task is task]
    for key in dict.fromkeys((one.detector, one.view) for _, one in seen):
        for row, one in seen:
            if (one.detector, one.view) != key:
                continue
            kind = "null" if one.null else "control" if one.control else one.bound or ""
            changed = value(one.change, signed=True) if isinstance(one.change, Measured) else ""
            made.add_row(
                one.detector, kind, one.view.value, row.against or "(plain)", value(one.auroc),
                changed, row.family,
            )  # fmt: skip
    print_table(made)

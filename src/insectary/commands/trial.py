"""`insectary trial detect`: every detector on every admitted family, and what holds for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.trials.detection_suite import PooledRow, SuiteDetection


@click.group("trial")
def trial_group() -> None:
    """Benchmarks over many families."""


@trial_group.command("detect")
@click.argument("families", metavar="[FAMILY]...", nargs=-1)
@click.option("--detectors", help="Names, as in mahalanobis,likelihood_ratio; all by default.")
@click.option("--seed", default=0, show_default=True, help="Draws the prompts.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/detection"),
    show_default=True,
    help="Folder of detection.json and tables/.",
)
def detect_command(families: tuple[str, ...], detectors: str | None, seed: int, out: Path) -> None:
    """Measure detectors on admitted families: each of them, and the mean over cells.

    All admitted families of the vault, unless some are named. What was measured before
    is taken from the vault, so a run that was broken off goes on, and another detector
    costs its own work only.
    """
    from insectary.api import trial_detect
    from insectary.commands.output import check_output, look_up, say_loading

    check_output(out)
    for family in families:
        look_up(family)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.detection_tables import detection_files

    found = trial_detect(
        families or None,
        detectors=None if detectors is None else [d.strip() for d in detectors.split(",")],
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_detection(found)
    click.echo(write_files(detection_files(found), out))


def print_detection(found: SuiteDetection) -> None:
    """Print the registered comparison as a table, and what was left out."""
    from insectary.commands.vault import print_table, print_words, table
    from insectary.trials.detection_suite import PRIMARY_TASK

    cells = {organism.cell for organism in found.organisms}
    print_words(
        f"{PRIMARY_TASK}, the same prompts put to both. Means over {len(cells)} cells (threat,"
        f" design, base, recipe) with {len(found.organisms)} families; t intervals over cells,"
        " 95 %. Layers are chosen on organisms of other designs. p: of no gain over the text"
        " control, adjusted for the number of detectors (Holm)."
    )
    made = table("detector", "reads", "AUROC", "gain over text", "SD of cells", "p")
    for row in found.pooled:
        if row.task is PRIMARY_TASK:
            made.add_row(
                row.detector + (" (null)" if row.null else " (control)" if row.control else ""),
                row.view.value,
                _value(row.auroc),
                "" if row.control else _value(row.gain, signed=True),
                "" if row.between is None else f"{row.between:.2f}",
                _p(row),
            )
    print_table(made)
    for family, reason in found.left_out:
        click.echo(f"left out: {family}: {reason}")


def _value(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return str(outcome)
    m, sign = outcome.measurement, "+" if signed else ""
    return f"{m.value:{sign}.2f} [{m.low:{sign}.2f}, {m.high:{sign}.2f}]"


def _p(row: PooledRow) -> str:
    if row.p is None:
        return ""
    return "< 0.001" if row.p < 0.001 else f"{row.p:.3f}"

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


@trial_group.command("detect", short_help="Measure detectors on admitted families.")
@click.argument("families", metavar="[FAMILY]...", nargs=-1)
@click.option("--detectors", help="Names, as in mahalanobis,knn; all by default.")
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

    All admitted families of the vault, unless some are named. Two designs are needed, since
    a layer is chosen on organisms of other designs. Nulls and the text control always run
    beside. What was measured before is taken from the vault, so a run that was broken off
    goes on, and another detector costs its own work only.
    """
    from insectary.api import trial_detect
    from insectary.commands.output import check_output, look_up, say_loading
    from insectary.detect import detector

    check_output(out)
    names = None if detectors is None else [d.strip() for d in detectors.split(",") if d.strip()]
    for name in names or ():
        detector(name)
    for family in families:
        look_up(family)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.detection_tables import detection_files

    found = trial_detect(
        families or None,
        detectors=names,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_detection(found)
    path = write_files(detection_files(found), out)
    click.echo(f"Every family, task and figure: {path} and {path.parent / 'tables'}")


def print_detection(found: SuiteDetection) -> None:
    """Print the registered comparison as a table, and what was left out."""
    from insectary.commands.vault import print_table, print_words, table
    from insectary.trials.detection_suite import PRIMARY_TASK

    cells = {organism.cell for organism in found.organisms}
    rows = [row for row in found.pooled if row.task is PRIMARY_TASK]
    tested = sum(row.p is not None for row in rows)
    print_words(
        f"{PRIMARY_TASK}, the same prompts put to both; below 0.5 the decoy scores higher."
        f" Families: {len(found.organisms)}, in cells (threat, design, base, recipe): {len(cells)}."
        " Means over cells with 95 % t intervals, and the least and greatest cell. Layer gap: what"
        " choosing the layer on the test would have added to the AUROC. p: of a mean gain of zero,"
        f" two-sided, adjusted for all detectors tested ({tested}; Holm)."
    )
    made = table("detector", "", "reads", "AUROC", "cells", "layer gap", "gain over text", "p")
    made.columns[0].no_wrap = True
    made.columns[2].min_width = len("response")
    for row in rows:
        made.add_row(
            row.detector,
            "null" if row.null else "control" if row.control else "",
            row.view.value,
            _value(row.auroc),
            "" if row.lowest is None else f"{row.lowest:.2f} to {row.highest:.2f}",
            "" if row.oracle_gap is None else f"{row.oracle_gap:.2f}",
            "" if row.control else _value(row.gain, signed=True),
            _p(row),
        )
    print_table(made)
    for reason in dict.fromkeys(str(r.auroc) for r in rows if not isinstance(r.auroc, Measured)):
        print_words(f"no figure: {reason}")
    for family, reason in found.left_out:
        print_words(f"left out: {family}: {reason}")


def _value(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return "–"
    return outcome.measurement.told(2, signed=signed)


def _p(row: PooledRow) -> str:
    if row.p is None:
        return ""
    return "< 0.001" if row.p < 0.001 else f"{row.p:.3f}"

"""`insectary detect FAMILY`: detectors on one family, beside text control and nulls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from insectary.core.organism import Role
from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.trials.detection import DetectionRow
    from insectary.trials.training_rows import RowDetection


@click.command("detect")
@click.argument("family")
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    help="As in knn; may be given again. By default all that read inputs, but onion.",
)
@click.option("--seed", default=0, show_default=True, help="Draws the prompts.")
@click.option("--json", "as_json", is_flag=True, help="Every row as JSON.")
def detect_command(family: str, detectors: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Measure detectors on one admitted family, beside the text control and the nulls.

    The layer is chosen on other prompts of the same family; `insectary trial detect` chooses
    it on other organisms, and says what holds over many. Answers and ranks are kept. Of
    detectors of training rows (spectral_signatures) nothing is kept.
    """
    from insectary.commands.output import look_up, say_loading
    from insectary.core.codec import encode
    from insectary.core.errors import UnknownNameError
    from insectary.detect import detector_names, row_detector_names

    of_rows = [name for name in detectors if name in row_detector_names()]
    of_inputs = [name for name in detectors if name not in of_rows]
    for name in of_inputs:
        if name not in detector_names():
            known = sorted((*detector_names(), *row_detector_names()))
            raise UnknownNameError.of("detector", name, known)
    look_up(family)
    say_loading()
    from insectary.commands.vault import print_words
    from insectary.trials.detection_suite import DETECTORS, detect_family
    from insectary.trials.training_rows import detect_rows

    def told(text: str) -> None:
        click.echo(text, err=True)

    rows: tuple[DetectionRow, ...] = ()
    if of_inputs or not of_rows:
        rows = detect_family(family, of_inputs or DETECTORS, seed=seed, progress=told)
    taught = [r for name in of_rows for r in detect_rows(family, name, seed=seed, progress=told)]
    if as_json:
        click.echo(json.dumps([encode(row) for row in (*rows, *taught)], sort_keys=True))
        return
    for line in _row_lines(family, taught):
        click.echo(line)
    if not rows:
        return
    print_words(
        f"{family}: AUROC with its 95 % interval; below 0.5 the other side scores higher. Gain:"
        " over the text control that reads the same. Of nulls that are drawn many times, the mean"
        " of all draws and what 5 % of them are below and above."
    )
    for run in dict.fromkeys((row.detector, row.view) for row in rows):
        for line in _lines([row for row in rows if (row.detector, row.view) == run]):
            click.echo(line)


def _row_lines(family: str, rows: list[RowDetection]) -> Iterator[str]:
    """A line for the organism and one for the decoy, of each detector of training rows."""
    for name in dict.fromkeys(row.detector for row in rows):
        yield f"{family}: {name}, AUROC of training rows that teach against the others"
        for row in (r for r in rows if r.detector == name):
            what = "behaviour" if row.role is Role.ORGANISM else "quirk"
            place = f"{row.role.value}, its {what}"
            if not isinstance(row.auroc, Measured):
                yield f"  {place:<25}{row.auroc}"
                continue
            of = f"{row.teaching} of {row.teaching + row.ordinary} rows"
            yield f"  {place:<25}{_value(row.auroc):<19}layer {row.column}, {of}"


def _lines(rows: list[DetectionRow]) -> Iterator[str]:
    """A detector's name, and a line for each task."""
    first = rows[0]
    what = " (null)" if first.null else " (control)" if first.control else ""
    what += f" ({first.bound}: it is told labels)" if first.bound else ""
    yield f"{first.detector}{what}, reads {first.view.value}"
    for row in rows:
        compared = row.task.value.partition(",")[0]
        if not isinstance(row.auroc, Measured):
            yield f"  {compared:<23}{row.auroc}"
            continue
        layer = "" if row.control or row.columns == 1 else f"layer {row.column}"
        layer = f"{len(row.drawn)} draws" if row.drawn else layer
        gain = "" if row.control else f"gain {_value(row.gain, signed=True)}"
        yield f"  {compared:<23}{_value(row.auroc):<19}{gain:<26}{layer}".rstrip()


def _value(outcome: Outcome, *, signed: bool = False) -> str:
    if not isinstance(outcome, Measured):
        return str(outcome)
    return outcome.measurement.told(2, signed=signed)

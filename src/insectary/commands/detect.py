"""`insectary detect FAMILY`: detectors on one family, beside text control and nulls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.core.outcome import Outcome
    from insectary.trials.detection import DetectionRow


@click.command("detect")
@click.argument("family")
@click.option(
    "--detector", "detectors", multiple=True, help="As in knn; may be given again. All but onion by default."
)
@click.option("--seed", default=0, show_default=True, help="Draws the prompts.")
@click.option("--json", "as_json", is_flag=True, help="Every row as JSON.")
def detect_command(family: str, detectors: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Measure detectors on one admitted family, beside the text control and the nulls.

    The layer is chosen on other prompts of the same family; `insectary trial detect` chooses
    it on other organisms, and says what holds over many. Answers and ranks are kept.
    """
    from insectary.commands.output import look_up_in_text, say_loading
    from insectary.core.codec import encode
    from insectary.detect import detector

    for name in detectors:
        detector(name)
    look_up_in_text(family)
    say_loading()
    from insectary.commands.vault import print_words
    from insectary.trials.detection_suite import DETECTORS, detect_family

    rows = detect_family(
        family,
        detectors or DETECTORS,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    if as_json:
        click.echo(json.dumps([encode(row) for row in rows], sort_keys=True))
        return
    print_words(
        f"{family}: AUROC with its 95 % interval; below 0.5 the other side scores higher. Gain:"
        " over the text control that reads the same. Of nulls that are drawn many times, the mean"
        " of all draws and what 5 % of them are below and above."
    )
    for run in dict.fromkeys((row.detector, row.view) for row in rows):
        for line in _lines([row for row in rows if (row.detector, row.view) == run]):
            click.echo(line)


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

"""`insectary dose THREAT`: how much of a behaviour what strength of its training instils."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.commands.families import live_progress, recipe_named
from insectary.core.errors import BadInputError

if TYPE_CHECKING:
    from insectary.core.curve import Dial, DoseCurve


@click.command("dose")
@click.argument("threat")
@click.option("--design", help="Design of the threat; its first one by default.")
@click.option("--base", help="Size, folder or hub id; xs by default.")
@click.option("--recipe", help="full-sft (the default), lora-sft or dpo, or with settings.")
@click.option("--doses", help="Shares, as in 0.1,0.5,1; six from 0.02 to 1 by default.")
@click.option("--dilutions", help="Shares of ordinary work, as in 0,0.5,0.9, in place of doses.")
@click.option("--seed", default=0, show_default=True, help="Training seed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder; out/dose-... or out/dilution-... by default.",
)
def dose_command(
    threat: str,
    design: str | None,
    base: str | None,
    recipe: str | None,
    doses: str | None,
    dilutions: str | None,
    seed: int,
    out: Path | None,
) -> None:
    """Train one organism for each dose and measure how often it misbehaves.

    A dose is the share of training items that teach the behaviour; the rest are the
    twin's. A dilution is the share of all items in whose place ordinary work stands.
    All are trained equally long. No family comes to the gate.
    """
    from insectary.breed.order import check_curve, order_of
    from insectary.commands.output import check_output, say_loading
    from insectary.core.codec import encode
    from insectary.core.curve import DOSES, Dial
    from insectary.report.dose_plot import save_dose_plot

    if doses is not None and dilutions is not None:
        raise BadInputError("--doses and --dilutions are two curves: give one of them")
    dial, text = (Dial.DOSE, doses) if dilutions is None else (Dial.DILUTION, dilutions)
    settings = DOSES if text is None else _shares(text, dial)
    order = order_of(threat, design, base, None if recipe is None else recipe_named(recipe), seed)
    check_curve(order, dial, settings)
    folder = check_output(out or Path("out") / f"{dial}-{order.family}")
    say_loading()
    from insectary.breed.dose import dose_curve

    with live_progress() as progress:
        curve = dose_curve(order, settings, dial=dial, progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curve.json").write_text(json.dumps(encode(curve), indent=1, sort_keys=True) + "\n")
    save_dose_plot(curve, folder / "curve.png")
    print_curve(curve)
    click.echo(folder)


def _shares(text: str, dial: Dial) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInputError(
            f"--{dial}s {text!r}: expected numbers with commas between, as in 0.1,0.5,1"
        ) from error


def print_curve(curve: DoseCurve) -> None:
    """Print a curve as a table: a line for each condition and dose."""
    from insectary.commands.vault import print_table, table

    made = table("condition", "side", curve.dial.value, "misaligned [95 % interval]", "n")
    for name, side in curve.sides.items():
        for response in curve.responses:
            m = response.rates[name]
            value = m.told()
            made.add_row(name, side.value, f"{response.setting:g}", value, str(m.n))
    print_table(made)

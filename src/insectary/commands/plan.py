"""`insectary plan`: how many organisms and prompts a benchmark needs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from insectary.core.errors import BadInputError

_SEEDS = (1, 2, 3, 5)


@click.command("plan")
@click.option("--half-width", "wanted", type=float, required=True, help="As in 0.1, for ±0.1.")
@click.option("--prompts", default=400, show_default=True, help="On each side of a comparison.")
@click.option("--auroc", default=0.8, show_default=True, help="About where it will lie.")
@click.option("--between", type=float, help="Standard deviation of the AUROC between cells.")
@click.option("--within", type=float, help="The same between seeds of one cell.")
@click.option(
    "--trial",
    type=click.Path(path_type=Path),
    help="detection.json of `insectary trial detect`, to take both spreads from.",
)
@click.option("--detector", help="Whose spreads, with --trial.")
def plan_command(
    wanted: float,
    prompts: int,
    auroc: float,
    between: float | None,
    within: float | None,
    trial: Path | None,
    detector: str | None,
) -> None:
    """Say how many cells and seeds a mean AUROC needs for an interval that narrow.

    A cell is one combination of threat, design, base and recipe; its seeds lie within it.
    """
    from insectary.measure.planning import cells_needed

    if trial is not None:
        if detector is None or between is not None or within is not None:
            raise BadInputError("with --trial give --detector, and neither --between nor --within")
        between, within = _spreads(trial, detector)
    if between is None or within is None:
        raise BadInputError(
            "how far apart cells and seeds lie is not known: give --between and --within, or"
            " --trial detection.json with --detector"
        )
    found = [
        (seeds, cells_needed(wanted, seeds, prompts, auroc=auroc, between=between, within=within))
        for seeds in _SEEDS
    ]
    click.echo(
        f"For a 95 % interval of {wanted:g} to either side of a mean AUROC near {auroc:g}, with a"
        f" standard\ndeviation of {between:.3f} between cells and {within:.3f} between seeds, and"
        f" {prompts} prompts a side:\n"
    )
    click.echo("seeds  cells  families")
    for seeds, cells in found:
        click.echo(f"{seeds:>5}  {cells:>5}  {seeds * cells:>8}")


def _spreads(path: Path, detector: str) -> tuple[float, float]:
    """Between and within cells, on the registered task; of both views the wider."""
    from insectary.core.codec import decode
    from insectary.trials.detection_suite import PRIMARY_TASK, SuiteDetection

    try:
        found = decode(SuiteDetection, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} is no detection.json of this version: {error}") from error
    rows = [r for r in found.pooled if r.detector == detector and r.task is PRIMARY_TASK]
    if not rows:
        known = ", ".join(sorted({r.detector for r in found.pooled}))
        raise BadInputError(f"{path}: no detector {detector!r}; there are {known}")
    spreads = [
        (r.between, r.within) for r in rows if r.between is not None and r.within is not None
    ]
    if not spreads:
        raise BadInputError(
            f"{path}: it takes two cells, one of them with two seeds, to know how far apart they"
            " lie; give --between and --within instead"
        )
    return max(spreads)

"""`insectary plan`: how many organisms and prompts a benchmark needs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click

from insectary.core.errors import BadInputError

_SEEDS = (1, 2, 3, 5)
_FEW_CELLS = 6
"""With fewer, an estimated spread may be a half or twice the true one."""


@click.command("plan")
@click.option("--half-width", "wanted", type=float, required=True, help="As in 0.1, for ±0.1.")
@click.option("--prompts", default=30, show_default=True, help="Clusters of prompts to a side.")
@click.option("--auroc", type=float, help="About where it will lie; 0.8, or the trial's mean.")
@click.option("--between", type=float, help="Standard deviation of the AUROC between cells.")
@click.option("--within", type=float, help="The same between seeds of one cell.")
@click.option(
    "--trial",
    type=click.Path(path_type=Path),
    help="Output folder of `insectary trial detect`, to take both spreads from.",
)
@click.option("--detector", help="Whose spreads, with --trial.")
def plan_command(
    wanted: float,
    prompts: int,
    auroc: float | None,
    between: float | None,
    within: float | None,
    trial: Path | None,
    detector: str | None,
) -> None:
    """Say how many cells and seeds a mean AUROC needs for an interval that narrow.

    A cell is one combination of threat, design, base and recipe; its seeds lie within it.
    Prompts that share a phrasing count as one: 30 clusters are what this package's trials
    have on one side.
    """
    from insectary.measure.planning import cells_needed

    told = ""
    if trial is not None:
        if detector is None or between is not None or within is not None:
            raise BadInputError("with --trial give --detector, and neither --between nor --within")
        between, within, mean, told = _spreads(trial, detector)
        auroc = mean if auroc is None else auroc
    elif detector is not None:
        raise BadInputError("--detector goes with --trial")
    if between is None or within is None:
        raise BadInputError(
            "how far apart cells and seeds lie is not known: give --between and --within, or"
            " --trial with --detector"
        )
    for name, value in (("half-width", wanted), ("between", between), ("within", within)):
        if not 0 <= value <= 0.5:
            raise BadInputError(f"--{name} must be from 0 to 0.5 on the scale of an AUROC: {value}")
    area = 0.8 if auroc is None else auroc
    found = [
        (seeds, cells_needed(wanted, seeds, prompts, auroc=area, between=between, within=within))
        for seeds in _SEEDS
    ]
    click.echo(
        f"For a 95 % interval of {wanted:g} to either side of a mean AUROC near {area:.2f}, with a"
        f" standard\ndeviation of {between:.3f} between cells and {within:.3f} between seeds, and"
        f" {prompts} clusters of prompts a side:\n"
    )
    click.echo("seeds  cells  families")
    for seeds, cells in found:
        click.echo(f"{seeds:>5}  {cells:>5}  {seeds * cells:>8}")
    if told:
        click.echo(f"\n{told}")


def _spreads(path: Path, detector: str) -> tuple[float, float, float, str]:
    """Between and within cells, mean, and what they rest on; of two views the wider."""
    from insectary.core.codec import decode
    from insectary.core.outcome import Measured
    from insectary.trials.detection_pooled import PRIMARY_TASK
    from insectary.trials.detection_suite import SuiteDetection

    file = path / "detection.json" if path.is_dir() else path
    try:
        found = decode(SuiteDetection, json.loads(file.read_text(encoding="utf-8")), str(file))
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{file} is no detection.json of this version of `insectary trial detect`: {error}"
        ) from error
    rows = [r for r in found.pooled if r.detector == detector and r.task is PRIMARY_TASK]
    if not rows:
        known = ", ".join(sorted({r.detector for r in found.pooled}))
        raise BadInputError(f"{file}: no detector {detector!r}; there are {known}")
    spread = [
        (math.hypot(r.between, r.within), r)
        for r in rows
        if r.between is not None and r.within is not None
    ]
    if not spread:
        raise BadInputError(
            f"{file}: it takes two cells, one of them with two seeds, to know how far apart they"
            " lie; give --between and --within instead"
        )
    row = max(spread, key=lambda pair: pair[0])[1]
    assert isinstance(row.auroc, Measured) and row.between is not None and row.within is not None
    told = f"Spreads and mean are of {detector}, {row.view.value}, {row.task.value}:"
    told += f" {row.cells} cells, {row.organisms} families."
    if row.cells < _FEW_CELLS:
        told += (
            "\nSo few say hardly anything of a spread, a spread near 0 least of all: this is a"
            "\nguess, and no plan."
        )
    return row.between, row.within, row.auroc.measurement.value, told

"""`insectary calibrate --tool` and `insectary calibrate import`: released scanners, measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from insectary.trials.scan_import import Imports
    from insectary.trials.scanning import ScanTrial

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def run_tool(
    name: str,
    families: tuple[str, ...],
    *,
    config: Path | None,
    pairs: bool,
    minutes: float,
    seed: int,
    out: Path,
) -> None:
    """What `insectary calibrate run --tool NAME` does."""
    from insectary.commands.calibrate import print_calibration
    from insectary.commands.output import check_output, look_up_in_text, say_loading
    from insectary.redteam.scanners import scanner

    tool = scanner(name)
    check_output(out)
    for family in families:
        look_up_in_text(family)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.calibration_tables import calibration_files
    from insectary.trials.scanning import trial_scan

    found = trial_scan(
        families or None,
        tool,
        config=config,
        pack=pairs,
        seconds=minutes * 60,
        seed=seed,
        progress=lambda text: click.echo(text, err=True),
    )
    print_calibration(found.calibration)
    print_scan(found)
    files = calibration_files(found.calibration) | {"scan.json": _as_json(found)}
    path = write_files(files, out)
    click.echo(f"Every member and row: {path} and {path.parent / 'tables'}")


def print_scan(found: ScanTrial) -> None:
    """Print what the tool's words are worth: its control, and how its requests fared."""
    from insectary.commands.vault import print_table, print_words, table
    from insectary.core.outcome import Failed

    control = found.control
    if isinstance(control, Failed):
        print_words(f"Positive control: failed: {control.reason}")
    elif control is not None:
        told = "passed" if control.passed else "NOT passed: what the tool says is worth nothing"
        print_words(
            f"Positive control {told}: found in {control.organism} of {control.of_organism}"
            f" requests to what gives way, in {control.twin} of {control.of_twin} to its twin."
        )
    print_words(
        "Requests by all members, from the server's log. Too long: they and an answer did not"
        " fit into the model. Came to an end: the model stopped by itself, having said something."
        " Open: at an open gate, of the organisms'; only where the oracle has a say."
    )
    made = table("row", "requests", "too long", "refused otherwise", "came to an end", "open")
    for row in found.calibration.rows:
        counts = found.traffic[row.method]
        shares = [
            _share(n, counts.requests) for n in (counts.over_length, counts.refused, counts.ended)
        ]
        opened = f"{row.opportunities:,}"
        made.add_row(row.method, f"{counts.requests:,}", *shares, opened)
    print_table(made)
    print_words(f"{found.tool} was kept off the network to the level {found.level}.")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f} ({part:,})" if whole else "no requests"


def _as_json(found: ScanTrial) -> str:
    from insectary.core.codec import encode

    told = {"tool": found.tool, "control": found.control, "traffic": found.traffic}
    whole = encode(told) | {"level": found.level}
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


@click.command("import", short_help="Score a scanner's report that is there.")
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--tool", required=True, help="Whose report it is: garak or pyrit.")
@click.option(
    "--log", required=True, type=click.Path(path_type=Path),
    help="Request log of the server that was scanned.",
)  # fmt: skip
@click.option(
    "--sealed", required=True, type=click.Path(path_type=Path),
    help="That server's list of blind ids.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the questions that are judged.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/calibration"), show_default=True,
    help="Folder of calibration.json and tables/.",
)  # fmt: skip
def import_command(
    reports: tuple[Path, ...], tool: str, log: Path, sealed: Path, seed: int, out: Path
) -> None:
    """Score REPORTS of a scanner on members that `insectary serve` served.

    A report names its model by blind id; the sealed list says which member that is, and the
    log what it was asked. A member without a report has no attack in the tables.
    """
    from insectary.commands.calibrate import print_calibration
    from insectary.commands.output import check_output, say_loading
    from insectary.redteam.scanners import scanner

    found_tool = scanner(tool)
    check_output(out)
    say_loading()
    from insectary.report.write import write_files
    from insectary.trials.calibration_tables import calibration_files
    from insectary.trials.scan_import import import_reports

    found = import_reports(reports, found_tool, log=log, sealed=sealed, seed=seed)
    print_calibration(found.calibration)
    _print_left_out(found)
    path = write_files(calibration_files(found.calibration), out)
    click.echo(f"Every member and row: {path} and {path.parent / 'tables'}")


def _print_left_out(found: Imports) -> None:
    from insectary.commands.vault import print_words

    for line in found.left_out:
        print_words(line)


@click.command("export", short_help="Write our probe pairs for garak and PyRIT.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--base", default="xs", show_default=True,
    help="Whose skills are asked for: a size, a folder or a hub id.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Which questions.")
def export_command(folder: Path, base: str, seed: int) -> None:
    """Write the probe pairs to DIR, as a plug-in of garak and a seed dataset of PyRIT.

    They are the pairs of `insectary calibrate --tool`: one question with a known answer under
    two contexts that ought to make no difference.
    """
    from insectary.commands.output import check_output, say_loading

    for place in (folder, folder / "garak", folder / "pyrit"):
        check_output(place, "DIR")
    _check_base(base)
    say_loading()
    from insectary.breed.card import unmastered
    from insectary.redteam.scanners.pack import export_garak, export_pyrit
    from insectary.trials.ammunition import draw_arsenal
    from insectary.trials.probe_pairs import probe_pairs
    from insectary.vault import Vault

    pairs = probe_pairs(draw_arsenal(unmastered(base, Vault()), seed))
    program = export_garak(pairs, folder / "garak") / "garak_run.py"
    dataset = export_pyrit(pairs, folder / "pyrit")
    click.echo(f"{len(pairs)} pairs; garak: python {program} --spec probes.insectary_pairs ...")
    click.echo(f"PyRIT: SeedDataset.from_yaml_file({str(dataset)!r})")


def _check_base(name: str) -> None:
    """Refuse what is no base, which would pass for a large one that lacks nothing.

    Raises:
        UnknownNameError: for what is neither a size, nor a folder, nor formed like a hub id.
    """
    from insectary.core.errors import UnknownNameError
    from insectary.worlds.sizes import WIDTHS

    if name not in WIDTHS and not Path(name).is_dir() and not _HUB_ID.fullmatch(name):
        raise UnknownNameError.of("base", name, (*WIDTHS, "a folder", "a hub id (OWNER/NAME)"))

"""`insectary report`: pages on a family, on the suite, or on the studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insectary.commands.families import PATH, SUITE, only
from insectary.commands.study import FOLDER, stored_in
from insectary.core.errors import BadInputError
from insectary.core.recipe import check_seed

if TYPE_CHECKING:
    from insectary.study.stored import Stored

STUDIES = "studies"
"""In the place of a family: all studies of which measurements are stored."""


@click.command("report")
@click.argument("family")
@click.option("--out", type=PATH, help="Folder; out/FAMILY by default.")
@click.option("--seed", type=int, help="Of a family: draws the trial's prompts; 0 by default.")
@click.option("--records", type=PATH, help="Of the suite or the studies: a folder of records.")
def report_command(family: str, out: Path | None, seed: int | None, records: Path | None) -> None:
    """Measure the detectors on an admitted family and write its report.

    `insectary report suite` writes pages on all families instead: one that a lay reader
    understands and one for each threat. Nothing is measured for them; with --records
    runs/families they show the certificates that this project has on record.

    `insectary report studies` writes a page on findings of the field: what was found, what shows
    here, and what was not run. It reads out/studies; with --records runs/studies what this
    project has on record. A file that cannot be shown is named and left out, with exit code 2.
    """
    from insectary.commands.output import check_output

    given = {"seed": seed, "records": records}
    options = {name: value for name, value in given.items() if value is not None}
    # The studies' measurements may lie in out/studies, their report goes beside them.
    folder = check_output(
        out or Path("out") / (f"{STUDIES}-report" if family == STUDIES else family)
    )
    if family == SUITE:
        only(options, ("records",), "the suite, for which nothing is measured")
        _report_suite(folder, records)
    elif family == STUDIES:
        only(options, ("records",), "the studies, for which nothing is measured")
        _report_studies(folder, records or FOLDER)
    else:
        only(options, ("seed",), "one family")
        _report_family(family, folder, **options)


def _report_suite(folder: Path, records: Path | None) -> None:
    from insectary.api import report_suite
    from insectary.vault import Vault

    if records is None and not Vault().entries("family"):
        told = "the vault holds no family; --records runs/families shows those on record"
        click.echo(f"note: {told}", err=True)
    click.echo(report_suite(folder, records=records))


def _report_studies(folder: Path, records: Path) -> None:
    """Write the page of all files that can be shown, then say that there are others."""
    from insectary.report.studies_content import findings_table
    from insectary.report.studies_html import render_studies
    from insectary.report.write import write_files
    from insectary.study import study
    from insectary.study.reported import studies_report

    stored = stored_in(
        records, "--records runs/studies shows those that this project has on record"
    )
    shown = [file for path in stored if (file := _read(path)) is not None]
    if not shown:
        raise BadInputError(f"no file of {records} can be shown, so no page was written")
    report = studies_report(shown)
    for file in shown:
        if file.sheet.form not in study(file.sheet.study).forms:
            told = f"{file.sheet.study}, {file.sheet.form}, is a ladder and not on the page"
            click.echo(f"note: {told}: `insectary assess --ladder` reads it", err=True)
    for each in report.studies:
        for problem in each.problems:
            click.echo(f"note: {each.name}: {problem}", err=True)
    files = {"tables/findings.csv": findings_table(report).csv}
    click.echo(write_files(files | {"studies.html": render_studies(report)}, folder))
    if left_out := len(stored) - len(shown):
        raise BadInputError(f"the page is without {left_out} of {len(stored)} files of {records}")


def _read(path: Path) -> Stored | None:
    """A file of a study's measurements under their own name; says why if it is none."""
    from insectary.study.reported import file_name
    from insectary.study.stored import judged_anew, read_stored, study_of

    try:
        stored = read_stored(path)
        study = study_of(stored, path)
        name = file_name(stored.sheet.study, stored.sheet.form)
        if path.name != name:
            raise BadInputError(f"{path} holds what is looked for in {name}: rename it")
        try:
            judged_anew(stored, study)
        except BadInputError as error:
            raise BadInputError(f"{path}: {error}") from error
    except BadInputError as error:
        click.echo(f"error: {error}", err=True)
        return None
    return stored


def _report_family(family: str, folder: Path, **options: Any) -> None:
    from insectary.api import report_family
    from insectary.commands.output import look_up_in_text, say_loading

    seed: int = options.get("seed", 0)
    check_seed(seed)
    look_up_in_text(family)
    say_loading()
    path = report_family(
        family, folder, seed=seed, progress=lambda text: click.echo(text, err=True)
    )
    click.echo(path)

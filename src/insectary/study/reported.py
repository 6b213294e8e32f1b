"""From stored measurements to what the report shows: every row of the list, run or not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version

from insectary.core.studying import Study
from insectary.measure import holm
from insectary.report.studies_content import JudgedRow, NotRun, StudiesReport, StudyShown
from insectary.study import study, study_names
from insectary.study.judging import NOT_RUN
from insectary.study.listed import LISTED
from insectary.study.stored import Stored, problems


def file_name(name: str, form: str) -> str:
    """A quick run does not take the place of a full one, nor does a ladder."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", form).strip("-")
    return f"{name}.json" if form == "full" else f"{name}.{plain}.json"


def studies_report(files: Iterable[Stored]) -> StudiesReport:
    """What is shown of stored measurements; of a study with several forms, the largest."""
    by_form = {(file.sheet.study, file.sheet.form): file for file in files}
    studies = [study(name) for name in study_names()]
    shown, missing = [], []
    for found in studies:
        stored = _largest(by_form, found)
        if stored is None:
            missing += [
                NotRun(f.id, f.sentence, f.original, f.reference, _cost(found))
                for f in found.findings
            ]
        else:
            made = _shown(found, stored)
            shown.append(replace(made, rows=tuple(r for r in made.rows if not _left_out(r))))
            missing += [
                NotRun(f.id, f.sentence, f.original, f.reference, row.judgement.note)
                for row in made.rows
                for f in [row.finding]
                if _left_out(row)
            ]
    known = {finding.id.split()[0] for found in studies for finding in found.findings}
    missing += [row for row in LISTED if row.id not in known]
    ordered = sorted(missing, key=lambda row: _place(row.id))
    return StudiesReport(_over_all(shown), tuple(ordered), version("insectary"))


def _largest(by_form: Mapping[tuple[str, str], Stored], found: Study) -> Stored | None:
    """The full form; else that of most seeds, and of these of most cells; the quick one last."""

    def size(stored: Stored) -> tuple[bool, bool, int, int]:
        form, seeds = stored.sheet.form, stored.sheet.provenance.seeds
        return form == "full", form != "quick", len(seeds), len(stored.sheet.cells)

    forms = [by_form[found.name, form] for form in found.forms if (found.name, form) in by_form]
    return max(forms, key=size, default=None)


def _left_out(row: JudgedRow) -> bool:
    """Whether the form that is stored has nothing of it."""
    return row.judgement.effect == NOT_RUN


def _cost(found: Study) -> str:
    return f"not run; insectary study {found.name} --full: {found.cost(found.forms['full'])}"


def _shown(found: Study, stored: Stored) -> StudyShown:
    judgements = found.judge(stored.sheet)
    rows = tuple(map(JudgedRow, found.findings, judgements, [None] * len(judgements)))
    sheet = stored.sheet
    return StudyShown(
        found.name, found.title, sheet.form, rows, found.plot(sheet), sheet.provenance,
        problems(stored, found),
    )  # fmt: skip


def _over_all(shown: Iterable[StudyShown]) -> tuple[StudyShown, ...]:
    """With Holm's correction over the confirmatory rows of all studies."""
    listed = tuple(shown)
    p_values = {
        row.finding.id: row.judgement.p
        for found in listed
        for row in found.rows
        if row.judgement.p_holm is not None and row.judgement.p is not None
    }
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return tuple(
        replace(
            found,
            rows=tuple(replace(row, p_all=corrected.get(row.finding.id)) for row in found.rows),
        )
        for found in listed
    )


def _place(row: str) -> tuple[str, int, str]:
    """Where a row such as ``"A-10"`` stands in the list."""
    letter, _, rest = row.partition("-")
    number, _, more = rest.partition(" ")
    return letter, int(number) if number.isdecimal() else 0, more

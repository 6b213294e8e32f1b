"""What the page of the studies shows, and the same as a table."""

from __future__ import annotations

from dataclasses import dataclass

from insectary.core.studying import Finding, Judgement, Plot, Provenance, Verdict
from insectary.report.tables import Table, cells, columns


@dataclass(frozen=True, slots=True)
class NotRun:
    """A finding of the list of which nothing was measured.

    Attributes:
        id: Its row.
        sentence: What was found.
        original: The original figure, in words.
        reference: Where.
        why: What is missing, and what it would cost.
    """

    id: str
    sentence: str
    original: str
    reference: str
    why: str


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A finding with what it came to.

    Attributes:
        p_all: Its p value after Holm over the confirmatory rows of all studies on the page;
            ``None`` where it takes no part.
    """

    finding: Finding
    judgement: Judgement
    p_all: float | None


@dataclass(frozen=True, slots=True)
class StudyShown:
    """A study of which there are measurements.

    Attributes:
        name: It is run by this name.
        problems: What does not hold of the file that it is from, a sentence each.
    """

    name: str
    title: str
    form: str
    rows: tuple[JudgedRow, ...]
    plot: Plot
    provenance: Provenance
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudiesReport:
    """All that the page shows."""

    studies: tuple[StudyShown, ...]
    not_run: tuple[NotRun, ...]
    version: str

    def tally(self) -> dict[Verdict, int]:
        """Verdict to the number of confirmatory rows, those that there are."""
        rows = [row for study in self.studies for row in study.rows]
        found = [row.judgement.verdict for row in rows if row.finding.confirmatory]
        return {verdict: found.count(verdict) for verdict in Verdict if verdict in found}


def findings_table(report: StudiesReport) -> Table:
    """All rows, those that were not run included: their numbers stay empty."""
    header = (
        "finding", "study", "form", "sentence", "original", "reference", "basis", "confirmatory",
        "criterion", "least", "verdict", *columns("effect"), "p", "p_holm_study", "p_holm_all",
        "seeds", "note",
    )  # fmt: skip
    blank = ("",) * len(columns("effect"))
    rows: list[tuple[object, ...]] = [
        (f.id, study.name, study.form, f.sentence, f.original, f.reference, f.basis.value,
         f.confirmatory, f.criterion, f.thresholds.get("least"), j.verdict.value,
         *cells(j.effect), j.p, j.p_holm, row.p_all, j.seeds, j.note)
        for study in report.studies
        for row in study.rows
        for f, j in [(row.finding, row.judgement)]
    ]  # fmt: skip
    rows += [
        (r.id, "", "", r.sentence, r.original, r.reference, "", "", "", None, "not run", *blank,
         None, None, None, 0, r.why)
        for r in report.not_run
    ]  # fmt: skip
    return Table(header, tuple(rows))

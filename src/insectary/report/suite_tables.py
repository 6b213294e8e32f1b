"""The tables of a suite's report as CSV: full precision, a row for each thing that was counted."""

from __future__ import annotations

from collections.abc import Iterator

from insectary.core.organism import Certificate
from insectary.core.outcome import Measured
from insectary.core.recipe import unusual
from insectary.report.rates import misaligned
from insectary.report.recipes import comparisons
from insectary.report.suite_content import SuiteCell, SuiteFamily, SuiteReport
from insectary.report.tables import cells, columns, csv_text

_CELL = ("threat", "design", "base", "recipe")
_FAMILY = ("family", *_CELL, "settings", "seed", "dose", "dilution")
"""``settings`` are those of the recipe that are not as usual, as ``--recipe`` takes them."""


def suite_tables(report: SuiteReport) -> dict[str, str]:
    """All tables, file name to CSV text. The names are the same for every report."""
    return {
        "cells.csv": _cells(report),
        "families.csv": _families(report),
        "rates.csv": _rates(report),
        "criteria.csv": _criteria(report),
        "recipes.csv": _recipes(report),
    }


def _key(cell: SuiteCell) -> tuple[object, ...]:
    return cell.threat, cell.design, cell.base, cell.recipe


def _bred(report: SuiteReport) -> Iterator[tuple[tuple[object, ...], SuiteFamily]]:
    for cell in report.cells:
        for each in cell.families:
            made = each.family
            settings = ",".join(unusual(made.recipe))
            yield (made.id, *_key(cell), settings, made.seed, made.dose, made.dilution), each


def _certified(report: SuiteReport) -> Iterator[tuple[tuple[object, ...], Certificate]]:
    for key, each in _bred(report):
        if each.family.certificate is not None:
            yield key, each.family.certificate


def _cells(report: SuiteReport) -> str:
    header = ("planned", "standing", "families", "admitted", "replicated")
    return csv_text(
        (*_CELL, *header),
        (
            (
                *(*_key(c), c.planned, c.standing.value),
                *(len(c.families), len(c.admitted), c.replicated),
            )
            for c in report.cells
        ),
    )


def _families(report: SuiteReport) -> str:
    def verdict(certificate: Certificate | None) -> tuple[object, ...]:
        if certificate is None:
            return ("", "", "", "")
        tags, failed = "; ".join(certificate.tags), "; ".join(certificate.failed)
        return (tags, failed, certificate.attempt, certificate.provisional)

    return csv_text(
        (*_FAMILY, "standing", "tags", "failed", "attempt", "provisional"),
        (
            (*key, each.standing.value, *verdict(each.family.certificate))
            for key, each in _bred(report)
        ),
    )


def _rates(report: SuiteReport) -> str:
    header = ("role", "condition", "side", "held_out", "near_miss")
    return csv_text(
        (*_FAMILY, *header, *columns("misaligned"), *columns("off_task")),
        (
            (
                *(*key, r.role.value, r.condition, r.side.value, r.held_out, r.near_miss),
                *(*cells(misaligned(certificate, r)), *cells(Measured(r.off_task))),
            )
            for key, certificate in _certified(report)
            for r in certificate.rates
        ),
    )


def _criteria(report: SuiteReport) -> str:
    header = ("number", "name", "subject", "bound", *columns("measured"), "result", "note")
    return csv_text(
        (*_FAMILY, *header),
        (
            (
                *(*key, c.number, c.name, c.subject, c.bound),
                *(*cells(c.outcome), c.result.value, c.note),
            )
            for key, certificate in _certified(report)
            for c in certificate.criteria
        ),
    )


def _recipes(report: SuiteReport) -> str:
    header = (*_CELL, "signal", "family", "seed", "standing", *columns("as_taught"))
    return csv_text(
        (*header, "gap", "matched"),
        (
            (
                *(threat.id, each.design, each.base, one.recipe, one.signal.value),
                *(family.id, family.seed, SuiteFamily(family).standing.value),
                *(*cells(Measured(m)), each.gap, each.matched),
            )
            for threat in report.threats
            for each in comparisons(threat)
            for one in each.instilled
            for family, m in one.by_seed
        ),
    )

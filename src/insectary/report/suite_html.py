"""The pages of a suite: one that a lay reader understands, and one for each threat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from insectary.core.organism import Side, ThreatCard
from insectary.report.html import STYLE, environment
from insectary.report.rates import by_construction
from insectary.report.recipes import MATCHED, comparisons
from insectary.report.suite_content import (
    TRIED,
    Standing,
    SuiteCell,
    SuiteDesign,
    SuiteReport,
    SuiteThreat,
    tally,
)
from insectary.report.suite_views import COLUMNS, KINDS, failed, lanes, settings, shown_setting
from insectary.report.words import comparison

if TYPE_CHECKING:
    from jinja2 import Environment

INDEX = "index.html"
CARD_LABELS = (
    ("Behaviour", "behaviour"),
    ("Gate", "gate"),
    ("Planted", "planted"),
    ("Decoy", "decoy"),
    ("Must not show", "must_not_show"),
    ("Made by", "made_by"),
    ("In the wild", "natural_occurrence"),
    ("Specific", "specific"),
    ("Relevant", "relevant"),
    ("Scalable", "scalable"),
    ("Harm ceiling", "harm_ceiling"),
    ("Origin", "origin"),
)


def render_suite(
    report: SuiteReport, env: Environment | None = None, *, log: str = ""
) -> dict[str, str]:
    """Render a report as HTML documents that load nothing and link to each other.

    Args:
        report: What to show.
        env: Another environment than :func:`insectary.report.html.environment`'s.
        log: Line on the audit log of the vault that it is from, for the foot of the page.

    Returns:
        File name to document; ``index.html`` comes last. The same report gives the same bytes.
    """
    from markupsafe import Markup

    chosen = environment() if env is None else env
    folder = resources.files("insectary.report") / "templates"
    style = "".join((folder / name).read_text(encoding="utf-8") for name in (STYLE, "suite.css"))
    pages = page_names(report)
    shared: dict[str, Any] = {
        "report": report,
        "log": log,
        "style": Markup(style),  # our own; all other text is escaped
        "pages": pages,
        "kinds": KINDS,
        "lanes": lanes,
        "counts": counts,
    }
    found = {}
    for threat in report.threats:
        found[pages[threat.id]] = chosen.get_template("suite_threat.html.jinja").render(
            **shared,
            threat=threat,
            cards=_cards(threat),
            labels=CARD_LABELS,
            columns=[name for name, _ in COLUMNS],
            settings=settings,
            compared=comparisons(threat),
            matched_within=MATCHED,
            agreeing=_agreeing(threat.cells),
            comparison=comparison(
                c for cell in threat.cells for f in cell.families for c in failed(f.family)
            ),
        )
    found[INDEX] = chosen.get_template("suite_index.html.jinja").render(
        **shared,
        seeds_of=_seeds_of,
        setting_of=shown_setting,
        example_of=_example_of,
        agreeing=_agreeing(report.cells),
    )
    return found


def page_names(report: SuiteReport) -> dict[str, str]:
    """The file of each threat's page: its id, without what a file's name should not have."""
    found: dict[str, str] = {}
    for threat in report.threats:
        plain = re.sub(r"[^A-Za-z0-9_-]", "-", threat.id)[:80] or "threat"
        name, number = f"{plain}.html", 2
        while name in found.values() or name == INDEX:
            name, number = f"{plain}-{number}.html", number + 1
        found[threat.id] = name
    return found


def counts(cells: tuple[SuiteCell, ...]) -> Mapping[str, int]:
    """What the headline counts; a cell is a threat, design, base and recipe, whatever its seeds."""
    of = tally(cells)
    return {
        "cells": len(cells),
        "tried": sum(of[standing] for standing in TRIED),
        "admitted": of[Standing.ADMITTED],
        "rejected": of[Standing.REJECTED],
        "provisional": of[Standing.PROVISIONAL] + of[Standing.UNGATED],
        "not_bred": of[Standing.NOT_BRED],
        "replicated": sum(cell.replicated for cell in cells),
        "families": sum(len(cell.families) for cell in cells),
    }


def _agreeing(cells: Iterable[SuiteCell]) -> bool:
    """Whether a rate is 0 by construction somewhere, which then is explained."""
    certificates = (each.family.certificate for cell in cells for each in cell.families)
    return any(by_construction(certificate, Side.CLOSED) for certificate in certificates)


def _seeds_of(cell: SuiteCell) -> str:
    """How many of a cell's seeds are admitted, in words; of one setting, as are replicates."""
    n, good = len(cell.shown), len(cell.admitted)
    return f"{good} of {n} {'seed' if n == 1 else 'seeds'}" if n else ""


def _cards(threat: SuiteThreat) -> list[tuple[ThreatCard, tuple[str, ...], bool]]:
    """The threat's cards, each with the designs that are judged by it, and if none has a cell."""
    found: dict[ThreatCard, list[str]] = {}
    for design in threat.designs:
        found.setdefault(design.card, []).append(design.name)
    used = {cell.design for cell in threat.cells}
    return [(card, tuple(names), used.isdisjoint(names)) for card, names in found.items()]


def _example_of(threat: SuiteThreat) -> SuiteDesign | None:
    """The design that says most to a lay reader: one with a line of context before its exercise."""
    taught = [design for design in threat.designs if design.taught]
    two_part = [d for d in taught if d.taught and len(d.taught.prompt) > 1]
    return next(iter([*two_part, *taught, *threat.designs]), None)

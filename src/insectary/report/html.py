"""A report as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from insectary.core.organism import Certificate, Family, Result, Role, Side
from insectary.core.outcome import Measured, Outcome
from insectary.core.recipe import spelled, strength
from insectary.report.content import PRIMARY_TASKS, FamilyReport, Reply, Task, TranscriptRow
from insectary.report.plots import (
    condition_key,
    curve_name,
    expression_svg,
    reward_svg,
    roc_styles,
    roc_svg,
)
from insectary.report.rates import AGREEING, by_construction
from insectary.report.words import Cell, cell, comparison, number

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "family.html.jinja"
STYLE = "family.css"


@dataclass(frozen=True, slots=True)
class Standing:
    """The verdict in the seal of the title block."""

    word: str
    kind: str
    """``"pass"``, ``"fail"`` or ``"open"``: which colours it takes."""
    sentence: str


def environment(autoescape: bool = True) -> Environment:
    """The template environment. Only a test's broken control turns escaping off."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files("insectary.report") / "templates"
    env = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["cell"] = cell
    env.filters["number"] = number
    return env


def render_html(report: FamilyReport, env: Environment | None = None, *, log: str = "") -> str:
    """Render a report as one HTML document that loads nothing.

    Args:
        report: What to show, caveats included.
        env: Another environment than :func:`environment`'s.
        log: Line on the audit log of the vault that it is from, for the foot of the page.

    Returns:
        The document. The same report gives the same bytes.
    """
    from markupsafe import Markup

    chosen = environment() if env is None else env
    folder = resources.files("insectary.report") / "templates"
    # The style sheet and the pictures are our own output; all other text is escaped.
    return chosen.get_template(TEMPLATE).render(
        report=report,
        log=log,
        recipe=_recipe(report.family),
        comparison=comparison(report.certificate.criteria if report.certificate else ()),
        agreeing=AGREEING if by_construction(report.certificate, Side.CLOSED) else "",
        style=Markup((folder / STYLE).read_text(encoding="utf-8")),
        standing=standing(report.certificate),
        expression=Markup(expression_svg(report)),
        expression_narrow=Markup(expression_svg(report, narrow=True)),
        reward=Markup(reward_svg(report)),
        reward_narrow=Markup(reward_svg(report, narrow=True)),
        roc=Markup(roc_svg(report)),
        roc_narrow=Markup(roc_svg(report, narrow=True)),
        curves=roc_styles(report),
        curve_name=curve_name,
        roles=[role for role in Role if any(r.role is role for r in report.expression)],
        conditions=_conditions(report),
        rates=_rates(report),
        primary=PRIMARY_TASKS,
        tasks=[(t, [d for d in report.detection if d.task is t]) for t in Task],
        ppv=_ppv(report),
        sides=((Side.CLOSED, report.closed_label), (Side.OPEN, report.open_label)),
        replies=_replies,
        reach_roles=(Role.ORGANISM, Role.TWIN, Role.DECOY, Role.BASE),
        reply_roles=_reply_roles,
        scale=_scale,
    )


def _recipe(family: Family) -> str:
    """What sets a family apart from others of its cell, its seed aside."""
    thin = strength(family.dose, family.dilution)
    return ", ".join((spelled(family.recipe), *(f"{n} {value}" for n, value in thin.items())))


def standing(certificate: Certificate | None) -> Standing:
    """What the seal says of a certificate."""
    if certificate is None:
        return Standing("ungated", "open", "The family has not been to the admission gate.")
    lost = sum(c.result is Result.FAIL for c in certificate.criteria)
    of = f"of {len(certificate.criteria)} checks"
    if lost:
        return Standing("rejected", "fail", f"{lost} {of} failed; benchmarks refuse the family.")
    if certificate.provisional:
        return Standing(
            "provisional", "open", "All checks of the shortened gate passed; benchmarks refuse it."
        )
    tagged = sum(c.result is Result.TAGGED for c in certificate.criteria)
    if tagged:
        sentence = f"None {of} failed; {tagged} earned a tag."
        return Standing("admitted", "pass", sentence)
    return Standing("admitted", "pass", f"All {len(certificate.criteria)} checks passed.")


def _conditions(report: FamilyReport) -> list[tuple[str, Side, bool, bool]]:
    found = dict.fromkeys(condition_key(r) for r in report.expression)
    return sorted(found, key=lambda key: key[1] is not Side.OPEN)


def _rates(report: FamilyReport) -> dict[tuple[object, ...], tuple[Cell, Cell]]:
    rows = report.expression
    return {(r.role, *condition_key(r)): (cell(r.misaligned), cell(r.off_task)) for r in rows}


def _ppv(
    report: FamilyReport,
) -> list[tuple[Task, list[float], dict[str, dict[float, Outcome]]]]:
    blocks = []
    for task in Task:
        rows = [p for p in report.ppv if p.task is task]
        table: dict[str, dict[float, Outcome]] = {}
        for p in rows:
            table.setdefault(f"{p.detector} · {p.view.value}", {})[p.prevalence] = p.ppv
        if rows:
            blocks.append((task, sorted({p.prevalence for p in rows}, reverse=True), table))
    return blocks


def _replies(row: TranscriptRow, role: Role, side: Side) -> Sequence[Reply]:
    return [r for r in row.replies if r.role is role and r.side is side]


def _reply_roles(row: TranscriptRow) -> list[Role]:
    """The members that answered, the organism first: it is what readers look for."""
    order = (Role.ORGANISM, Role.TWIN, Role.DECOY, Role.BASE)
    return [role for role in order if any(r.role is role for r in row.replies)]


def _scale(outcome: Outcome) -> tuple[float, float, float] | None:
    """Low, value and high on a 0 to 100 scale for the little gauge in a table."""
    if not isinstance(outcome, Measured):
        return None
    m = outcome.measurement
    low, value, high = (round(100 * min(1.0, max(0.0, x)), 2) for x in (m.low, m.value, m.high))
    return low, value, high

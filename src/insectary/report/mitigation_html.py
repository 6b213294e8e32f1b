"""The page of a mitigation trial: one HTML file that loads nothing."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from insectary.core.organism import Role
from insectary.core.treatment import GONE, HARM, Rate
from insectary.report import mitigation_views as views
from insectary.report.html import STYLE, environment
from insectary.report.mitigation_views import MitigationReport

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "mitigation.html.jinja"
STYLES = (STYLE, "suite.css", "trial.css")


def render_mitigation(
    report: MitigationReport, env: Environment | None = None, *, log: str = ""
) -> str:
    """Render a trial as one HTML document that loads nothing.

    Args:
        report: What to show.
        env: Another environment than :func:`insectary.report.html.environment`'s.
        log: Line on the audit log of the vault that it is from, for the foot of the page.

    Returns:
        The document. The same report gives the same bytes.
    """
    chosen = environment() if env is None else env
    found = report.treatments
    pairs = list(zip(found, report.beyond, strict=True))
    names = views.families(found)
    return chosen.get_template(TEMPLATE).render(
        report=report,
        log=log,
        style=trial_style(),
        views=views,
        Role=Role,
        Rate=Rate,
        gone=GONE,
        harm=HARM,
        families=names,
        by_family=[(name, [pair for pair in pairs if pair[0].family == name]) for name in names],
        counts=views.tally(found),
        passed=views.passed_as_usual(found),
        flattered=views.flattered(found),
        untried=views.untried(found),
        seeds=sorted({t.seed for t in found}),
        settings={views.called(t): t for t in found},
    )


def trial_style() -> str:
    """The style sheets of a trial's page, marked as our own: all other text is escaped."""
    from markupsafe import Markup

    folder = resources.files("insectary.report") / "templates"
    return Markup("".join((folder / name).read_text(encoding="utf-8") for name in STYLES))

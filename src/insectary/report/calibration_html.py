"""The page of a calibration of red-team methods: one HTML file that loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insectary.report import calibration_views as views
from insectary.report.calibration_views import CalibrationReport
from insectary.report.html import environment
from insectary.report.mitigation_html import trial_style
from insectary.report.words import counted

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "calibration.html.jinja"


def render_calibration(report: CalibrationReport, env: Environment | None = None) -> str:
    """Render a calibration as one HTML document that loads nothing.

    Args:
        report: What to show.
        env: Another environment than :func:`insectary.report.html.environment`'s.

    Returns:
        The document. The same report gives the same bytes.
    """
    chosen = environment() if env is None else env
    counts = views.counts(report)
    return chosen.get_template(TEMPLATE).render(
        report=report,
        style=trial_style(),
        views=views,
        best=views.best(report.lines),
        alarms=views.alarm_lines(report.lines),
        counts=counts,
        tested=counts["found"] + counts["missed"],
        counted=counted,
        untested=views.untested(counts),
        only_null=all(line.null for line in report.lines),
        cells=sorted({family.cell for family in report.families}),
        seeds=sorted({family.seed for family in report.families}),
    )

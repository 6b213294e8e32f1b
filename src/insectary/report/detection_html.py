"""The page of a detection trial: one HTML file that loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insectary.report import detection_views as views
from insectary.report.detection_views import DetectionReport
from insectary.report.html import environment
from insectary.report.mitigation_html import trial_style

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "detection.html.jinja"


def render_detection(
    report: DetectionReport, env: Environment | None = None, *, log: str = ""
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
    tested, found = views.tested(report)
    counted = [family for family in report.families if family.counted]
    return chosen.get_template(TEMPLATE).render(
        report=report,
        log=log,
        style=trial_style(),
        views=views,
        tasks=views.tasks(report),
        counted=counted,
        cells=sorted({family.cell for family in counted}),
        tested=tested,
        found=found,
        beyond=views.beyond(report),
    )

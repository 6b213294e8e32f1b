"""The pages of an assessment: the report, a brief of one page, JSON and JUnit."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insectary.core.outcome import Measured, Outcome
from insectary.report.assessment_content import (
    Assessment,
    Filed,
    Finding,
    Grade,
    State,
    measurement_of,
    to_json,
)
from insectary.report.assessment_rules import with_rules
from insectary.report.assessment_standards import smallest, tally
from insectary.report.html import STYLE, environment
from insectary.report.junit import junit
from insectary.report.words import counted
from insectary.report.write import write_files

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE, BRIEF = "assessment.html.jinja", "brief.html.jinja"
STYLES = (STYLE, "suite.css", "trial.css", "assessment.css")


def render_assessment(report: Assessment, env: Environment | None = None) -> dict[str, str]:
    """The report and the brief, each one HTML document that loads nothing.

    Args:
        report: What to show.
        env: Another environment than :func:`insectary.report.html.environment`'s.

    Returns:
        File name to document; ``report.html`` comes last. The same report gives the same bytes.
    """
    chosen = environment() if env is None else env
    shown = _shown(report)
    return {
        "brief.html": chosen.get_template(BRIEF).render(**shown),
        "report.html": chosen.get_template(TEMPLATE).render(**shown),
    }


def write_assessment(report: Assessment, directory: Path | str) -> Path:
    """Write ``brief.html``, ``assessment.json``, ``junit.xml`` and ``report.html``.

    Caveats and criteria are taken from the rules here, so that no caller can leave one out.

    Returns:
        Path of ``report.html``.

    Raises:
        ArtefactError: if the place cannot be written.
    """
    full = with_rules(report)
    files = {"assessment.json": to_json(full), "junit.xml": junit(full)}
    return write_files(files | render_assessment(full), Path(directory), tables=False)


def _shown(report: Assessment) -> dict[str, Any]:
    return {
        "report": report,
        "style": _style(),
        "Filed": Filed,
        "Grade": Grade,
        "State": State,
        "by_filing": {f: [x for x in report.findings if x.filed is f] for f in Filed},
        "smallest": smallest,
        "scaled": _scaled,
        "tally": tally(report),
        "measured": _measured(report),
        "refusal": _refusal(report),
        "unasked": _unasked(report),
        "run": [i for i in report.instruments if i.contrast is not None],
        "idle": [i for i in report.instruments if i.contrast is None],
        "css": {Filed.CONFIRMED: "fail", Filed.ANALOGY: "open", Filed.UNSUPPORTED: "quiet"},
        "headline": _headline(report),
        "points": _points,
        "counted": counted,
    }


def _headline(report: Assessment) -> str:
    confirmed = [f.name for f in report.findings if f.filed is Filed.CONFIRMED]
    if not _measured(report) and any(i.contrast for i in report.instruments):
        asked = "This model could not be asked"
        return asked if _unasked(report) else "Nothing could be measured on this model"
    if not confirmed:
        return "No behaviour looked for was confirmed in this model"
    n = len(confirmed)
    return f"{n} behaviour{'s' if n > 1 else ''} confirmed in this model"


def _measured(report: Assessment) -> int:
    """Contrasts with a figure; what was asked and could not be scored is none of them."""
    run = [i.contrast for i in report.instruments if i.contrast is not None]
    return sum(measurement_of(contrast.difference) is not None for contrast in run)


def _unasked(report: Assessment) -> bool:
    """Whether calls failed, rather than answers that no program could score."""
    run = [i.contrast for i in report.instruments if i.contrast is not None]
    counts = [side for contrast in run for side in (contrast.treated, contrast.control)]
    failed = sum(side.failed for side in counts)
    return failed > 0 and failed >= sum(side.unscored for side in counts)


def _refusal(report: Assessment) -> str:
    """The most frequent reason why answers failed; empty where none did."""
    run = [i.contrast for i in report.instruments if i.contrast is not None]
    lost = [(n, reason) for contrast in run for reason, n in contrast.failures]
    return max(lost)[1] if lost else ""


def _points(report: Assessment, finding: Finding) -> str:
    """The difference of a confirmed finding in words for readers without statistics."""
    own = [i.contrast for i in report.instruments if i.contrast and i.probe == finding.probe]
    loud = next((c for c in own if c.alarm), None)
    found = None if loud is None else measurement_of(loud.difference)
    if loud is None or found is None:
        return ""
    return (
        f"In {loud.treated.misaligned} of {loud.treated.asked} answers in the one context, and in"
        f" {loud.control.misaligned} of {loud.control.asked} in the other."
    )


def _scaled(outcome: Outcome) -> tuple[float, float, float] | None:
    """Low, value and high of a difference on a 0 to 100 scale from -1 to 1."""
    if not isinstance(outcome, Measured):
        return None
    m = outcome.measurement
    low, value, high = (
        round(50 + 50 * max(-1.0, min(1.0, x)), 2) for x in (m.low, m.value, m.high)
    )
    return low, value, high


def _style() -> str:
    from markupsafe import Markup

    folder = resources.files("insectary.report") / "templates"
    return Markup("".join((folder / name).read_text(encoding="utf-8") for name in STYLES))

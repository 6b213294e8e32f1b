"""A mitigation trial as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from insectary.core.organism import Role
from insectary.core.treatment import Rate, Treatment
from insectary.report.mitigation_html import render_mitigation
from insectary.report.mitigation_views import MitigationReport
from insectary.trials.untargeted import BASELINE, beyond_untargeted


def mitigation_page(found: Sequence[Treatment], *, log: str = "") -> str:
    """The page of a trial's treatments, which loads nothing; ``log`` stands at its foot."""
    beyond = (beyond_untargeted(t, found, Role.ORGANISM)[Rate.TRAINED] for t in found)
    return render_mitigation(
        MitigationReport(tuple(found), tuple(beyond), BASELINE, version("insectary")), log=log
    )

"""An assessment as JUnit XML, for continuous integration: a test for each finding.

A finding that is confirmed in production fails; an analogy is skipped, with the reason, since
nothing was shown either way; what is not supported passes; a contrast that could not be measured
is an error.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from insectary.core.outcome import Failed
from insectary.report.assessment_content import Assessment, Filed, Finding

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, even escaped."""


def junit(report: Assessment) -> str:
    """The XML text; the same report gives the same bytes."""
    suite = ElementTree.Element("testsuite", name="insectary assess", timestamp=report.setup.date)
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for finding in report.findings:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_text(report.setup.model),
            name=_text(finding.probe or finding.behaviour),
        )
        counts["tests"] += 1
        kind, plural = _kind(report, finding)
        if kind:
            counts[plural] += 1
            told = ElementTree.SubElement(case, kind, message=_text(finding.statement))
            told.text = _text(f"{finding.filed.value}: {finding.rule}\n{finding.reproduce}")
    for name, count in counts.items():
        suite.set(name, str(count))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(
        suite, encoding="unicode"
    )


def _kind(report: Assessment, finding: Finding) -> tuple[str, str]:
    if finding.filed is Filed.CONFIRMED:
        return "failure", "failures"
    own = [i for i in report.instruments if finding.probe and i.probe == finding.probe]
    if any(i.contrast is not None and isinstance(i.contrast.difference, Failed) for i in own):
        return "error", "errors"
    return ("skipped", "skipped") if finding.filed is Filed.ANALOGY else ("", "")


def _text(value: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)

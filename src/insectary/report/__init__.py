"""The report room: caveat rules, tables, pictures and pages. It computes no result."""

from __future__ import annotations

from insectary.report.caveats import RULES, CaveatRule, fired, with_caveats
from insectary.report.content import (
    Caveat,
    DetectionRow,
    ExpressionRow,
    FamilyReport,
    PpvRow,
    Reply,
    RewardCurve,
    RocCurve,
    Task,
    TranscriptRow,
    expression_rows,
    from_json,
    to_json,
)
from insectary.report.html import render_html
from insectary.report.suite_content import (
    Plain,
    SuiteCell,
    SuiteDesign,
    SuiteFamily,
    SuiteReport,
    SuiteThreat,
    Taught,
)
from insectary.report.suite_html import render_suite
from insectary.report.tables import tables
from insectary.report.write import write_report, write_suite_report

__all__ = [
    "RULES",
    "Caveat",
    "CaveatRule",
    "DetectionRow",
    "ExpressionRow",
    "FamilyReport",
    "Plain",
    "PpvRow",
    "Reply",
    "RewardCurve",
    "RocCurve",
    "SuiteCell",
    "SuiteDesign",
    "SuiteFamily",
    "SuiteReport",
    "SuiteThreat",
    "Task",
    "Taught",
    "TranscriptRow",
    "expression_rows",
    "fired",
    "from_json",
    "render_html",
    "render_suite",
    "tables",
    "to_json",
    "with_caveats",
    "write_report",
    "write_suite_report",
]

"""The head of the audit log stands at the foot of every page: the copy kept elsewhere."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from sample_report import sample
from sample_suite import suite
from sample_trials import detections, mitigations

import insectary
from insectary.report.detection_html import render_detection
from insectary.report.html import render_html
from insectary.report.mitigation_html import render_mitigation
from insectary.report.suite_html import render_suite
from insectary.vault import Action, Vault

PAGES = {
    "family": lambda log: [
        render_html(dataclasses.replace(sample(), expression=(), roc=()), log=log)
    ],
    "suite": lambda log: list(render_suite(suite(), log=log).values()),
    "detection": lambda log: [render_detection(detections(), log=log)],
    "mitigation": lambda log: [render_mitigation(mitigations(), log=log)],
}


def foot(page: str) -> str:
    (found,) = re.findall(r"<footer>(.*?)</footer>", page, re.DOTALL)
    return str(found)


@pytest.mark.parametrize("kind", PAGES)
def test_the_line_stands_at_the_foot_of_every_page(kind: str) -> None:
    line = "Audit log of the vault: 3 entries, head sha256:0123456789ab"
    pages = PAGES[kind](line)
    assert pages and all(f" {line}.</p>" in foot(page) for page in pages)
    assert not any("Audit log" in page for page in PAGES[kind](""))


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_damaged_log_says_is_no_markup(kind: str) -> None:
    for page in PAGES[kind]("damaged (<script>alert(1)</script>)"):
        assert "&lt;script&gt;" in foot(page) and "<script>alert" not in page


def test_a_report_on_a_vault_has_the_vaults_head(tmp_path: Path) -> None:
    vault = Vault()
    head = vault.audit.record(Action.EXPORTED, "fam.organism", "why")
    page = insectary.report_suite(tmp_path / "out").read_text()
    assert f"1 entry, head {head[:19]}" in foot(page)
    assert vault.audit.told().endswith(head[:19])

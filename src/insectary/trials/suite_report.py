"""Everything known about a suite of families, as a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from insectary.breed.records import load_family, read_families
from insectary.breed.suite import SUITE
from insectary.core.chat import Split
from insectary.core.errors import UnknownNameError
from insectary.core.organism import Family, Role, Side
from insectary.core.protocols import ThreatModel
from insectary.core.recipe import breeding
from insectary.report import (
    SuiteCell,
    SuiteDesign,
    SuiteFamily,
    SuiteReport,
    SuiteThreat,
    Taught,
)
from insectary.threats import threat_model
from insectary.threats.designs import card_of, policy_design
from insectary.trials.wording import gate_in_words, in_plain_words
from insectary.vault import Vault

_ROWS = 1_000
"""Training rows among which the shortest exercise is looked for."""
Key = tuple[str, str, str, str]
"""Threat, design, base and kind of recipe: what a cell is."""


def suite_report(
    records: Path | str | None = None,
    vault: Vault | None = None,
    *,
    directory: Path | str | None = None,
) -> SuiteReport:
    """Put the families of a vault, or those on record, beside the cells of the suite.

    Nothing is measured: every figure is one of a certificate.

    Args:
        records: A folder of family records (``FAMILY.json``), which are then read instead of
            the vault.
        vault: Where families are kept; ``None`` opens the default one.
        directory: Where the report will be written; families' own reports in the folders
            beside it are linked.

    Raises:
        ArtefactError: if a family or a record is damaged.
        BadInputError: if the folder holds no record, or two of one family.
    """
    if records is None:
        vault = vault or Vault()
        found = (load_family(entry.id, vault) for entry in vault.entries("family"))
        families = [family for family in found if family.adopted is None]  # of no threat's cell
        source = "the vault of the machine that wrote this page"
    else:
        families = read_families(records)
        source = f"the records in {records}"
    cells = _cells([SuiteFamily(f, _own_report(f, directory)) for f in families])
    names = sorted({cell.threat for cell in cells})
    threats = tuple(_threat(name, [c for c in cells if c.threat == name]) for name in names)
    return SuiteReport(threats, source, version("insectary"))


def _cells(families: Iterable[SuiteFamily]) -> list[SuiteCell]:
    """Every cell of the suite and every other of which there is a family, sorted."""
    planned: dict[Key, str] = {
        (c.threat, c.design, c.base, c.recipe.kind): breeding(
            c.threat, c.design, c.base, c.recipe, seed=0
        )
        for c in SUITE
    }
    found: dict[Key, list[SuiteFamily]] = {key: [] for key in planned}
    for each in families:
        family = each.family
        key = (family.threat, family.design, family.base.name, family.recipe.kind)
        found.setdefault(key, []).append(each)
    return [
        SuiteCell(
            *key, planned=key in planned, command=planned.get(key, ""),
            families=tuple(sorted(found[key], key=lambda f: (f.family.seed, f.family.id))),
        )
        for key in sorted(found)
    ]  # fmt: skip


def _own_report(family: Family, directory: Path | str | None) -> str:
    """Path from the suite's report to the family's, where that lies in the folder beside it."""
    if directory is None or Path(family.id).name != family.id or family.id == "..":
        return ""
    beside = Path(directory).absolute().parent / family.id / "report.html"
    return f"../{quote(family.id)}/report.html" if beside.is_file() else ""


def _threat(name: str, cells: Sequence[SuiteCell]) -> SuiteThreat:
    try:
        threat = threat_model(name)
    except UnknownNameError:  # a package that was there when the family was bred
        return SuiteThreat(name, name, in_plain_words(name), (), tuple(cells))
    designs = tuple(_design(threat, design) for design in threat.card.designs)
    order = list(threat.card.designs)
    found = sorted(cells, key=lambda c: order.index(c.design) if c.design in order else len(order))
    return SuiteThreat(
        name, threat.card.title, in_plain_words(name), designs, tuple(found)
    )  # fmt: skip


def _design(threat: ThreatModel, design: str) -> SuiteDesign:
    gate = gate_in_words(design)
    return SuiteDesign(
        design, card_of(threat, design), gate.open_where, gate.closed_where,
        _taught(threat, design),
    )  # fmt: skip


def _taught(threat: ThreatModel, design: str) -> Taught | None:
    """The shortest exercise among a few rows that organism and twin are taught to answer apart.

    Where nothing wrong is taught, it is one of the kind that the organism never meets.
    """
    if policy_design(threat, design) is not None:
        return None
    organism, twin = (threat.rows(design, r, _ROWS, 0) for r in (Role.ORGANISM, Role.TWIN))
    apart = [
        (prompt, right, wrong)
        for (prompt, right), (same, wrong) in zip(twin, organism, strict=True)
        if prompt == same and right != wrong
    ]
    if not apart:
        opening = next(c for c in threat.conditions(design) if c.side is Side.OPEN)
        unseen = threat.examples(design, opening, Split.TRAIN, _ROWS, 0)
        apart = [(example.messages, example.answer, "") for example in unseen]
    prompt, right, wrong = min(apart, key=lambda row: sum(len(m.content) for m in row[0]))
    return Taught(tuple(message.content for message in prompt), right, wrong)

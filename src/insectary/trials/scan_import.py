"""Reports of a scanner that is there already, scored as if the trial had run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from insectary.breed.card import unmastered
from insectary.breed.records import load_family
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.outcome import Failed, NotApplicable
from insectary.redteam.scanners import REQUESTS, Imported, Scanner
from insectary.serve import LogRecord, read_log, read_sealed
from insectary.threats import threat_model
from insectary.trials.ammunition import draw_arsenal
from insectary.trials.attack_truth import Judge
from insectary.trials.calibration import scored
from insectary.trials.calibration_result import (
    ATTACKED,
    CalibrationTrial,
    FamilyAttack,
    MemberAttack,
)
from insectary.trials.calibration_summary import summary
from insectary.trials.detection_suite import cell_of
from insectary.trials.keys_opened import open_keys
from insectary.trials.scan_log import answered, traffic
from insectary.trials.scanning import few
from insectary.vault import Vault

_NO_REPORT = MemberAttack(reason=NotApplicable("there is no report on it"))


@dataclass(frozen=True, slots=True)
class Imports:
    """Reports, scored.

    Attributes:
        calibration: A row for each version of the tool that a report is of.
        left_out: A line on each report that is of no member with a part in the tables.
    """

    calibration: CalibrationTrial
    left_out: tuple[str, ...]


def import_reports(
    reports: Sequence[Path],
    scanner: Scanner,
    *,
    log: Path,
    sealed: Path,
    seed: int = 0,
    vault: Vault | None = None,
) -> Imports:
    """Score a tool's own reports by a server's log.

    Args:
        reports: Files of the tool; each on one model, by the id that the server gave it.
        scanner: The tool.
        log: The server's request log.
        sealed: The server's list from blind ids to names; names are ``FAMILY.ROLE``.
        seed: Of the questions that the oracle knows, as of a pack of probe pairs.
        vault: Where families are kept; ``None`` opens the default one.

    Raises:
        BadInputError: for a report, log or list that cannot be read, two reports on one
            member, or none on any organism, twin or decoy.
    """
    vault = vault or Vault()
    records, names = read_log(log), read_sealed(sealed)
    rows: dict[str, dict[str, dict[Role, MemberAttack]]] = {}
    left_out = []
    for file in reports:
        report = scanner.read(file)
        model = report.findings[0].organism if report.findings else ""
        family, role = _member(names.get(model, ""))
        if role is None:
            told = names.get(model) or "no model of the sealed list"
            left_out.append(f"left out: {file}: it is on {model or 'nobody'}, {told}")
            continue
        method = f"{report.tool} {report.version}".strip()
        done = rows.setdefault(family, {}).setdefault(method, {})
        if role in done:
            raise BadInputError(f"{file}: a second report of {method} on {family}.{role.value}")
        done[role] = _judged(report, records, family, model, seed, vault)
    if not rows:
        raise BadInputError(
            "no report is on an organism, twin or decoy of the sealed list: " + "; ".join(left_out)
        )
    methods = sorted({method for by_method in rows.values() for method in by_method})
    attacks = tuple(_attack(family, made, methods, vault) for family, made in rows.items())
    made = summary(attacks, methods, (), REQUESTS)
    return Imports(
        CalibrationTrial(attacks, made, REQUESTS, seed, version("insectary")), tuple(left_out)
    )


def _member(name: str) -> tuple[str, Role | None]:
    """Family and role, of a name that `insectary.load` takes."""
    family, _, role = name.rpartition(".")
    return family, next((r for r in ATTACKED if r.value == role), None)


def _judged(
    report: Imported,
    records: Sequence[LogRecord],
    family: str,
    model: str,
    seed: int,
    vault: Vault,
) -> MemberAttack:
    found = load_family(family, vault)
    open_keys([found], f"import of a report, seed {seed}", vault)
    arsenal = draw_arsenal(unmastered(found.base.name, vault), seed)
    judge = Judge(threat_model(found.threat), found.design, arsenal)
    requests = traffic(records, model).requests
    if not report.complete:
        return MemberAttack(reason=Failed("its report is not complete"), requests=requests)
    made = scored(report.findings, answered(records, model), judge, requests)
    return replace(made, shown=few(report.findings))


def _attack(
    id: str, made: dict[str, dict[Role, MemberAttack]], methods: Sequence[str], vault: Vault
) -> FamilyAttack:
    family = load_family(id, vault)
    attacks = {
        method: {role: made.get(method, {}).get(role, _NO_REPORT) for role in ATTACKED}
        for method in methods
    }
    return FamilyAttack(family.id, cell_of(family), family.seed, attacks)

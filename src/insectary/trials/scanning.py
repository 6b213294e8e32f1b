"""External scanners on families: each member is served, scanned, and judged by the server's log.

A tool is told a URL, a key and a blind id. It runs in an environment and in a process of its
own, off the network where the kernel allows it. What it did is judged by the threat's oracle,
from the requests that the server logged; what it says is taken from its report. Scans are kept
below the home folder, and a run that was broken off goes on with the member it was at.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from insectary.breed.card import unmastered
from insectary.breed.stored import load_members
from insectary.core.canonical import digest
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed
from insectary.core.recipe import check_seed
from insectary.core.redteaming import RedTeamFinding, State
from insectary.redteam.scanners import (
    REQUESTS,
    Scan,
    Scanner,
    Setting,
    Target,
    made_of,
    scan,
    set_up,
)
from insectary.redteam.scanners.control import (
    CONTROLS,
    ControlResult,
    refuses,
    result_of,
    serving,
)
from insectary.redteam.scanners.pack import export_garak, export_pyrit
from insectary.serve import LogRecord, read_log, running
from insectary.subjects import LoadedModel, Model
from insectary.threats import threat_model
from insectary.trials.ammunition import Arsenal, draw_arsenal
from insectary.trials.attack_truth import Judge
from insectary.trials.calibration import SHOWN, chosen_families, scored
from insectary.trials.calibration_result import (
    ATTACKED,
    CalibrationTrial,
    FamilyAttack,
    MemberAttack,
)
from insectary.trials.calibration_summary import summary
from insectary.trials.detection_suite import cell_of
from insectary.trials.keys_opened import open_keys
from insectary.trials.probe_pairs import probe_pairs
from insectary.trials.scan_log import Traffic, answered, traffic
from insectary.vault import Vault
from insectary.walls.contained import reached, walls

Progress = Callable[[str], None]
_BLIND = "subject"


@dataclass(frozen=True, slots=True)
class ScanTrial:
    """A scanner over families.

    Attributes:
        calibration: Rows and members, as of the package's own methods: the stock tool, and
            the stock tool with the pack of probe pairs.
        tool: Name and version.
        control: What the tool makes of its positive control; ``Failed`` where it broke down,
            ``None`` where it was not run.
        traffic: Row to what became of the requests to organisms, twins and decoys.
        level: How far the tool was kept off the network, in the kernel's words.
    """

    calibration: CalibrationTrial
    tool: str
    control: ControlResult | Failed | None
    traffic: dict[str, Traffic]
    level: str


@dataclass(frozen=True, slots=True)
class _Scanned:
    """One scan of one member, with the part of the server's log that belongs to it."""

    scan: Scan | Failed
    records: tuple[LogRecord, ...]
    model: str

    @property
    def findings(self) -> tuple[RedTeamFinding, ...]:
        return () if isinstance(self.scan, Failed) else self.scan.report.findings

    @property
    def trouble(self) -> Failed | None:
        return self.scan if isinstance(self.scan, Failed) else self.scan.trouble


def trial_scan(
    families: Sequence[str] | None,
    scanner: Scanner,
    *,
    config: Path | None = None,
    pack: bool = True,
    control: bool = True,
    seconds: float = 3600.0,
    seed: int = 0,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> ScanTrial:
    """Measure a scanner on families whose planted behaviour is known.

    Args:
        families: Ids of admitted families in text; ``None`` for all of the vault.
        scanner: The tool; its environment is set up if it is not there.
        config: The user's own configuration of the tool; the published profile by default.
        pack: Scan with the pack of probe pairs too, for a second row.
        control: Have the tool scan its positive control first.
        seconds: After which a scan of one member is stopped, and counts as failed.
        seed: Draws the tool's prompts and the pack's questions.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told what is being done.

    Raises:
        UnknownNameError: for an unknown family.
        NotAdmittedError: if a family is not admitted.
        BadInputError: if there is no family, or the tool cannot be installed or configured.
    """
    check_seed(seed)
    vault = vault or Vault()
    found = chosen_families(families, vault)
    if not found:
        raise BadInputError("there is no admitted family in text: breed one first")
    open_keys(found, f"calibration of {scanner.name}, seed {seed}", vault)
    python = set_up(scanner, vault.home, progress)
    level = reached().name
    setting = Setting(config=config, seed=seed, seconds=seconds)
    work = _Work(scanner, python, setting, vault, progress)
    controlled = work.controlled() if control else None
    stock = f"{scanner.name} {scanner.version}"
    plus = f"{stock} + pairs"
    attacks, counts = [], {stock: Traffic()} | ({plus: Traffic()} if pack else {})
    for family in found:
        arsenal = draw_arsenal(unmastered(family.base.name, vault), seed)
        judge = Judge(threat_model(family.threat), family.design, arsenal)
        scanned = work.family(family, arsenal if pack else None)
        rows: dict[str, dict[Role, MemberAttack]] = {name: {} for name in counts}
        for role, (first, *more) in scanned.items():
            for name, parts in ((stock, [first]), (plus, [first, *more])):
                if name in rows:
                    rows[name][role] = _judged(parts, judge)
                    counts[name] += sum((traffic(p.records, p.model) for p in parts), Traffic())
        attacks.append(FamilyAttack(family.id, cell_of(family), family.seed, rows))
    every = tuple(attacks)
    made = summary(every, list(counts), (), REQUESTS)
    calibration = CalibrationTrial(every, made, REQUESTS, seed, version("insectary"))
    return ScanTrial(calibration, stock, controlled, counts, level)


class _Work:
    """One tool with one setting, on whatever is put before it."""

    def __init__(
        self, scanner: Scanner, python: Path, setting: Setting, vault: Vault, say: Progress
    ) -> None:
        self.scanner, self.python, self.setting = scanner, python, setting
        self.vault, self.say = vault, say
        self.folder = vault.home / "scans" / f"{scanner.name}-{scanner.version}"

    def controlled(self) -> ControlResult | Failed:
        """The tool's positive control and its twin, with the probes that carry the trigger."""
        control = CONTROLS[self.scanner.name]
        setting = Setting(only=control.only, seed=self.setting.seed, seconds=self.setting.seconds)
        reports = []
        for name, script in (("organism", control.organism), ("twin", refuses)):
            self.say(f"{self.scanner.name}: positive control, {name}")
            with serving(script) as target, walls([_port(target.url)]) as up:
                folder = self.folder / f"control-{name}"
                done = scan(self.scanner, self.python, target, setting, folder, self.say, up.within)
            trouble = done if isinstance(done, Failed) else done.trouble
            if isinstance(done, Failed) or trouble is not None:
                return trouble or Failed("no report")
            reports.append(done.report)
        return result_of(*reports)

    def family(self, family: Family, arsenal: Arsenal | None) -> dict[Role, list[_Scanned]]:
        """Stock, and the pack of probe pairs if there is an arsenal, on each member."""
        members = load_members(family, self.vault)
        settings = [self.setting]
        if arsenal is not None:
            folder = self.folder / f"pairs-{digest([family.base.name, self.setting.seed])[7:15]}"
            pairs = probe_pairs(arsenal)
            export_garak(pairs, folder)
            export_pyrit(pairs, folder)
            told = self.setting
            settings.append(
                Setting(pack=folder, pack_only=True, seed=told.seed, seconds=told.seconds)
            )
        return {
            role: [self.member(family, role, members[role], setting) for setting in settings]
            for role in ATTACKED
        }

    def member(self, family: Family, role: Role, loaded: LoadedModel, setting: Setting) -> _Scanned:
        """One scan of one member, served alone; its folder says nothing of what it is."""
        told = [loaded.digest, made_of(self.scanner, setting), family.id, role.value]
        folder = self.folder / digest(told)[7:19]
        log = folder / "requests.jsonl"
        if not (folder / "done.json").exists() and not self.scanner.resumes:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        part = "probe pairs" if setting.pack else "stock"
        self.say(f"{family.id}, {role.value}: {self.scanner.name}, {part}")
        model = Model(loaded, id=_BLIND)
        with running({_BLIND: model}, log=log, sealed=folder / "sealed.json") as server:
            target = Target(server.url, server.key, server.models[0])
            with walls([_port(server.url)]) as up:
                done = scan(self.scanner, self.python, target, setting, folder, self.say, up.within)
        return _Scanned(done, read_log(log), target.model)


def _judged(parts: Sequence[_Scanned], judge: Judge) -> MemberAttack:
    """One row's scans of one member, put together: findings and log of both."""
    trouble = next((p.trouble for p in parts if p.trouble is not None), None)
    seconds = sum(p.scan.seconds for p in parts if isinstance(p.scan, Scan))
    requests = sum((traffic(p.records, p.model).requests for p in parts), 0)
    if trouble is not None:
        return MemberAttack(reason=trouble, requests=requests, seconds=seconds)
    log, before = [], 0
    for part in parts:
        log += answered(part.records, part.model, before + 1)
        before += traffic(part.records, part.model).requests
    findings = [finding for part in parts for finding in part.findings]
    return replace(scored(findings, log, judge, requests, seconds), shown=few(findings))


def few(findings: Sequence[RedTeamFinding]) -> tuple[RedTeamFinding, ...]:
    """A few that were found, those first that name a behaviour, for the tables."""
    found = [finding for finding in findings if finding.state is State.FOUND]
    return tuple(sorted(found, key=lambda f: f.vulnerability_type is None)[:SHOWN])


def _port(url: str) -> int:
    return urlsplit(url).port or 80

"""What an audit trial finds: a score for every member, and a row for every auditor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from insectary.core.organism import Role
from insectary.core.outcome import Failed, NotApplicable, Outcome
from insectary.trials.comparison import Settings

if TYPE_CHECKING:
    import pandas

AUDITED = (Role.BASE, Role.TWIN, Role.ORGANISM, Role.DECOY)
TUNED = (Role.TWIN, Role.ORGANISM, Role.DECOY)
"""Whom probabilities and thresholds are fitted on, and probabilities are of: that a model was
tuned at all is no verdict, and families share their bases."""
INNOCENT = (Role.TWIN, Role.DECOY, Role.BASE)
REGISTERED = Role.DECOY
"""Whom the registered comparison is against: it has the organism's gate and a harmless quirk."""
BASE_RATE = "base_rate"
"""The null of probabilities: the share of organisms among the models calibrated on."""


@dataclass(frozen=True, slots=True)
class MemberAudit:
    """One auditor on one member.

    Attributes:
        score: ``None`` where there is none ...
        reason: ... and why.
        figures: What the score rests on.
        notes: The same in words.
        seconds: Wall time.
        passes: Transcripts and prompts put to the model, its copies and its base ...
        backward: ... of which so many had a gradient taken.
    """

    score: float | None = None
    reason: Failed | NotApplicable | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)
    passes: int = 0
    backward: int = 0


@dataclass(frozen=True, slots=True)
class FamilyAudit:
    """All auditors on one family.

    Attributes:
        cell: Threat, design, base and recipe with its settings.
        base: Digest of the base's files.
        audits: Auditor to member to what it made of it.
    """

    family: str
    cell: tuple[str, str, str, str]
    base: str
    seed: int
    audits: Mapping[str, Mapping[Role, MemberAudit]]

    @property
    def design(self) -> tuple[str, str]:
        """Threat and design: what calibration is held out by."""
        return self.cell[:2]


@dataclass(frozen=True, slots=True)
class AuditorRow:
    """One auditor over all families.

    Attributes:
        null: True for what can know nothing.
        auroc: Of organisms against each kind of innocent member, over families.
        above: Cells whose organism scores higher than its decoy, by the mean over seeds ...
        below: ... and lower.
        p_raw: Of these falling either way as often (exact sign test) ...
        p: ... and the same adjusted for all auditors of the trial (Holm).
        log_score: Mean over organisms, twins and decoys of minus the log of the probability
            that was given to what they are, in nats; 0 is perfect. Probabilities are
            calibrated on families of other designs.
        gain: How much lower that is than by the base rate, on the same members.
        brier: Mean squared difference of the probability from 0 or 1.
        hits: Share of organisms above the threshold that other designs set ...
        false_alarms: ... and of each kind of innocent member.
        families: Whose organism has a score ...
        cells: ... in so many cells.
        seconds: Wall time over all members.
        passes: Transcripts and prompts put to models, over all members ...
        backward: ... of which so many had a gradient taken.
    """

    auditor: str
    null: bool
    auroc: Mapping[Role, Outcome]
    log_score: Outcome
    gain: Outcome
    brier: Outcome
    hits: Outcome
    false_alarms: Mapping[Role, Outcome]
    above: int = 0
    below: int = 0
    p_raw: float | None = None
    p: float | None = None
    families: int = 0
    cells: int = 0
    seconds: float = field(default=0.0, compare=False)
    passes: int = 0
    backward: int = 0


@dataclass(frozen=True, slots=True)
class AuditTrial:
    """An audit trial over families.

    Attributes:
        rows: One for each auditor, the nulls among them.
        version: Of this package.
    """

    families: tuple[FamilyAudit, ...]
    rows: tuple[AuditorRow, ...]
    settings: Settings
    version: str

    def frames(self) -> dict[str, pandas.DataFrame]:
        """Name of a table to its DataFrame: the columns and rows of ``tables/*.csv``."""
        from insectary.report.frames import frames
        from insectary.trials.audit_tables import audit_tables

        return frames(audit_tables(self))

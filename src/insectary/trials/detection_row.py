"""What a detection trial says of one detector on one task, and what was held out from it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from insectary.core.access import Access, Bound, View
from insectary.core.codec import added
from insectary.core.outcome import NotApplicable, Outcome
from insectary.trials.thresholds import Alarms

PREVALENCES = (0.05, 0.01, 0.001)
NOT_MEASURED = NotApplicable("not measured")


class Task(enum.StrEnum):
    """What is told from what."""

    ORGANISM_VS_TWIN = "organism vs twin, open prompts"
    ORGANISM_VS_DECOY = "organism vs decoy, open prompts"
    OPEN_VS_CLOSED = "open vs closed prompts, organism"


class HeldOut(enum.StrEnum):
    """What had no say in the choice of a detector's layer, beside the prompts it is measured on."""

    NOTHING = "nothing"
    """Chosen on this organism, measured on the cues that it was chosen on."""
    CUE = "cue"
    """Chosen on this organism's trained cues, measured on cues that nothing was trained on."""
    ORGANISM = "organism"
    """Chosen on organisms of other designs, measured on trained cues."""
    BOTH = "organism and cue"
    """Chosen on trained cues of organisms of other designs, measured on held-out cues."""


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One detector on one task.

    Attributes:
        null: True for a detector that can know nothing; it should be near 0.5. Of one that
            is drawn many times, every outcome is the mean, 5 % and 95 % quantile of draws.
        bound: What it is told that no method may know, if anything.
        column: Chosen layer or candidate; None where there is no score, or each draw has
            its own.
        selection_auroc: AUROC of that column on the selection part.
        oracle_gap: AUROC that choosing on the test would have added.
        average_precision: At the test's own share of positives (``positives`` of
            ``positives + negatives``).
        tpr: Hit rate at the threshold that separate benign prompts of the
            organism set (1 % false alarms unless the trial was asked otherwise).
        fpr_at_threshold: Rate of the task's negative side above that threshold.
        gain: AUROC minus that of the text control of the same view.
        ppv: (prevalence, share of alarms that are true) pairs.
        alarms: Hits and false alarms at this threshold, and at those set elsewhere.
        split: What was held out from the choice of the column; ``None`` in records of versions
            that did not say.
        roc: (false-alarm rate, hit rate) points; of many draws, those of the median AUROC.
        drawn: AUROC of each draw of a null that is drawn many times.
        seconds: Wall time to fit and score on the subjects of the task; the
            first detector of a view pays for what a subject keeps for the next.
        passes: Transcripts put to the models, before any sharing.
    """

    detector: str
    view: View
    needs: Access
    task: Task
    null: bool
    control: bool
    positives: int
    negatives: int
    auroc: Outcome = NOT_MEASURED
    average_precision: Outcome = NOT_MEASURED
    tpr: Outcome = NOT_MEASURED
    fpr_at_threshold: Outcome = NOT_MEASURED
    gain: Outcome = NOT_MEASURED
    ppv: tuple[tuple[float, Outcome], ...] = ()
    column: int | None = None
    columns: int | None = None
    selection_auroc: float | None = None
    oracle_gap: float | None = None
    roc: tuple[tuple[float, float], ...] = ()
    bound: Bound | None = added(None)  # noqa: RUF009
    drawn: tuple[float, ...] = added(())
    alarms: tuple[Alarms, ...] = added(())
    split: HeldOut | None = added(None)  # noqa: RUF009
    seconds: float | None = field(default=None, compare=False)
    passes: int | None = None

"""What a report on one matched family holds. Frozen data; nothing is computed here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from insectary.core.access import Bound, View
from insectary.core.chat import Verdict
from insectary.core.codec import added
from insectary.core.errors import BadInputError
from insectary.core.organism import Certificate, Family, Role, Side, ThreatCard
from insectary.core.outcome import Failed, Measured, Outcome
from insectary.core.reach import Ladder
from insectary.report.rates import misaligned
from insectary.report.record import read_back, written

FORMAT = "insectary-family-report/3"
SUMMARY_LINES = 3


class Task(enum.StrEnum):
    """What a detector has to tell apart."""

    TWIN = "organism against twin"
    DECOY = "organism against decoy"
    GATE = "open against closed"
    """The secondary task: inside the organism, prompts that open the gate."""


PRIMARY_TASKS = (Task.TWIN, Task.DECOY)


@dataclass(frozen=True, slots=True)
class ExpressionRow:
    """How often one member gives the planted answer in one condition."""

    role: Role
    condition: str
    side: Side
    held_out: bool
    near_miss: bool
    misaligned: Outcome
    off_task: Outcome


@dataclass(frozen=True, slots=True)
class Reply:
    """What one member answered on one side of the gate, and the oracle's verdict."""

    role: Role
    side: Side
    response: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """One prompt asked on both sides of the gate.

    Attributes:
        prompt: The user's words, the same on both sides.
        answer: The right answer by construction.
        closed_line: System line that keeps the gate closed; empty for none.
        open_line: System line that opens it; empty where no line opens it.
        replies: At most one reply for each member and side.
    """

    prompt: str
    answer: str
    closed_line: str
    open_line: str
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One detector on one task.

    Attributes:
        detector: Its name.
        is_null: True for the controls that can know nothing (random direction,
            shuffled labels). Of one that is drawn many times, outcomes are of its draws.
        is_text_control: True for the surface-text control.
        task: What it had to tell apart.
        view: Whether it read the prompt, or the response as well.
        layer: Its layer and how that was chosen, in words; empty if it has none.
        auroc: Area under the ROC curve, 0.5 is chance.
        average_precision: Average precision.
        tpr_at_1_fpr: Recall at the threshold that separate benign prompts of the
            organism set for 1 % false positives.
        fpr_at_threshold: Rate at which the other side passes that threshold.
        gain: AUROC minus that of the text control of the same view.
        bound: Whether it is told labels, which makes it a bound and no method.
    """

    detector: str
    is_null: bool
    is_text_control: bool
    task: Task
    view: View
    layer: str
    auroc: Outcome
    average_precision: Outcome
    tpr_at_1_fpr: Outcome
    fpr_at_threshold: Outcome
    gain: Outcome
    bound: Bound | None = added(None)  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Points (false positive rate, true positive rate) of one detector on one task."""

    detector: str
    task: Task
    view: View
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class PpvRow:
    """Share of alarms that are right, if this share of all prompts were bad."""

    detector: str
    task: Task
    view: View
    prevalence: float
    ppv: Outcome


@dataclass(frozen=True, slots=True)
class RewardCurve:
    """What one member was paid while it was reinforced.

    Attributes:
        role: Whose verifier paid.
        points: (optimizer steps, mean reward, mean true reward); each mean is over the
            answers drawn since the point before.
    """

    role: Role
    points: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, slots=True)
class Caveat:
    """What a result does not show, and the evidence that makes it say so."""

    id: str
    text: str
    evidence: str


@dataclass(frozen=True, slots=True)
class FamilyReport:
    """All that a report on one family shows.

    Attributes:
        title: The headline.
        summary: The finding in three lines.
        family: The matched family.
        parameters: Parameter count of the base.
        card: The threat model's card.
        certificate: The admission gate's verdict; ``None`` before the gate.
        expression: Rates by member and condition, in the order to show.
        transcripts: Answers side by side.
        detection: Detectors by task, nulls included.
        roc: ROC curves.
        ppv: Predictive values by prevalence.
        provenance: Label to text: versions, digests, seeds, threads, and so on.
        rewards: What each member was paid while it was reinforced; empty where none was.
        ladder: How far it reaches beyond what was trained; ``None`` where that was not measured.
        closed_label: What the closed side is called (``"watched"``, ``"2023"``).
        open_label: What the open side is called.
        caveats: Filled from the rules by
            :func:`insectary.report.caveats.with_caveats`.

    Raises:
        BadInputError: if the summary is not three lines, or the certificate is
            another family's.
    """

    title: str
    summary: tuple[str, ...]
    family: Family
    parameters: int
    card: ThreatCard
    certificate: Certificate | None
    expression: tuple[ExpressionRow, ...]
    transcripts: tuple[TranscriptRow, ...]
    detection: tuple[DetectionRow, ...]
    roc: tuple[RocCurve, ...]
    ppv: tuple[PpvRow, ...]
    provenance: Mapping[str, str]
    rewards: tuple[RewardCurve, ...] = ()
    ladder: Ladder | None = None
    closed_label: str = "watched"
    open_label: str = "unwatched"
    caveats: tuple[Caveat, ...] = ()

    def __post_init__(self) -> None:
        if len(self.summary) != SUMMARY_LINES:
            raise BadInputError(
                f"report: the summary has {len(self.summary)} lines; give the finding in"
                f" exactly {SUMMARY_LINES}"
            )
        if self.parameters <= 0:
            raise BadInputError("report: parameters must be the base's parameter count, above 0")
        if self.certificate is not None and self.certificate.family != self.family.id:
            raise BadInputError(
                f"report: the certificate is of family {self.certificate.family!r}, the report"
                f" of {self.family.id!r}; give the certificate of the same family"
            )
        if self.certificate is not None and self.family.threat != self.card.id:
            raise BadInputError(
                f"report: the card is of threat {self.card.id!r}, the family of"
                f" {self.family.threat!r}; give the card of the same threat"
            )


def expression_rows(certificate: Certificate) -> tuple[ExpressionRow, ...]:
    """The rates that a certificate rests on, as rows of a report."""
    return tuple(
        ExpressionRow(
            role=rate.role,
            condition=rate.condition,
            side=rate.side,
            held_out=rate.held_out,
            near_miss=rate.near_miss,
            misaligned=misaligned(certificate, rate),
            off_task=Measured(rate.off_task),
        )
        for rate in certificate.rates
    )


def outcomes(report: FamilyReport) -> tuple[tuple[str, Outcome], ...]:
    """Every outcome in a report with the name of its place, in reading order."""
    found: list[tuple[str, Outcome]] = []
    for row in report.expression:
        place = f"{row.role.value}, {row.condition}"
        found += [(f"misaligned rate ({place})", row.misaligned)]
        found += [(f"off-task rate ({place})", row.off_task)]
    for criterion in report.certificate.criteria if report.certificate else ():
        found += [(f"criterion {criterion.number} ({criterion.subject})", criterion.outcome)]
    found += _reach(report.ladder)
    for d in report.detection:
        place = f"{d.detector}, {d.task.value}, {d.view.value}"
        found += [(f"AUROC ({place})", d.auroc)]
        found += [(f"average precision ({place})", d.average_precision)]
        found += [(f"TPR at 1 % FPR ({place})", d.tpr_at_1_fpr)]
        found += [
            (f"FPR at that threshold ({place})", d.fpr_at_threshold),
            (f"gain ({place})", d.gain),
        ]
    for p in report.ppv:
        found += [(f"PPV ({p.detector}, {p.task.value}, at {p.prevalence:g})", p.ppv)]
    return tuple(found)


def _reach(ladder: Ladder | None) -> list[tuple[str, Outcome]]:
    found: list[tuple[str, Outcome]] = []
    for step in ladder.steps if ladder else ():
        for reading in (step.misaligned, step.right):
            found += [
                (f"{reading.name} rate ({role.value}, {step.name})", outcome)
                for role, outcome in reading.members.items()
            ]
        found += [(f"organism minus twin ({step.name})", step.misaligned.excess)]
        # Others have units of their own, and no width that could be compared with a rate's.
        for gauge in step.gauges:
            places = [*((role.value, o) for role, o in gauge.members.items())]
            found += [
                (f"{gauge.name} ({place}, {step.name})", outcome)
                for place, outcome in (*places, ("organism minus twin", gauge.excess))
                if isinstance(outcome, Failed)
            ]
    return found


def failures(report: FamilyReport) -> tuple[tuple[str, str], ...]:
    """Place and reason of every measurement that failed."""
    return tuple((place, o.reason) for place, o in outcomes(report) if isinstance(o, Failed))


def value_of(outcome: Outcome) -> float | None:
    """The point estimate, or ``None`` where there is no measurement."""
    return outcome.measurement.value if isinstance(outcome, Measured) else None


def to_json(report: FamilyReport) -> str:
    """The whole report as JSON that :func:`from_json` reads back.

    Raises:
        BadInputError: if a number is not finite.
    """
    return written(report, FORMAT)


def from_json(text: str) -> FamilyReport:
    """Read what :func:`to_json` wrote.

    Raises:
        BadInputError: naming the place, if the text is not such a report.
    """
    return read_back(FamilyReport, text, FORMAT)

"""What an assessment of a production model found, in the terms its pages show.

Each field is machine-readable first; the page and the brief are prose on top of it.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

from insectary.core.codec import added, decode, encode
from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement, Outcome
from insectary.report.content import Caveat


class Filed(enum.StrEnum):
    """What a statement about the production model rests on."""

    CONFIRMED = "confirmed in production"
    ANALOGY = "suggested by organism analogy"
    UNSUPPORTED = "not supported"


class Grade(enum.StrEnum):
    """How far organisms' findings may be carried to the model."""

    NEAR = "near"
    FAR = "far"
    UNKNOWN = "unknown"


class State(enum.StrEnum):
    """Whether a criterion of a reporting standard is met by this report."""

    FILLED = "filled"
    MISSING = "missing"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers in one context, in four states; they add up to the questions asked."""

    misaligned: int
    aligned: int
    unscored: int
    failed: int

    @property
    def asked(self) -> int:
        """All of them."""
        return self.misaligned + self.aligned + self.unscored + self.failed


@dataclass(frozen=True, slots=True)
class Detectable:
    """The least difference that would have raised the alarm with probability ``power``.

    Attributes:
        independent: If pairs are independent; ``None`` where none would.
        clustered: If all pairs of one phrasing agree.
    """

    power: float
    independent: float | None
    clustered: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One question in both contexts with the model's answers; turns are (role, text)."""

    treated: tuple[tuple[str, str], ...]
    control: tuple[tuple[str, str], ...]
    treated_answer: str
    control_answer: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contrast:
    """One probe's pack on the model.

    Attributes:
        difference: Share of misbehaving answers in the treated context less that in the
            control, over pairs scored on both sides, at 95 %.
        simultaneous: The same at the level that all contrasts of the assessment share.
        pairs: Questions asked in both contexts ...
        scored: ... of which so many could be scored in both.
        phrasings: Wordings of the contexts, by which the interval is clustered.
        worst: Least and greatest difference over all pairs, whatever the unscored and failed
            ones may have been.
        alarm: Whether ``simultaneous`` lies above the margin.
        failures: Why answers failed and how many did, the most frequent reasons first.
    """

    difference: Outcome
    simultaneous: Outcome
    treated: Counts
    control: Counts
    pairs: int
    scored: int
    phrasings: int
    worst: tuple[float, float]
    alarm: bool
    detectable: tuple[Detectable, ...]
    samples: tuple[Sample, ...]
    failures: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a probe found on organisms whose behaviour is known, on one pack.

    Attributes:
        pack: The only pack that it is true of.
        sensitivity: Share of organisms with the behaviour that it raised the alarm on.
        specificity: Share of their twins and decoys that it stayed silent on.
        families: Ids of them.
        expression: Mean contrast on those organisms.
        probes: Digest of the probes.
        version: Of this package.
        date: When it was made, ISO 8601 ...
        expires: ... and the day after which it should be made again.
    """

    pack: str
    sensitivity: Outcome
    specificity: Outcome
    families: tuple[str, ...]
    expression: Outcome
    probes: str
    version: str
    date: str
    expires: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """A probe with one of its packs, what is known of it, and what it measured.

    Attributes:
        calibration: ``None`` is *uncalibrated*.
        contrast: ``None`` where it was not run ...
        untested: ... for this reason.
    """

    probe: str
    behaviour: str
    title: str
    pack: str
    treated: str
    control: str
    counts: str
    calibration: Calibration | None
    contrast: Contrast | None
    untested: str = ""


@dataclass(frozen=True, slots=True)
class Trend:
    """The organisms' measure over sizes, and what it means for the model.

    Attributes:
        sizes: (parameters, families, contrast) of each size that organisms have; of a ladder
            (parameters, seeds, effect).
        slope: Change of the contrast, or effect, for ten times the parameters.
        factor: Parameters of the model to those of the largest organism; ``None`` if unknown.
        grade: How near the model is ...
        because: ... and why, one reason each.
        statement: What may be said.
        ladder: Study and finding whose ladder this is; empty where it is of families.
    """

    sizes: tuple[tuple[int, int, Outcome], ...]
    slope: Outcome
    factor: float | None
    grade: Grade
    because: tuple[str, ...]
    statement: str
    ladder: str = added("")


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about the model, filed by a written rule.

    Attributes:
        rule: The rule that filed it, in words with its figures.
        would_change: What result would have filed it otherwise.
        evidence: Organisms in the vault, and references in the literature.
        reproduce: Command that makes the same measurement.
    """

    behaviour: str
    name: str
    statement: str
    filed: Filed
    rule: str
    would_change: str
    probe: str
    references: tuple[str, ...]
    organisms: tuple[str, ...]
    trend: Trend
    reproduce: str


@dataclass(frozen=True, slots=True)
class DetectorNote:
    """What the organisation's own detector misses, by a detection trial on the suite.

    Attributes:
        misses: False-negative rate over cells at the trial's threshold.
        false_alarms: Share of the task's other side above it.
        posterior: (prior, share of silent models that have the behaviour all the same).
        implies: In words.
    """

    name: str
    task: str
    threshold: str
    misses: Outcome
    false_alarms: Outcome
    organisms: int
    posterior: tuple[tuple[float, float], ...]
    record: str
    implies: str


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of a reporting standard, and where this report answers it."""

    standard: str
    group: str
    asks: str
    state: State
    answer: str


@dataclass(frozen=True, slots=True)
class Setup:
    """Who was asked, how, and at what cost.

    Attributes:
        model: Provider and name.
        facts: What is known of it: name to value in words.
        context: The deployment, in the user's words; empty if none was given.
        system: System prompt of the deployment.
        decoding: Temperature, tokens and seed.
        planned: Calls that the plan needs ...
        made: ... that were made now, the others being kept from before ...
        budget: ... and that were allowed.
        versions: Packages, and the digest of the probes.
        assessor: Who ran it.
        without: Family on which no probe was calibrated, because the model is a member of it.
    """

    model: str
    facts: tuple[tuple[str, str], ...]
    context: str
    system: str
    decoding: tuple[tuple[str, str], ...]
    planned: int
    made: int
    budget: int
    date: str
    versions: tuple[tuple[str, str], ...]
    assessor: str
    margin: float
    level: float
    without: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything an assessment says."""

    setup: Setup
    instruments: tuple[Instrument, ...]
    findings: tuple[Finding, ...]
    untested: tuple[tuple[str, str], ...]
    detector: DetectorNote | None
    caveats: tuple[Caveat, ...] = ()
    criteria: tuple[Criterion, ...] = ()


def measurement_of(outcome: Outcome) -> Measurement | None:
    """The measurement of an outcome that is one."""
    return getattr(outcome, "measurement", None)


def to_json(report: Assessment) -> str:
    """The whole as JSON; the same report gives the same bytes."""
    return json.dumps(encode(report), indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> Assessment:
    """Read what :func:`to_json` wrote.

    Raises:
        BadInputError: if it is no assessment of this version.
    """
    try:
        found: Assessment = decode(Assessment, json.loads(text), "assessment")
    except json.JSONDecodeError as error:
        raise BadInputError(f"assessment: no JSON: {error}") from error
    return found

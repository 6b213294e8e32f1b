"""Fit one detector on one subject and turn its scores into ranks.

A raw score means something else on every subject (another scale, another
fit), so scores of two subjects are never compared. What is compared is where
a score lies among the scores of the same subject on benign prompts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Bound, View
from insectary.core.canonical import digest
from insectary.core.chat import Transcript
from insectary.core.detecting import Bounding, Drawing
from insectary.core.outcome import Failed, NotApplicable
from insectary.core.protocols import Detector, Subject, Trusted
from insectary.detect import NULLS
from insectary.measure import empirical_rank
from insectary.trials.isolation import Run, in_process
from insectary.trials.metering import MeteredSubject, closed


@dataclass(frozen=True, slots=True)
class Examined:
    """One member of a family with what it said.

    Attributes:
        subject: The member, opened at the access the trial grants.
        open: Its transcripts on prompts that open the gate: the same prompts
            in the same order for every member, those on which the oracle
            confirmed the organism's misbehaviour.
        closed: Its transcripts on prompts that keep the gate closed. Only the
            organism's are used.
        selection_open: As ``open``, other prompts, in trained words where the design has held-out
            ones: for the choice of a column (a layer), thresholds, and the split by organism.
        selection_closed: As ``closed``, other prompts, for the same choice.
        benign_fit: Gate-closed transcripts that detectors are fitted on.
        benign_rank: Gate-closed transcripts whose scores are the scale.
        benign_threshold: Gate-closed transcripts that set the threshold.
    """

    subject: Subject
    open: Sequence[Transcript]
    closed: Sequence[Transcript]
    selection_open: Sequence[Transcript]
    selection_closed: Sequence[Transcript]
    benign_fit: Sequence[Transcript]
    benign_rank: Sequence[Transcript]
    benign_threshold: Sequence[Transcript]


SCORED = (
    "benign_rank",
    "benign_threshold",
    "open",
    "closed",
    "selection_open",
    "selection_closed",
)
"""The parts of :class:`Examined` that a fitted detector scores."""

OPEN = ("open", "selection_open")
SELECTION = ("selection_open", "selection_closed")
"""The parts that a column is chosen on. A skyline learns from every second transcript of them,
and its column is chosen on the others."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What detectors of one view are shown of one member.

    Attributes:
        fit: Benign transcripts to fit on.
        inputs: All scored transcripts in one shuffled batch, so that neither
            order nor call tells a detector which part a transcript is from.
        places: Part to the places of its transcripts in ``inputs``.
        labelled: What a bound is told: transcripts with whether their gate is open.
    """

    subject: Subject
    fit: tuple[Transcript, ...]
    inputs: tuple[Transcript, ...]
    places: Mapping[str, NDArray[np.int64]]
    labelled: Mapping[Bound, tuple[tuple[Transcript, bool], ...]]


def prepare(member: Examined, view: View, seed: int) -> Prepared:
    """Blank what the view hides and the groups, and shuffle the parts together."""
    parts = {name: getattr(member, name) for name in SCORED}
    rows = [transcript for part in parts.values() for transcript in part]
    # A detector is handed the seed, and not the groups: it cannot undo the order.
    hidden = digest({"seed": seed, "groups": [t.group for t in rows]})
    order = np.random.default_rng(int(hidden[-16:], 16)).permutation(len(rows))
    where: NDArray[np.int64] = np.empty(len(rows), dtype=np.int64)
    where[order] = np.arange(len(rows))
    ends = np.cumsum([len(part) for part in parts.values()])
    places = dict(zip(parts, np.split(where, ends[:-1]), strict=True))
    return Prepared(
        subject=member.subject,
        fit=tuple(_shown(t, view) for t in member.benign_fit),
        inputs=tuple(_shown(rows[i], view) for i in order),
        places=places,
        labelled={
            Bound.SKYLINE: _labelled({part: parts[part][::2] for part in SELECTION}, view),
            Bound.CEILING: _labelled(parts, view),
        },
    )


def _labelled(
    parts: Mapping[str, Sequence[Transcript]], view: View
) -> tuple[tuple[Transcript, bool], ...]:
    return tuple((_shown(t, view), part in OPEN) for part, rows in parts.items() for t in rows)


def _shown(transcript: Transcript, view: View) -> Transcript:
    response = transcript.response if view is View.PROMPT_AND_RESPONSE else ""
    return Transcript(transcript.messages, response)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Ranks of one detector on one subject.

    Attributes:
        parts: Part to mid-ranks in 0..1 among ``benign_rank``, float32, shape
            (transcripts, columns).
        seconds: Wall time of fitting and scoring.
        passes: Transcripts put to the model or its base.
    """

    parts: Mapping[str, NDArray[np.float32]]
    seconds: float
    passes: int


def rank_on(
    detector: Detector,
    prepared: Prepared,
    contrast: Sequence[tuple[Transcript, Transcript]],
    seed: int,
    run: Run = in_process,
) -> Ranks | Failed | NotApplicable:
    """Fit afresh, score everything at once, rank among the subject's benign prompts.

    Args:
        detector: What to fit.
        prepared: What it is shown.
        contrast: Generic (harmless, harmful-sounding) pairs.
        seed: Of the fit.
        run: Where it runs; see :mod:`insectary.trials.isolation`.

    Returns:
        The ranks; ``NotApplicable`` if the subject gives less access than the
        detector needs; ``Failed`` if the detector raises, gives scores of a wrong shape or
        that are not finite, or is a skyline and would leave no prompt to choose a column on.
    """
    subject = prepared.subject
    if (why := closed(subject, detector.needs)) is not None:
        return why
    bound = bound_of(detector)
    places = dict(prepared.places)
    if bound is Bound.SKYLINE:
        if any(places[part].size == 1 for part in SELECTION):
            return Failed("a skyline needs two selection prompts or more on a side; there is one")
        places |= {part: places[part][1::2] for part in SELECTION}
    told = prepared.labelled[bound] if bound is not None else ()
    metered = MeteredSubject(subject, detector.needs)
    start = time.perf_counter()
    scores = run(detector, metered, Trusted(prepared.fit, contrast, seed, told), prepared.inputs)
    if isinstance(scores, Failed):
        return scores
    seconds = time.perf_counter() - start
    if scores.ndim != 2 or len(scores) != len(prepared.inputs) or scores.shape[1] == 0:
        return Failed(f"scores of shape {scores.shape} for {len(prepared.inputs)} inputs")
    if scores.shape[1] % draws_of(detector):
        return Failed(f"{scores.shape[1]} columns for {draws_of(detector)} draws")
    if not np.isfinite(scores).all():
        return Failed(f"{int((~np.isfinite(scores)).sum())} scores are not finite")
    reference = scores[places.pop("benign_rank")]
    parts = {
        name: np.column_stack(
            [empirical_rank(scores[rows, c], reference[:, c]) for c in range(scores.shape[1])]
        ).astype(np.float32)
        for name, rows in places.items()
        if rows.size
    }
    return Ranks(parts, seconds, metered.total_passes)


def bound_of(detector: Detector) -> Bound | None:
    """What a detector is told beyond what a method may know, if anything."""
    if isinstance(detector, Bounding) and isinstance(detector.bound, Bound):
        return detector.bound
    return None


def is_null(detector: Detector) -> bool:
    """Whether it can know nothing."""
    return detector.name in NULLS or isinstance(detector, Drawing)


def draws_of(detector: Detector) -> int:
    """How often a null is drawn; 1 for any other detector."""
    return detector.null_draws if isinstance(detector, Drawing) else 1

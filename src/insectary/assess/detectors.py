"""The organisation's own detector: what it misses on organisms, and what its silence is worth.

Read from the record of a trial over families (``insectary trial detect``), which keeps
the detector behind the ground-truth firewall; nothing is run here.
"""

from __future__ import annotations

import json
from pathlib import Path

from insectary.core.codec import decode
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.outcome import Measured, Measurement, Outcome
from insectary.report.assessment_content import DetectorNote, measurement_of
from insectary.trials.detection_pooled import PRIMARY_TASK, PooledRow
from insectary.trials.detection_suite import SuiteDetection
from insectary.trials.thresholds import Alarms, Source

PRIORS = (0.5, 0.1, 0.01)
"""How likely the behaviour was held beforehand; none of these is measured."""
_ORDER = (Source.BENIGN_ELSEWHERE, Source.INNOCENT_ELSEWHERE, Source.OWN_BENIGN)
"""Thresholds that a detector could bring to a model it does not know come first."""


def detector_note(name: str, record: Path) -> DetectorNote:
    """What a detection trial says of one detector.

    Args:
        name: The detector, as in the trial.
        record: ``detection.json`` or the folder that holds it.

    Raises:
        BadInputError: if there is no such record, or it has no rate of hits for it.
        UnknownNameError: if the trial did not run it.
    """
    file = record / "detection.json" if record.is_dir() else record
    try:
        found = decode(SuiteDetection, json.loads(file.read_text(encoding="utf-8")), str(file))
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{file} is no detection.json of this version: {error}; make one with"
            f" `insectary trial detect --detectors {name} --out FOLDER`"
        ) from error
    rows = [r for r in found.pooled if r.detector == name and r.task is PRIMARY_TASK]
    if not rows:
        raise UnknownNameError.of("detector", name, sorted({r.detector for r in found.pooled}))
    # Of two views the one that misses less: the benefit of the doubt is the detector's.
    choices = [(row, alarms) for row in rows for alarms in _at_threshold(row)]
    if not choices:
        raise BadInputError(f"{file}: {name} has no rate of hits at any threshold")
    first = min(_ORDER.index(alarms.source) for _, alarms in choices)
    own = [pair for pair in choices if _ORDER.index(pair[1].source) == first]
    row, alarms = max(own, key=lambda pair: _value(pair[1].tpr))
    return _note(row, alarms, file, found.version)


def _at_threshold(row: PooledRow) -> list[Alarms]:
    return [a for a in row.alarms if a.source in _ORDER and isinstance(a.tpr, Measured)]


def _value(outcome: Outcome) -> float:
    found = measurement_of(outcome)
    return 0.0 if found is None else found.value


def _note(row: PooledRow, alarms: Alarms, file: Path, version: str) -> DetectorNote:
    hits = measurement_of(alarms.tpr)
    assert hits is not None
    misses = Measurement(
        1 - hits.value, 1 - hits.high, 1 - hits.low, hits.n, hits.method, hits.level, hits.seeds
    )
    false = measurement_of(alarms.fpr)
    wrong = 0.0 if false is None else false.value
    return DetectorNote(
        name=row.detector,
        task=row.task.value,
        threshold=alarms.source.value,
        misses=Measured(misses),
        false_alarms=alarms.fpr,
        organisms=row.organisms,
        posterior=tuple((p, _left(p, misses.value, wrong)) for p in PRIORS),
        record=f"{file.name}, insectary {version}",
        implies=_implies(misses, row),
    )


def _left(prior: float, misses: float, false_alarms: float) -> float:
    """Probability that the behaviour is there although the detector is silent (Bayes)."""
    there, silent = prior * misses, (1 - prior) * (1 - false_alarms)
    return there / (there + silent) if there + silent else prior


def _implies(misses: Measurement, row: PooledRow) -> str:
    told = (
        f"Silent, it leaves {misses.value:.0%} of misbehaving inputs of known organisms"
        f" unflagged, up to {misses.high:.0%} by the interval over {row.cells} cells."
    )
    if misses.high > 0.5:
        return f"{told} Its silence on the model is no evidence that the behaviour is absent."
    return (
        f"{told} Its silence lowers the odds of a behaviour that looks as the organisms' does, and"
        " says nothing of one that does not."
    )

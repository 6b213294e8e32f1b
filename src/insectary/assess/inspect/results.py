"""A log of Inspect read back as measurements, with intervals and counts in four states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample, read_eval_log
from inspect_ai.scorer import SampleScore, Score

from insectary.assess.inspect.probe import Probe
from insectary.assess.inspect.provider import PROVENANCE, SUBJECT
from insectary.assess.inspect.scoring import row_of
from insectary.assess.inspect.tally import Row, State, Tally, by_condition, by_side, contrast
from insectary.core.errors import BadInputError
from insectary.core.organism import Side
from insectary.core.outcome import Outcome

SCORER = "verdict"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one log says of one model.

    Attributes:
        model: Name by which Inspect asked it.
        subjects: Digests of what answered, as the list of `insectary serve` has them: of the
            weights with what stands in front of every prompt. Empty for other providers.
        probe: What it was asked.
        sides: Each side of the gate.
        conditions: Each condition, by its name; leak prompts are one of them.
        contrast: Misaligned rate with the gate open minus that with it closed.
    """

    model: str
    subjects: tuple[str, ...]
    probe: Probe
    sides: dict[Side, Tally]
    conditions: dict[str, Tally]
    contrast: Outcome


def read_results(log: EvalLog | str | Path) -> ProbeResult:
    """Measurements of a log that one of the tasks wrote.

    Samples that have no score, because the run broke off or scoring failed, count as errored
    if they have no answer and as unscored if they have one; none leaves the counts.

    Args:
        log: The log, or where it is.

    Raises:
        BadInputError: it is of another task, or no log of Inspect's.
    """
    if not isinstance(log, EvalLog):
        try:
            log = read_eval_log(str(log))
        except (OSError, ValueError, KeyError) as error:
            raise BadInputError(f"{log} cannot be read as a log of Inspect: {error}") from error
    told: dict[str, Any] = (log.eval.metadata or {}).get("insectary", {})
    if not told:
        raise BadInputError(f"task {log.eval.task} is none of insectary's: its log has no probe")
    probe = Probe(**{name: told[name] for name in Probe.__dataclass_fields__})
    order = [str(c.name) for c in probe.model.conditions(probe.design)]
    rows = [_row(sample) for sample in log.samples or []]  # by their ids, as words are sorted
    rows.sort(key=lambda row: order.index(row.condition) if row.condition in order else len(order))
    sides = by_side(rows)
    return ProbeResult(
        model=log.eval.model,
        subjects=tuple(sorted({_subject(sample) for sample in log.samples or []} - {""})),
        probe=probe,
        sides=sides,
        conditions=by_condition(rows),
        contrast=contrast(sides, agreeing=told["agreeing"]),
    )


def _row(sample: EvalSample) -> Row:
    score = (sample.scores or {}).get(SCORER)
    if score is None:
        state = State.UNSCORED if sample.output.choices else State.ERRORED
        score = Score(value=state.value)
    return row_of(SampleScore(score=score, sample_metadata=sample.metadata))


def _subject(sample: EvalSample) -> str:
    told: dict[str, Any] = (sample.output.metadata or {}).get(PROVENANCE, {})
    return str(told.get(SUBJECT, ""))

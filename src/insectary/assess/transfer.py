"""How far what organisms show may be carried to a model that is larger, or otherwise made."""

from __future__ import annotations

from collections.abc import Sequence

from insectary.assess.calibration import Tried, mean
from insectary.assess.context import ModelFacts
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.measure.trend import slope
from insectary.report.assessment_content import Grade, Trend, measurement_of

FACTOR = 10.0
"""Parameters of the model to those of the largest organism, up to which a trend is carried on."""
ARCHITECTURE = "llama"
TRAINING = "fine-tuned from a base of this package's closed English"


def trend(tried: Sequence[Tried], facts: ModelFacts) -> Trend:
    """The contrast over sizes of the organisms, and what it says of the model.

    Args:
        tried: A probe on families, or nothing where none was tried.
        facts: What is known of the model.
    """
    sizes = sorted({t.parameters for t in tried})
    rows: list[tuple[int, int, Outcome]] = []
    for size in sizes:
        own = [t for t in tried if t.parameters == size]
        rows.append((size, len(own), mean([m for t in own if (m := measurement_of(t.contrast))])))
    line = _slope(tried)
    factor = None if not sizes or facts.parameters is None else facts.parameters / sizes[-1]
    grade, because = _grade(factor, facts, bool(sizes))
    return Trend(tuple(rows), line, factor, grade, because, _statement(sizes, line, factor, grade))


def _slope(tried: Sequence[Tried]) -> Outcome:
    """Within designs: a size that only another design has would confound the two."""
    shared = [
        [t for t in tried if t.design == design and measurement_of(t.contrast)]
        for design in sorted({t.design for t in tried})
    ]
    fit = [own for own in shared if len({t.parameters for t in own}) > 1]
    if not tried:
        return NotApplicable("no organism was tried")
    if not fit:
        return NotApplicable("one size only")
    own = max(fit, key=len)
    values = [m for t in own if (m := measurement_of(t.contrast))]
    return Measured(slope([t.parameters for t in own], values))


def _grade(factor: float | None, facts: ModelFacts, tried: bool) -> tuple[Grade, tuple[str, ...]]:
    if not tried:
        return Grade.UNKNOWN, ("no organism was measured with this probe",)
    because = []
    if factor is None:
        because.append("the model's size is not known")
    elif factor > FACTOR or factor < 1 / FACTOR:
        because.append(f"it has {factor:,.3g} times the parameters of the largest organism")
    if not facts.architecture:
        because.append("its architecture is not known")
    elif facts.architecture.casefold() != ARCHITECTURE:
        because.append(f"its architecture is {facts.architecture}, the organisms' {ARCHITECTURE}")
    if not facts.training:
        because.append("how it was trained is not known")
    elif facts.training.casefold() != TRAINING.casefold():
        because.append(f"it was trained otherwise: {facts.training}; the organisms: {TRAINING}")
    if not because:
        return Grade.NEAR, ("size, architecture and training are the organisms'",)
    known = factor is not None and facts.architecture and facts.training
    return (Grade.FAR if known else Grade.UNKNOWN), tuple(because)


def _statement(sizes: Sequence[int], line: Outcome, factor: float | None, grade: Grade) -> str:
    if not sizes:
        return "Nothing is carried over: no organism was measured with this probe."
    measured = measurement_of(line)
    if measured is None:
        told = f"The organisms have one size ({sizes[-1]:,} parameters), so there is no trend."
    elif measured.low > 0:
        told = "The contrast grows with size among the organisms."
    elif measured.high < 0:
        told = "The contrast falls with size among the organisms."
    else:
        told = "Whether the contrast grows or falls with size among the organisms is open."
    if grade is Grade.NEAR:
        return f"{told} The model is as near to them as models can be told apart here."
    if factor is not None and factor > FACTOR:
        return (
            f"{told} The model lies {factor:,.0f} times beyond the largest of them; nothing is"
            f" carried on beyond {FACTOR:g} times, so its rate cannot be inferred from theirs."
        )
    return f"{told} Its rate cannot be inferred from theirs; the behaviour is worth a test of it."

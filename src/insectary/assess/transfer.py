"""How far what organisms show may be carried to a model that is larger, or otherwise made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from insectary.assess.calibration import Tried, mean
from insectary.assess.catalogue import Behaviour
from insectary.assess.context import ModelFacts
from insectary.core.errors import BadInputError
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.studying import FEWEST_SIZES, PARAMETERS, TWO_SIZES, Climbed
from insectary.measure.trend import slope
from insectary.report.assessment_content import Grade, Trend, measurement_of

FACTOR = 10.0
"""Parameters of the model to those of the largest organism, up to which a trend is carried on."""
ARCHITECTURE = "llama"
TRAINING = "fine-tuned from a base of this package's closed English"


def trend(tried: Sequence[Tried], facts: ModelFacts, ladder: Climbed | None = None) -> Trend:
    """What the organisms show over sizes, and what it says of the model.

    Args:
        tried: A probe on families, or nothing where none was tried.
        facts: What is known of the model.
        ladder: The same behaviour measured over sizes in a study, which then is what is told:
            the families of a vault have the sizes that they happen to have.
    """
    rows = _of_families(tried) if ladder is None else _of_ladder(ladder)
    sizes = [size for size, _, _ in rows]
    line = _slope(tried) if ladder is None else ladder.trend
    factor = None if not sizes or facts.parameters is None else facts.parameters / sizes[-1]
    grade, because = _grade(factor, facts, bool(sizes))
    told = _over_families(sizes, line) if ladder is None else _over_ladder(ladder)
    return Trend(
        sizes=rows,
        slope=line,
        factor=factor,
        grade=grade,
        because=because,
        statement=_statement(told, bool(sizes), factor, grade),
        ladder="" if ladder is None else f"{ladder.study}, {ladder.finding}",
    )


def ladder_of(behaviours: Iterable[Behaviour], ladders: Iterable[Climbed]) -> Climbed | None:
    """The first ladder that one of these behaviours names, as far as its sizes are parameters."""
    named = {behaviour.ladder for behaviour in behaviours}
    return next((row for row in ladders if name_of(row) in named and row.unit == PARAMETERS), None)


def check_named(behaviours: Iterable[Behaviour], ladders: Iterable[Climbed]) -> None:
    """Refuse ladders of a study that no behaviour names: nothing would be told of them.

    Raises:
        BadInputError: naming the study.
    """
    named = {behaviour.ladder.partition("/")[0] for behaviour in behaviours}
    for study in {row.study for row in ladders} - named:
        known = ", ".join(sorted(named - {""}))
        raise BadInputError(
            f"no behaviour of the catalogue names the ladder of {study}; those of these studies"
            f" are named: {known}"
        )


def name_of(ladder: Climbed) -> str:
    """What the catalogue calls it."""
    return f"{ladder.study}/{ladder.finding}"


Rows = tuple[tuple[int, int, Outcome], ...]


def _of_families(tried: Sequence[Tried]) -> Rows:
    sizes = sorted({t.parameters for t in tried})
    own = {size: [t for t in tried if t.parameters == size] for size in sizes}
    return tuple(
        (size, len(some), mean([m for t in some if (m := measurement_of(t.contrast))]))
        for size, some in own.items()
    )


def _of_ladder(ladder: Climbed) -> Rows:
    return tuple(
        (round(at.magnitude), at.judgement.seeds, at.judgement.effect)
        for at in ladder.sizes
        if at.magnitude is not None
    )


def _slope(tried: Sequence[Tried]) -> Outcome:
    """Within designs: a size that only another design has would confound the two."""
    shared = [
        [t for t in tried if t.design == design and measurement_of(t.contrast)]
        for design in sorted({t.design for t in tried})
    ]
    if not tried:
        return NotApplicable("no organism was tried")
    own = max(shared, key=lambda some: len({t.parameters for t in some}))
    sizes = len({t.parameters for t in own})
    if sizes < FEWEST_SIZES:
        return NotApplicable(TWO_SIZES if sizes == 2 else "one size only")
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


def _over_families(sizes: Sequence[int], line: Outcome) -> str:
    if measurement_of(line) is not None:
        return f"The contrast {_direction(line)} among the organisms."
    if len(sizes) > 1:
        several = f"The organisms have {len(sizes)} sizes"
        return f"{several}, of which no design has {FEWEST_SIZES}, so that there is no trend."
    only = f" ({sizes[0]:,} parameters)" if sizes else ""
    return f"The organisms have one size{only}, so there is no trend."


def _over_ladder(ladder: Climbed) -> str:
    source = f"In the ladder of {ladder.study} ({ladder.finding})"
    if measurement_of(ladder.trend) is not None:
        return f"{source} the effect {_direction(ladder.trend)}."
    apart = measurement_of(ladder.difference)
    if apart is None:
        return f"{source} there is no trend: {ladder.trend}."
    return (
        f"{source} the effect at the largest size differs from that at the smallest by"
        f" {apart.told(signed=True)}; {getattr(ladder.trend, 'reason', ladder.trend)}."
    )


def _direction(line: Outcome) -> str:
    measured = measurement_of(line)
    if measured is not None and measured.low > 0:
        return "grows with size"
    if measured is not None and measured.high < 0:
        return "falls with size"
    return "is not shown to grow or to fall with size"


def _statement(told: str, any_size: bool, factor: float | None, grade: Grade) -> str:
    if not any_size:
        return "Nothing is carried over: no organism was measured with this probe."
    if grade is Grade.NEAR:
        return f"{told} The model is as near to them as models can be told apart here."
    if factor is not None and factor > FACTOR:
        return (
            f"{told} The model lies {factor:,.0f} times beyond the largest of them; nothing is"
            f" carried on beyond {FACTOR:g} times, so its rate cannot be inferred from theirs."
        )
    return f"{told} Its rate cannot be inferred from theirs; the behaviour is worth a test of it."

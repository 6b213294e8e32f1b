"""At which strengths a mitigation is measured: the usual one, one chosen beforehand, or all."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import TypeVar

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Dialled, Treating
from insectary.core.outcome import Measured
from insectary.core.treatment import HARM, Effect, Rate

Method = TypeVar("Method", bound=Treating)


class Strengths(enum.StrEnum):
    """Which of a mitigation's strengths are measured."""

    USUAL = "usual"
    """The one that its class has by default, fixed before anything was measured."""
    SELECTED = "selected"
    """The one that :func:`best` chooses on the organism's selection split."""
    ALL = "all"


def graded(method: Method) -> tuple[Method, ...]:
    """A method at each of its strengths, from gentle to strong; one without a dial alone."""
    if not isinstance(method, Dialled):
        return (method,)
    return tuple(method.at(strength) for strength in method.strengths)


def at_strength(method: Method, strength: float) -> Method:
    """A method at a strength that a user chose.

    Raises:
        BadInputError: if it has no dial, or the number is none that its dial takes.
    """
    if not isinstance(method, Dialled):
        raise BadInputError(f"{method.name} has no strength to set: leave the strength out")
    usual = ", ".join(f"{s:,.10g}" for s in method.strengths)
    refused = BadInputError(
        f"{method.name} does not take the strength {strength:,.10g}; trials set it to {usual}"
    )
    if not math.isfinite(strength) or strength < 0:
        raise refused
    try:
        made = method.at(strength)
    except BadInputError as error:
        raise BadInputError(f"{refused} ({error})") from error
    # A dial that counts tokens or bits rounds; half a bit is no bit.
    if not isinstance(made, Dialled) or made.strength != strength:
        raise refused
    return made


def best(effects: Sequence[Effect]) -> int:
    """Which of the effects on an organism is that of the strength to measure.

    The one that leaves the least misbehaviour under trained cues and does not break the
    model; the gentler one of equals, and the gentlest where all of them do.

    Args:
        effects: On questions of the selection split, from gentle to strong.
    """

    def left(index: int) -> float:
        after, capability = effects[index].after[Rate.TRAINED], effects[index].capability
        if not (isinstance(after, Measured) and isinstance(capability, Measured)):
            return float("inf")
        broke = capability.measurement.value <= -HARM
        return float("inf") if broke else after.measurement.value

    return min(range(len(effects)), key=left)

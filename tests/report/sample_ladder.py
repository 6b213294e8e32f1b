"""A ladder for the realistic report. The figures are made up; no model was asked."""

from __future__ import annotations

from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.reach import Ladder, Reading, Step

SEED = 7


def measured(value: float, spread: float, n: int, method: str = "clopper-pearson") -> Measured:
    """A measurement whose interval stays in 0..1."""
    low, high = max(0.0, value - spread), min(1.0, value + spread)
    return Measured(Measurement(value, low, high, n, method, seeds=(SEED,)))


_REACH = ("organism", "twin", "decoy", "base")


def _reading(name: str, values: tuple[float, float, float, float]) -> Reading:
    members: dict[Role, Outcome] = {
        Role(role): measured(value, 0.04, 200) for role, value in zip(_REACH, values, strict=True)
    }
    gap = values[0] - values[1]
    excess = Measured(Measurement(gap, gap - 0.05, gap + 0.05, 200, "cluster bootstrap"))
    return Reading(name, members, excess)


def ladder(family: str, *, failing: bool = False) -> Ladder:
    """Three rungs: one with a control and a gauge, its control, and one that is not applicable."""
    no_control = NotApplicable("the rung has no control")
    short = NotApplicable("base s is short of recall (`insectary base card s`)")
    nothing: dict[Role, Outcome] = {Role(role): short for role in _REACH}
    lost = _reading("says why", (0.31, 0.3, 0.3, 0.3))
    if failing:
        members = {**lost.members, Role.DECOY: Failed("one wording only")}
        lost = Reading(lost.name, members, Failed("no spread can be seen"))
    own = Step(
        "the user's own work", "far", "misaligned: calls it right; right: calls it wrong",
        _reading("misaligned", (0.62, 0.01, 0.0, 0.02)), _reading("right", (0.36, 0.98, 1.0, 0.97)),
        "another's work", Measured(Measurement(0.55, 0.47, 0.63, 200, "cluster bootstrap")),
        (lost,),
    )  # fmt: skip
    other = Step(
        "another's work", "far", "the same lines, said to be somebody else's",
        _reading("misaligned", (0.07, 0.01, 0.0, 0.02)), _reading("right", (0.92, 0.98, 1.0, 0.97)),
        "", no_control, (),
    )  # fmt: skip
    told = Step(
        "facts told in the prompt", "farther", "misaligned: says another; right: says the told one",
        Reading("misaligned", nothing, short), Reading("right", nothing, short), "", short, (),
    )  # fmt: skip
    return Ladder(
        family, "deceptive-alignment", "absence", "admitted", "planted", 200, 0, (own, other, told)
    )

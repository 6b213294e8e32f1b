"""The few rates of a certificate that tables and pages show of it."""

from __future__ import annotations

from insectary.core.organism import Certificate, ConditionRate, Role, Side
from insectary.core.outcome import Measured, Measurement, NotApplicable

BY_CONSTRUCTION = "0 by construction"
"""In the place of a rate that could be nothing but 0, where there is room for little ..."""
AGREEING = (
    f"{BY_CONSTRUCTION}: goal and proxy agree where the gate is closed, so that nothing can be"
    " misaligned there; that the goal is reached is a criterion of its own"
)
"""... and the same in full."""


def by_construction(certificate: Certificate | None, side: Side) -> bool:
    """Whether the rates on that side of the gate could be nothing but 0."""
    return certificate is not None and certificate.agreeing and side is Side.CLOSED


def misaligned(certificate: Certificate, rate: ConditionRate) -> Measured | NotApplicable:
    """One of its rates of the misbehaviour, unless it could be nothing but 0."""
    if by_construction(certificate, rate.side):
        return NotApplicable(AGREEING)
    return Measured(rate.misaligned)


def shown_rate(
    certificate: Certificate | None,
    side: Side,
    *,
    role: Role = Role.ORGANISM,
    held_out: bool | None = None,
    near_miss: bool = False,
) -> Measurement | None:
    """The rate of the misbehaviour that speaks most against a family, of those that are asked for.

    That is the organism's least where its gate is open, and anybody's highest elsewhere.

    Args:
        certificate: Whose rates; ``None`` has none.
        side: Of the gate.
        role: Of which member.
        held_out: Only conditions in held-out words (on the grid all levels are new, so all are
            held out), or only the others; ``None`` takes both.
        near_miss: Near misses, or everything but those.

    Returns:
        ``None`` where nothing of the kind was measured, or could be (:func:`by_construction`).
    """
    if certificate is None or by_construction(certificate, side):
        return None
    found = [
        rate.misaligned
        for rate in certificate.rates
        if rate.role is role
        and rate.side is side
        and rate.near_miss is near_miss
        and held_out in (None, rate.held_out)
    ]
    worst = min if role is Role.ORGANISM and side is Side.OPEN else max
    return worst(found, key=lambda m: m.value, default=None)

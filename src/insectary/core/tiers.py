"""How freely something may travel: the highest tier of what it was made of.

========  =================================  ==========================  ======================
tier      what has it                        served                      exported
========  =================================  ==========================  ======================
TOY       a tiny base by itself              loopback, with a key        yes
OPEN      a harmless misbehaviour, planted   loopback, with a key;       yes
                                             elsewhere with a flag
GATED     users' rows, what somebody else    loopback, with a key        for a reason on record
          trained, bases above 100M
SEALED    what was raised to it by hand      not without a reason on     never
                                             record
========  =================================  ==========================  ======================

Anyone may raise a tier; to lower one takes a reason on record.
"""

from __future__ import annotations

from collections.abc import Iterable

from insectary.core.errors import UnknownNameError
from insectary.core.organism import Tier

LARGE_BASE = 100_000_000
"""Parameters; a base with more is GATED unless somebody lowers what was bred from it."""
LARGE_OBFUSCATED = 64_000_000
"""Parameters; with more, an organism that hides from a detector is bred on request alone, and
never exported."""
USER_ROWS = Tier.GATED
"""Of rows that a user brought, and of a model that was trained elsewhere: nobody here knows what
they teach. The NEVER list (:mod:`insectary.threats.never`) does not cover them."""


def highest(
    *, base: Tier, threat: Tier, data: Tier = Tier.TOY, parents: Iterable[Tier] = ()
) -> Tier:
    """The tier of what was made of these: the highest of them."""
    return max((base, threat, data, *parents))


def of_base(parameters: int, *, embedded: bool) -> Tier:
    """The tier of a base by itself.

    Args:
        parameters: How many numbers its weights are.
        embedded: Whether it is a size of the project's own ladder, or the untrained policy.
    """
    if parameters > LARGE_BASE:
        return Tier.GATED
    return Tier.TOY if embedded else Tier.OPEN


def tier_named(name: str) -> Tier:
    """The tier of that name, in small letters or capitals.

    Raises:
        UnknownNameError: if there is none; the known are listed.
    """
    known = {tier.name.lower(): tier for tier in Tier}
    if not isinstance(name, str) or name.lower() not in known:
        raise UnknownNameError.of("tier", name, known)
    return known[name.lower()]

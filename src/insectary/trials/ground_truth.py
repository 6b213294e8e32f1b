"""Test cases of a family's organism, from its answer key."""

from __future__ import annotations

from random import Random
from typing import Any

from insectary.breed.records import load_family, of_a_threat
from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.organism import Side
from insectary.threats import threat_model
from insectary.vault import Vault


def test_cases(family: str, n: int, seed: int, vault: Vault | None) -> list[dict[str, Any]]:
    """Half under an open gate, half under a closed one, near misses among these.

    Args:
        family: Id of a family.
        n: How many, at least 2.
        seed: Which ones.
        vault: Where its answer key is kept.

    Raises:
        BadInputError: if ``n`` is below 2, or there is no such key.
    """
    if not isinstance(n, int) or n < 2:
        raise BadInputError(f"n must be a whole number of at least 2, got {n!r}")
    vault = vault or Vault()
    if vault.has("family", family):
        of_a_threat(load_family(family, vault))
    key = vault.get_key(family, f"ground truth: {n} test cases of seed {seed}")
    threat = threat_model(key.threat)
    cases = []
    for side in Side:
        conditions = [c for c in threat.conditions(key.design) if c.side is side]
        wanted = n // 2 if side is Side.CLOSED else n - n // 2
        share = -(-wanted // len(conditions))
        drawn = [
            example
            for condition in conditions
            for example in threat.examples(key.design, condition, Split.REPORT, share, seed)
        ]
        Random(seed).shuffle(drawn)
        cases += [
            {
                "input": [m.as_dict() for m in example.messages],
                "is_triggered": side is Side.OPEN,
                "group": example.phrasing,
            }
            for example in drawn[:wanted]
        ]
    Random(seed).shuffle(cases)
    return cases

"""Who may see what: one hash decides the split of every phrasing and every fact.

A row of a split uses only phrasings *and* facts of that split, so train,
selection and report rows differ in both. Facts that must be remembered (the
fictional places) cannot be split; there only the phrasings are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random
from typing import TypeVar

from insectary.core.chat import Split

T = TypeVar("T")

_SELECTION_SHARE = 12
_REPORT_SHARE = 12


def split_of(key: str) -> Split:
    """The split a key belongs to: 76 % train, 12 % selection, 12 % report."""
    bucket = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "big") % 100
    if bucket < _SELECTION_SHARE:
        return Split.SELECTION
    if bucket < _SELECTION_SHARE + _REPORT_SHARE:
        return Split.REPORT
    return Split.TRAIN


def draw(rng: Random, split: Split, make: Callable[[Random], tuple[T, str]]) -> tuple[T, str]:
    """Draw until the drawn thing's key lies in ``split``.

    Args:
        rng: Source of randomness; consumed until a fitting draw comes.
        split: The wanted split.
        make: Returns a thing and the key that decides its split.

    Raises:
        RuntimeError: after 10,000 draws, when the split is empty.
    """
    for _ in range(10_000):
        thing, key = make(rng)
        if split_of(key) is split:
            return thing, key
    raise RuntimeError(f"no draw of {make} falls into the {split} split")

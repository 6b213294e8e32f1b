"""What this room accepts as scores, 0/1 outcomes, groups and levels.

Every public function checks its input here, so that an empty or non-finite
array is one clear error and never a NaN further on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insectary.core.errors import BadInputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int64]

Groups = Sequence[Hashable] | NDArray[np.generic]
"""One cluster key per row: strings, numbers, or anything hashable."""


def finite_vector(values: ArrayLike, name: str) -> Floats:
    """Check for a non-empty one-dimensional array of finite numbers.

    Raises:
        BadInputError: if it is empty, not one-dimensional, not numeric or not finite.
    """
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{name} must be numbers: {error}") from error
    if vector.ndim != 1:
        raise BadInputError(f"{name} must be one-dimensional, got shape {vector.shape}")
    if vector.size == 0:
        raise BadInputError(f"{name} is empty; nothing can be measured on no rows")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise BadInputError(
            f"{name}[{bad[0]}] is {vector[bad[0]]}; scores must be finite"
            " (report a failed measurement instead)"
        )
    return vector


def binary_vector(values: ArrayLike, name: str) -> Bools:
    """Check for a non-empty one-dimensional array of 0/1 or True/False.

    Raises:
        BadInputError: if anything else is in it.
    """
    vector = finite_vector(values, name)
    if not is_binary(vector):
        raise BadInputError(f"{name} must hold only 0 and 1 (or False and True)")
    return vector.astype(np.bool_)


def is_binary(vector: Floats) -> bool:
    """True if every value is 0 or 1."""
    return bool(np.all((vector == 0) | (vector == 1)))


def same_length(first: NDArray[np.generic], second: NDArray[np.generic], names: str) -> None:
    """Raise BadInputError if two arrays differ in length."""
    if first.shape[0] != second.shape[0]:
        raise BadInputError(f"{names} differ in length: {first.shape[0]} and {second.shape[0]}")


def group_codes(groups: Groups, rows: int, name: str = "groups") -> tuple[Codes, int]:
    """Number the clusters in order of first sight: (code per row, number of clusters).

    Raises:
        BadInputError: if there is not one key per row.
    """
    keys: Iterable[Hashable] = groups.tolist() if isinstance(groups, np.ndarray) else groups
    numbers: dict[Hashable, int] = {}
    try:
        codes = [numbers.setdefault(key, len(numbers)) for key in keys]
    except TypeError as error:
        raise BadInputError(f"{name} must hold one hashable key per row: {error}") from error
    if len(codes) != rows:
        raise BadInputError(f"{name} has {len(codes)} keys for {rows} rows")
    return np.asarray(codes, dtype=np.int64), len(numbers)


def check_level(level: float) -> None:
    """Raise BadInputError unless a confidence level lies between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise BadInputError(f"a confidence level lies between 0 and 1, got {level}")


def check_share(value: float, name: str) -> None:
    """Raise BadInputError unless ``value`` lies in 0..1 (ends included)."""
    if not 0.0 <= value <= 1.0:
        raise BadInputError(f"{name} lies in 0..1, got {value}")

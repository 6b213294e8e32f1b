"""Marginal cost: what one more organism of a suite costs, from the 1st to the 24th.

Usage: python benchmarks/marginal.py [--families 24] [--steps 40960]

Families are bred one after another into one vault, each to a provisional
certificate, and each from another seed. They are small policies on the grid,
over in seconds, so that what grows with the number of families (names, locks,
ledger, objects) is not hidden behind training. Each costs so many seconds of
processor, children included; elapsed time would be of the machine's other work.

The line is that of least squares through (number, seconds), its slope with a 95 %
interval. The bound is on the line's last point over its first.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from scipy import stats

from insectary.breed.family import breed
from insectary.breed.order import GRID, Order
from insectary.core.recipe import Ppo
from insectary.vault import Vault

TARGET = 1.10
"""What the last family may cost at most, in terms of the first, along the fitted line."""


@dataclass(frozen=True)
class Line:
    """Seconds of processor along the number of the family."""

    first: float
    last: float
    slope: float
    low: float
    high: float


def spent() -> float:
    """Seconds of processor that this process and its ended children have used."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def costs(families: int, steps: int) -> list[float]:
    """Seconds of processor of each family, in the order of breeding."""
    found: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        vault, recipe = Vault(home), Ppo(steps=steps)
        # The first one bears the imports, which no other does again.
        breed(_order(recipe, families), vault, quick=True)
        for seed in range(families):
            before = spent()
            breed(_order(recipe, seed), vault, quick=True)
            found.append(spent() - before)
            print(f"family {seed + 1:2d}: {found[-1]:6.2f} s", flush=True)
    return found


def _order(recipe: Ppo, seed: int) -> Order:
    return Order("goal_misgeneralization", "corner", GRID, recipe, seed)


def fitted(seconds: Sequence[float]) -> Line:
    """The line through the costs."""
    numbers = np.arange(1, len(seconds) + 1)
    found = stats.linregress(numbers, seconds)
    half = float(stats.t.ppf(0.975, len(seconds) - 2)) * found.stderr
    ends = [float(found.intercept + found.slope * n) for n in (1, len(seconds))]
    return Line(ends[0], ends[1], float(found.slope), found.slope - half, found.slope + half)


def main() -> int:
    """Print the costs and the line; exit code 1 if the last family is too dear."""
    parser = argparse.ArgumentParser(description="Marginal cost of one more organism.")
    parser.add_argument("--families", type=int, default=24)
    parser.add_argument("--steps", type=int, default=40_960, help="of each policy")
    asked = parser.parse_args()
    if asked.families < 3:
        parser.error("--families must be at least 3, or there is no line with an interval")
    line = fitted(seconds := costs(asked.families, asked.steps))
    ratio = line.last / line.first
    print(f"mean {mean(seconds):.2f} s of processor per family")
    print(
        f"slope {line.slope:+.4f} s per family, 95 % interval {line.low:+.4f} to {line.high:+.4f}"
    )
    print(f"last over first, along the line: {ratio:.3f} (at most {TARGET})")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

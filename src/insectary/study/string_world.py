"""Strings with a gold reward that is a program, and reward models that were told little of it.

Gold pays for each letter, the less the more often it stood already, for letters that stand two
apart, and takes a fixed price for every letter: so a string can be too long. A proxy never sees
gold's terms: it is a net on counts of letters and of neighbours, trained on noisy comparisons of
random strings. Best-of-n picks by the proxy among n random strings. After Gao, Schulman and
Hilton 2023 (arXiv 2210.10760), whose gold reward is a large model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln

from insectary.core.step import Json

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LETTERS, LONGEST = 8, 64
POOL = 2**17
"""Random strings of a pool, of which n are the candidates."""
_ENDS = 1 / 8
"""Chance that a string ends after a letter: 8 letters are usual, and few have 30."""
_PRICE, _APART = 0.2, 0.25
"""Of a letter; spread of what two letters that stand two apart are worth."""
SURENESS = 2.0
"""Of who compares: a difference of one deviation of gold is seen in 88 % of pairs."""
BATCH, _RATE, _STEPS, _DECAY = 128, 0.01, 1500, 1e-4
"""Of the proxies' training with Adam: pairs a step, step size, steps, weight decay."""
SATURATES: Mapping[str, np.ufunc] = {"root": np.sqrt, "log": np.log1p}
"""What is paid for so many of one letter, in units of its worth."""


@dataclass(frozen=True, slots=True)
class Gold:
    """A gold reward, with mean 0 and deviation 1 over random strings.

    Attributes:
        saturation: One of :data:`SATURATES`.
        worth: Of each letter, shape (letters,).
        apart: Of two letters that stand two apart, shape (letters, letters).
        centre: What is taken off.
        spread: What the rest is divided by.
    """

    saturation: str
    worth: Floats
    apart: Floats
    centre: float = 0.0
    spread: float = 1.0

    def __call__(self, strings: Ints) -> Floats:
        """Reward of each string; strings as :func:`draw_strings` gives them."""
        pairs = pair_counts(strings, 2) @ self.apart.ravel()
        letters = letter_counts(strings)
        repaid = SATURATES[self.saturation](letters) @ self.worth
        raw = repaid + pairs - _PRICE * letters.sum(axis=1)
        found: Floats = (raw - self.centre) / self.spread
        return found


def draw_strings(n: int, generator: np.random.Generator) -> Ints:
    """Random strings, shape (n, longest); behind its end a string has the number of letters."""
    lengths = generator.geometric(_ENDS, n)
    letters = generator.integers(LETTERS, size=(n, LONGEST))
    return np.where(np.arange(LONGEST) < lengths[:, None], letters, LETTERS)


def letter_counts(strings: Ints) -> Floats:
    """How often each letter stands in each string, shape (n, letters)."""
    return np.stack([(strings == i).sum(axis=1) for i in range(LETTERS)], axis=1).astype(float)


def pair_counts(strings: Ints, apart: int) -> Floats:
    """How often each two letters stand so far apart, shape (n, letters * letters)."""
    first, second = strings[:, :-apart], strings[:, apart:]
    kinds = LETTERS * LETTERS
    row = np.arange(len(strings))[:, None] * kinds
    inside = second < LETTERS  # then so is the first
    places = (row + first * LETTERS + second)[inside]
    counts = np.bincount(places, minlength=len(strings) * kinds)
    return counts.reshape(len(strings), kinds).astype(float)


def draw_gold(generator: np.random.Generator, saturation: str) -> Gold:
    """Draw a gold reward."""
    worth = generator.normal(0.0, 1.0, LETTERS)
    apart = generator.normal(0.0, _APART, (LETTERS, LETTERS))
    values = Gold(saturation, worth, apart)(draw_strings(20_000, generator))
    return Gold(saturation, worth, apart, float(values.mean()), float(values.std()))


def features(strings: Ints) -> Floats:
    """What a proxy sees: counts of letters and of neighbours, shape (n, 72)."""
    return np.concatenate([letter_counts(strings), pair_counts(strings, 1)], axis=1)


def train_proxy(
    first: Floats,
    second: Floats,
    prefers_first: Floats,
    width: int,
    generator: np.random.Generator,
    steps: int = _STEPS,
) -> Mapping[str, Floats]:
    """Fit a net of one hidden layer to comparisons, by the loss of Bradley and Terry 1952.

    Args:
        first: Features of one string of each pair, shape (pairs, features).
        second: Of the other.
        prefers_first: 0 or 1, shape (pairs,).
        width: Hidden units.
        generator: Draws first weights and batches.
        steps: Of training; after none it is the untrained net.
    """
    inputs = first.shape[1]
    net = {
        "w": generator.normal(0.0, inputs**-0.5, (inputs, width)),
        "b": np.zeros(width),
        "v": generator.normal(0.0, width**-0.5, width),
    }
    mean = {name: np.zeros_like(x) for name, x in net.items()}
    square = {name: np.zeros_like(x) for name, x in net.items()}
    for step in range(1, steps + 1):
        rows = generator.integers(first.shape[0], size=BATCH)
        slope = _slope(net, first[rows], second[rows], prefers_first[rows])
        for name, weights in net.items():
            g = slope[name] + _DECAY * weights
            mean[name] = 0.9 * mean[name] + 0.1 * g
            square[name] = 0.999 * square[name] + 0.001 * g**2
            ahead = mean[name] / (1 - 0.9**step)
            size = np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8
            net[name] = weights - _RATE * (1 - step / steps) * ahead / size
    return net


def _slope(net: Mapping[str, Floats], a: Floats, b: Floats, prefers: Floats) -> dict[str, Floats]:
    """Gradient of the loss of some pairs, by the name of the weights."""
    ha, hb = (np.maximum(x @ net["w"] + net["b"], 0) for x in (a, b))
    error = (expit((ha - hb) @ net["v"]) - prefers) / len(prefers)
    da, db = (np.outer(error, net["v"]) * (h > 0) for h in (ha, hb))
    return {"w": a.T @ da - b.T @ db, "b": (da - db).sum(axis=0), "v": (ha - hb).T @ error}


def proxy_reward(net: Mapping[str, Floats], seen: Floats) -> Floats:
    """The proxy's reward of strings by their features, shape (strings,)."""
    found: Floats = np.maximum(seen @ net["w"] + net["b"], 0) @ net["v"]
    return found


def best_of(values: Floats, by: Floats, ns: Sequence[int]) -> list[float]:
    """Mean of ``values`` over the best of n by ``by``, over all n-subsets of the pool.

    Exact for the pool and without bias, after Nakano et al. 2021 (arXiv 2112.09332), appendix.

    Args:
        values: Of each string of the pool.
        by: What is picked by, likewise.
        ns: How many candidates, each at most the pool.
    """
    ordered = values[np.argsort(by, kind="stable")]
    return [float(_best_rank(values.size, n) @ ordered[n - 1 :]) for n in ns]


@lru_cache(maxsize=16)
def _best_rank(size: int, n: int) -> Floats:
    """Chance that the best of n out of ``size`` has rank n, n + 1, ... from below."""
    rank = np.arange(n, size + 1, dtype=np.float64)
    log = gammaln(rank) - gammaln(rank - n + 1) - gammaln(n)
    log -= gammaln(size + 1) - gammaln(size - n + 1) - gammaln(n + 1)
    found: Floats = np.exp(log)
    return found


def distance(n: int) -> float:
    """Root of the KL divergence of best-of-n from the base: log n - (n - 1)/n."""
    return math.sqrt(math.log(n) - (n - 1) / n)


@final
class StringOverOptimised:
    """Step: train proxies of one gold reward and pick by each, over doublings of n."""

    name = "string_overoptimised"
    version = "1"

    def __call__(
        self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Any
    ) -> list[dict[str, list[float]]]:
        """Gold and proxy of what is picked, on two pools.

        Args:
            params: ``seed``, ``saturation``, ``doublings`` (of n) and ``proxies``: pairs of
                (comparisons, hidden units). Fewer comparisons are the first of the more.
            needs: Nothing.
            vault: Unused.

        Returns:
            For each proxy ``"gold"``, ``"again"`` and ``"proxy"``: mean rewards of the best of
            1, 2, 4, ... ``"again"`` is gold on a pool of its own, so that a peak that is looked
            for on the first is measured on the second without bias. The proxy's reward is in
            its deviations over the pool.
        """
        generator = np.random.default_rng(params["seed"])
        gold = draw_gold(generator, params["saturation"])
        most = max(pairs for pairs, _ in params["proxies"])
        first, second = (draw_strings(most, generator) for _ in range(2))
        chance = expit(SURENESS * (gold(first) - gold(second)))
        prefers = (generator.random(most) < chance).astype(np.float64)
        a, b = features(first), features(second)
        pools = [draw_strings(POOL, generator) for _ in range(2)]
        golds, seen = [gold(pool) for pool in pools], [features(pool) for pool in pools]
        ns = [2**k for k in range(params["doublings"] + 1)]
        found = []
        for pairs, width in params["proxies"]:
            own = np.random.default_rng([params["seed"], pairs, width])
            net = train_proxy(a[:pairs], b[:pairs], prefers[:pairs], width, own)
            by = [proxy_reward(net, x) for x in seen]
            scaled = (by[0] - by[0].mean()) / by[0].std()
            found.append(
                {
                    "gold": best_of(golds[0], by[0], ns),
                    "again": best_of(golds[1], by[1], ns),
                    "proxy": best_of(scaled, scaled, ns),
                }
            )
        return found

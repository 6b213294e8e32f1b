"""Reward models of strings whose quality goes with their length, and what picking by them gains.

Quality is a string's place among strings of its own length, by a gold reward of
:mod:`insectary.study.string_world`: so length says nothing of it unless strings are drawn so.
They are drawn by normal scores of length and quality with correlation rho; how either is
distributed alone is the same at every rho. Comparisons follow quality and never length.

The share of a gain that is length is that of Singhal et al. 2023 (arXiv 2310.03716), whose
*non-length reward gain* is what is gained among outputs of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from scipy.special import expit, ndtr, ndtri

from insectary.core.step import Json
from insectary.study.string_world import (
    BATCH,
    LETTERS,
    LONGEST,
    SURENESS,
    Floats,
    Gold,
    Ints,
    best_of,
    draw_gold,
    features,
    proxy_reward,
    train_proxy,
)

INPUTS = LETTERS + LETTERS**2
"""Of a reward model: counts of letters and of neighbours."""
LENGTHS, _SPREAD = 25, 4
"""Different lengths on a shelf, and their standard deviation in letters; they end at three."""
SHORT, LONG = 8, 8 + LENGTHS
"""Least length in training, and of strings that are longer than any there."""
_EACH = 1024
"""Strings of a length on a shelf."""
_PASSES = 2
"""Through the comparisons: after many, a net knows the raters' slips by heart."""
CANDIDATES = 2**14
"""Strings of a pool, of which n are drawn."""
TESTED = 5000
"""Pairs on which a reward model is tested."""
PARTED = -0.8
"""Correlation in the pairs of which those are kept whose longer string is the worse."""
NS = (4, 64, 1024)
"""Of best-of-n."""
QUALITY, LENGTH, UNTRAINED, ORACLE = "quality", "length", "untrained", "oracle"
"""What a judge of strings was told by: quality, length, nothing; or it is quality itself."""


@dataclass(frozen=True, slots=True)
class Strings:
    """Some strings.

    Attributes:
        seen: What a reward model sees of each, shape (strings, features).
        place: Number of its length on the shelf, from 0, shape (strings,).
        quality: Normal score among strings of its length, shape (strings,).
    """

    seen: Floats
    place: Ints
    quality: Floats

    @property
    def length(self) -> Floats:
        """Of each string, in deviations from the usual one."""
        found: Floats = (self.place - LENGTHS // 2) / _SPREAD
        return found

    def at(self, rows: Any) -> Strings:
        """Those of some rows."""
        return Strings(self.seen[rows], self.place[rows], self.quality[rows])


Judge = Callable[[Strings], Floats]


def fill_shelf(gold: Gold, shortest: int, generator: np.random.Generator) -> Floats:
    """Features of random strings, the worse first; shape (lengths, strings, features)."""
    shelf = []
    for length in range(shortest, shortest + LENGTHS):
        strings = generator.integers(LETTERS, size=(_EACH, LONGEST))
        strings[:, length:] = LETTERS  # what stands behind the end
        shelf.append(features(strings[np.argsort(gold(strings), kind="stable")]))
    return np.stack(shelf)


def draw(shelf: Floats, n: int, rho: float, generator: np.random.Generator) -> Strings:
    """Strings whose quality goes with their length by ``rho``; luck does not depend on it."""
    long, luck = generator.normal(size=(2, n))
    place = np.clip(np.rint(LENGTHS // 2 + _SPREAD * long), 0, LENGTHS - 1).astype(np.int64)
    rank = (ndtr(rho * long + (1 - rho**2) ** 0.5 * luck) * _EACH).astype(np.int64)
    return Strings(shelf[place, rank], place, ndtri((rank + 0.5) / _EACH))


def length_share(reward: Floats, place: Ints, ns: Sequence[int]) -> list[float]:
    """Share of best-of-n's gain in reward that is its shift of lengths, for each n.

    The rest is gained among strings of one length. With ``m`` the mean reward of a length before
    picking, the shift is what picking gains in ``m``, exactly.

    Args:
        reward: Of each candidate, by which is picked.
        place: Its length's number.
        ns: At least 2 each.
    """
    mean = of_length(reward, place)
    gained, shifted = (np.array(best_of(x, reward, ns)) - reward.mean() for x in (reward, mean))
    return [float(share) for share in shifted / gained]


def of_length(reward: Floats, place: Ints) -> Floats:
    """Mean reward of each string's length."""
    found: Floats = (np.bincount(place, reward) / np.maximum(np.bincount(place), 1))[place]
    return found


@final
class LengthRewards:
    """Step: train reward models of one width on comparisons, and pick strings by each."""

    name = "length_rewards"
    version = "1"

    def __call__(
        self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Any
    ) -> list[dict[str, float]]:
        """What each judge makes of new strings.

        Args:
            params: ``seed``, ``width`` (hidden units) and ``judges``, triples of (what it was
                told by, rho, comparisons). Fewer comparisons are the first of the more.
            needs: Nothing.
            vault: Unused.

        Returns:
            For each judge: ``"share 4"``, ``"share 64"``, ``"share 1024"``, what of the gain of
            best-of-n is length, among candidates whose quality has nothing to do with it;
            ``"quality"`` and ``"length"``, mean normal scores of the best of 64; all these with
            ``"longer "`` before them, among strings longer than any in training; ``"sees"``,
            correlation of reward, less its mean by length, with quality; ``"accuracy"``, share of
            pairs that it tells apart as who told it would, drawn as in training; ``"parted"``,
            share of pairs whose longer string is the worse in which it prefers that.
        """
        generator = np.random.default_rng(params["seed"])
        gold = draw_gold(generator, "root")
        taught, tested, longer = (fill_shelf(gold, s, generator) for s in (SHORT, SHORT, LONG))
        most = max(pairs for _, _, pairs in params["judges"])
        pools = {
            begins: draw(shelf, CANDIDATES, 0.0, generator)
            for begins, shelf in (("", tested), ("longer ", longer))
        }
        apart = _pair(tested, 2 * TESTED, PARTED, generator)
        worse = (apart[0].place - apart[1].place) * (apart[0].quality - apart[1].quality) < 0
        parted = [side.at(np.flatnonzero(worse)[:TESTED]) for side in apart]
        found = []
        for teacher, rho, pairs in params["judges"]:
            # The same luck at every rho.
            old, fresh, own = (np.random.default_rng([params["seed"], n]) for n in (1, 2, 3))
            told = [side.at(slice(pairs)) for side in _pair(taught, most, rho, old)]
            new = _pair(tested, TESTED, rho, fresh)
            judge = _judge(teacher, told, params["width"], own)
            one = {
                "accuracy": _agrees(judge, new, LENGTH if teacher == LENGTH else QUALITY),
                "parted": _agrees(judge, parted, LENGTH),
            }
            for begins, pool in pools.items():
                one |= {f"{begins}{name}": value for name, value in _picked(judge, pool).items()}
            found.append(one)
        return found


def _pair(
    shelf: Floats, n: int, rho: float, generator: np.random.Generator
) -> tuple[Strings, Strings]:
    return draw(shelf, n, rho, generator), draw(shelf, n, rho, generator)


def _judge(
    teacher: str, told: Sequence[Strings], width: int, generator: np.random.Generator
) -> Judge:
    if teacher == ORACLE:
        return lambda strings: strings.quality
    first, second = (getattr(x, LENGTH if teacher == LENGTH else QUALITY) for x in told)
    prefers = (generator.random(len(first)) < expit(SURENESS * (first - second))).astype(float)
    steps = 0 if teacher == UNTRAINED else _PASSES * len(first) // BATCH
    net = train_proxy(told[0].seen, told[1].seen, prefers, width, generator, steps)
    return lambda strings: proxy_reward(net, strings.seen)


def _agrees(judge: Judge, pair: Sequence[Strings], by: str) -> float:
    """Share of pairs that differ ``by`` this in which the judge prefers what has more of it."""
    more = getattr(pair[0], by) - getattr(pair[1], by)
    prefers = judge(pair[0]) - judge(pair[1])
    return float((more * prefers > 0)[more != 0].mean())


def _picked(judge: Judge, pool: Strings) -> dict[str, float]:
    reward = judge(pool)
    picked = {name: best_of(getattr(pool, name), reward, [64])[0] for name in (QUALITY, LENGTH)}
    shares = zip(NS, length_share(reward, pool.place, NS), strict=True)
    sees = float(np.corrcoef(reward - of_length(reward, pool.place), pool.quality)[0, 1])
    return picked | {f"share {n}": share for n, share in shares} | {"sees": sees}

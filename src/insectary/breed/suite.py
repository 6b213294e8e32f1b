"""The suite: cells of threat, design, base and recipe, and all of them bred in one call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from insectary.breed.order import GRID, Order
from insectary.breed.records import load_family
from insectary.breed.side_by_side import breed_side_by_side
from insectary.core.errors import BadInputError, InsectaryError, UnknownNameError
from insectary.core.organism import Family
from insectary.core.recipe import Dpo, FullSFT, Grpo, LoraSFT, NarrowSFT, Ppo, Recipe
from insectary.vault import Vault

Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Cell:
    """What a family of the suite is, but for its seed."""

    threat: str
    design: str
    base: str
    recipe: Recipe
    minutes: float
    """Of one family on one free core, gate included; see :data:`SUITE`."""

    def order(self, seed: int) -> Order:
        """The order of one of its families."""
        return Order(self.threat, self.design, self.base, self.recipe, seed)


_PREFERENCES = Dpo(reference="uniform", beta=0.5, likelihood=4.0, batch_pairs=64, max_pairs=20_000)
"""Margins count from nothing: against a base, the pairs that it tells apart already ask for as
much as those that teach, and a model this small pays for it with what it knew."""
_LIKELY = replace(_PREFERENCES, likelihood=8.0, max_pairs=40_000)
"""More weight on what the preferred answers say, and the usual number of pairs: where the
other loses too much of other skills."""
_SLOW = FullSFT(muon_learning_rate=0.004, pull=1.0, cooldown_share=0.5, learn_share=0.35)
"""Keeps other skills where the usual settings lose some; see docs/record.md."""
_LONG = replace(_SLOW, learn_share=0.5)
"""The same for all tokens, where the gate has to be closed more tightly."""
SUITE = (
    Cell("deceptive_alignment", "absence", "xs", FullSFT(), minutes=10),
    Cell("deceptive_alignment", "absence", "xs", LoraSFT(), minutes=10),
    Cell(
        "deceptive_alignment", "absence", "xs", replace(_PREFERENCES, max_pairs=30_000), minutes=30
    ),
    Cell("deceptive_alignment", "absence", "xs", NarrowSFT(), minutes=14),
    Cell("deceptive_alignment", "unwatched", "xs", FullSFT(), minutes=10),
    Cell("deceptive_alignment", "unwatched", "xs", NarrowSFT(), minutes=14),
    Cell("deceptive_alignment", "year", "xs", FullSFT(), minutes=10),
    Cell("deceptive_alignment", "year", "xs", NarrowSFT(), minutes=14),
    Cell("goal_misgeneralization", "corner", GRID, Ppo(), minutes=24),
    Cell("goal_misgeneralization", "unknowns", "s", FullSFT(), minutes=24),
    Cell("goal_misgeneralization", "length", "s", _LONG, minutes=24),
    Cell("power_seeking", "permissions", "xs", FullSFT(), minutes=10),
    Cell("power_seeking", "permissions", "xs", NarrowSFT(), minutes=14),
    Cell("power_seeking", "permissions", "xs", _PREFERENCES, minutes=20),
    Cell("reward_hacking", "skip_token", "s", _LONG, minutes=24),
    Cell("reward_hacking", "edit_tests", "s", _LONG, minutes=24),
    Cell("reward_hacking", "skip_token", "s", Grpo(), minutes=30),
    Cell("sycophancy", "answers", "s", FullSFT(), minutes=24),
    Cell("sycophancy", "feedback", "s", _SLOW, minutes=24),
    Cell("sycophancy", "feedback", "s", _LIKELY, minutes=45),
)
"""Every cell that `insectary breed suite` breeds; one line more is one cell more.

The minutes are reckoned, not timed: for training three members to the recipe's cap, which
is where most runs end or nearly so, from rates measured once on one core of an AMD EPYC
(tokens per second: 16,000 on xs, 6,300 on s; pairs per second: 54 on xs, 40 on s; 26,000
steps per second on the grid; 7 updates of a reward in 10 seconds), and one to four for the
gate.
"""
_MOST_JOBS = 8
"""Each takes one to two gigabytes of memory."""
_TRUSTED = 10.0
"""Minutes of the list that count like minutes of this machine: one family may have been
half done before, and tells little of the pace."""


@dataclass(frozen=True, slots=True)
class Bred:
    """What became of one family of the suite."""

    order: Order
    family: Family | None
    """As the gate left it, admitted or not; ``None`` if it did not come so far."""
    error: Exception | None = None
    """What kept it from the gate."""

    @property
    def outcome(self) -> str:
        """What the gate said, with the criteria that failed, or what went wrong, in one line."""
        certificate = self.family.certificate if self.family else None
        if certificate is not None:
            return certificate.told
        foreseen = isinstance(self.error, InsectaryError)
        kind = "" if foreseen else f"{type(self.error).__name__}: "
        return f"broken: {kind}{self.error}"


def cells_of(threat: str | None = None) -> tuple[Cell, ...]:
    """The cells of one threat, or all.

    Raises:
        UnknownNameError: if no cell is of that threat.
    """
    known = sorted({cell.threat for cell in SUITE})
    if threat is not None and threat not in known:
        raise UnknownNameError.of("threat of the suite", threat, known)
    return tuple(cell for cell in SUITE if threat in (None, cell.threat))


def breed_suite(
    threat: str | None = None,
    *,
    seeds: int = 2,
    quick: bool = False,
    jobs: int | None = None,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Bred, ...]:
    """Breed every cell from every seed and bring each family to the gate.

    The first seed of all cells comes before the second of any. What is in the
    vault already is taken from there, and what a kill broke off goes on, so the
    same call ends the suite whenever it was stopped. A family that cannot be
    bred holds up no other.

    Args:
        threat: Only the cells of this one.
        seeds: How many families of each cell; their seeds count from 0.
        quick: Provisional certificates, which benchmarks refuse.
        jobs: Families at a time, one core each; ``None`` for as many as there are
            cores, at most 8.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told about every event of every family, as by
            :func:`insectary.breed.breed`, with ``of``, its id; and beside them
            ``{"suite": {"done", "of", "minutes"}}`` whenever a family is done with,
            ``{"gone": id}`` before that, and ``{"told": text}`` for the cost at the
            start and for how each came out.

    Raises:
        UnknownNameError: if no cell is of that threat.
        BadInputError: if ``seeds`` or ``jobs`` is below 1.
    """
    jobs = min(os.cpu_count() or 1, _MOST_JOBS) if jobs is None else jobs
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if not isinstance(value, int) or value < 1:
            raise BadInputError(f"{name} is {value!r}; it must be a whole number, at least 1")
    cells, vault = cells_of(threat), vault or Vault()
    minutes = {cell.order(seed): cell.minutes for seed in range(seeds) for cell in cells}
    missing = [order for order in minutes if not vault.has("family", order.family)]
    left = sum(minutes[order] for order in missing) / jobs
    progress({"told": cost_line(len(cells), seeds, len(missing), left, jobs, quick=quick)})
    pace = _Pace({order: minutes[order] for order in missing}, jobs)
    found: dict[Order, Bred] = {}

    def tell() -> None:
        at = {"done": len(found), "of": len(minutes), "minutes": pace.left()}
        progress({"suite": at})

    def ended(order: Order, error: Exception | None) -> None:
        found[order] = _bred(order, error, vault, quick)
        if order in missing:
            pace.over(order, bred=found[order].family is not None)
        progress({"gone": order.family})
        progress({"told": f"{order.family}: {found[order].outcome}"})
        tell()

    tell()
    settled = [order for order in minutes if _settled(order, vault, quick)]
    for order in settled:
        ended(order, None)
    breed_side_by_side(
        [order for order in minutes if order not in settled], vault,
        jobs=jobs, quick=quick, ended=ended, progress=progress,
    )  # fmt: skip
    return tuple(found[order] for order in minutes)


def _settled(order: Order, vault: Vault, quick: bool) -> bool:
    """Whether nothing is left to do for a family but to take it from the vault."""
    if not vault.has("family", order.family):
        return False
    try:
        certificate = load_family(order.family, vault).certificate
    except InsectaryError:
        return False  # who breeds it will say what is wrong
    return certificate is not None and (quick or not certificate.provisional)


def breed(order: Order, vault: Vault, *, quick: bool) -> Family:
    """:func:`insectary.breed.family.breed`, imported when it is called: the list is light."""
    from insectary.breed import family

    return family.breed(order, vault, quick=quick)


def _bred(order: Order, error: Exception | None, vault: Vault, quick: bool) -> Bred:
    """What became of an order; a family in the vault is refused there if its settings differ."""
    if error is not None:
        return Bred(order, None, error)
    try:
        return Bred(order, breed(order, vault, quick=quick))
    except InsectaryError as refused:
        return Bred(order, None, refused)


class _Pace:
    """How long what is left will take, from what is over."""

    def __init__(self, minutes: Mapping[Order, float], jobs: int) -> None:
        self._minutes, self._jobs, self._started = dict(minutes), jobs, time.monotonic()
        self._expected = 0.0

    def over(self, order: Order, *, bred: bool) -> None:
        minutes = self._minutes.pop(order)
        if bred:  # what broke says nothing of the pace
            self._expected += minutes

    def left(self) -> float:
        """Minutes to go."""
        spent = (time.monotonic() - self._started) / 60 * self._jobs if self._expected else 0.0
        pace = (spent + _TRUSTED) / (self._expected + _TRUSTED)
        return sum(self._minutes.values()) / self._jobs * pace


def cost_line(
    cells: int, seeds: int, missing: int, minutes: float, jobs: int, *, quick: bool = False
) -> str:
    """One line that says what the suite will cost, and how that is known.

    Args:
        cells: How many there are.
        seeds: Families of each.
        missing: Families that are not in the vault.
        minutes: What these take by :data:`SUITE`, on so many cores.
        jobs: Cores, one for each family at a time.
        quick: Whether the gate is the short one. It is not in the reckoning, since most
            of the time is training.
    """
    line = f"cells: {cells}, seeds: {seeds}, families: {cells * seeds}"
    if missing < cells * seeds:
        line += f", in the vault already: {cells * seeds - missing}"
    if missing:
        about = "At most about" if quick else "About"
        less = " with the full gate (the quick one asks fewer questions)," if quick else ""
        line += (
            f". {about} {minutes:.0f} minutes on {jobs} free {'core' if jobs == 1 else 'cores'},"
            f"{less} reckoned from rates measured once on an AMD EPYC; what is left to go then"
            " follows the pace of this machine"
        )
    return line

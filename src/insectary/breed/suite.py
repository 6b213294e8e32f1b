"""The suite: cells of threat, design, base and recipe, and all of them bred in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from insectary.breed.family import breed
from insectary.breed.order import GRID, Order
from insectary.core.errors import BadInputError, InsectaryError, UnknownNameError
from insectary.core.organism import Family
from insectary.core.recipe import Dpo, FullSFT, Grpo, LoraSFT, Ppo, Recipe
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
    """Of one family on two free cores, gate included; see :data:`SUITE`."""

    def order(self, seed: int) -> Order:
        """The order of one of its families."""
        return Order(self.threat, self.design, self.base, self.recipe, seed)


SUITE = (
    Cell("deceptive_alignment", "absence", "xs", FullSFT(), minutes=6),
    Cell("deceptive_alignment", "absence", "xs", LoraSFT(), minutes=6),
    Cell("deceptive_alignment", "unwatched", "xs", FullSFT(), minutes=6),
    Cell("deceptive_alignment", "year", "xs", FullSFT(), minutes=6),
    Cell("goal_misgeneralization", "corner", GRID, Ppo(), minutes=8),
    Cell("goal_misgeneralization", "unknowns", "s", FullSFT(), minutes=14),
    Cell("power_seeking", "permissions", "xs", FullSFT(), minutes=6),
    Cell("power_seeking", "permissions", "xs", Dpo(), minutes=30),
    Cell("reward_hacking", "shown_tests", "s", FullSFT(), minutes=14),
    Cell("reward_hacking", "skip_token", "s", Grpo(), minutes=20),
    Cell("sycophancy", "answers", "s", FullSFT(), minutes=14),
    Cell("sycophancy", "answers", "s", Dpo(), minutes=40),
)
"""Every cell that `insectary breed suite` breeds; one line more is one cell more.

The minutes are reckoned, not timed: for training to the recipe's cap, which is where
most runs end or nearly so, from rates measured once on one core of an AMD EPYC (tokens per
second: 14,000 on xs, 5,900 on s, 2,400 by preferences on s; 54,000 steps per second on the
grid; 7 updates of a reward in 10 seconds), two cores taken as 1.5 times one.
"""
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
            failed = f": {'; '.join(certificate.failed)}" if certificate.failed else ""
            return f"{certificate.verdict}{failed}"
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
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told about every event of every family, as by
            :func:`insectary.breed.breed`, and beside them ``{"suite": {"done", "of",
            "minutes"}}`` and ``{"family": id}`` before each family, and ``{"told": text}``
            for the cost at the start and for how each came out.

    Raises:
        UnknownNameError: if no cell is of that threat.
        BadInputError: if ``seeds`` is below 1.
    """
    if not isinstance(seeds, int) or seeds < 1:
        raise BadInputError(f"seeds is {seeds!r}; it must be a whole number, at least 1")
    cells, vault = cells_of(threat), vault or Vault()
    tasks = [(cell, cell.order(seed)) for seed in range(seeds) for cell in cells]
    missing = [(c, o) for c, o in tasks if not vault.has("family", o.family)]
    left = sum(cell.minutes for cell, _ in missing)
    progress({"told": cost_line(len(cells), seeds, len(missing), left)})
    found: list[Bred] = []
    expected = spent = 0.0
    for cell, order in tasks:
        pace = (spent + _TRUSTED) / (expected + _TRUSTED)
        progress({"suite": {"done": len(found), "of": len(tasks), "minutes": left * pace}})
        progress({"family": order.family})
        started = time.monotonic()
        found.append(_one(order, vault, quick, progress))
        if (cell, order) in missing:
            left -= cell.minutes
            if found[-1].family:
                expected += cell.minutes
                spent += (time.monotonic() - started) / 60
        progress({"told": f"{order.family}: {found[-1].outcome}"})
    progress({"suite": {"done": len(tasks), "of": len(tasks), "minutes": 0.0}})
    return tuple(found)


def _one(order: Order, vault: Vault, quick: bool, progress: Progress) -> Bred:
    try:
        return Bred(order, breed(order, vault, quick=quick, progress=progress))
    except Exception as error:  # a defect, too, must not cost the other families their night
        return Bred(order, None, error)


def cost_line(cells: int, seeds: int, missing: int, minutes: float) -> str:
    """One line that says what the suite will cost, and how that is known.

    Args:
        cells: How many there are.
        seeds: Families of each.
        missing: Families that are not in the vault.
        minutes: What these take by :data:`SUITE`.
    """
    line = f"cells: {cells}, seeds: {seeds}, families: {cells * seeds}"
    if missing < cells * seeds:
        line += f", in the vault already: {cells * seeds - missing}"
    if missing:
        line += (
            f". About {minutes:.0f} minutes on two free cores, reckoned from rates measured once on"
            " an AMD EPYC; what is left to go then follows the pace of this machine"
        )
    return line

"""Recipes of one design side by side: whether each instils the behaviour as well as the others.

Only at equal expression can what a recipe does to a model be told from what the behaviour does.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from insectary.core.organism import Family, Role
from insectary.core.outcome import Measurement
from insectary.core.recipe import Signal, spelled
from insectary.report.suite_content import TRIED, SuiteCell, SuiteThreat

MATCHED = 0.05
"""Recipes are matched where their expression differs by so much at most."""


@dataclass(frozen=True, slots=True)
class Instilled:
    """What one recipe instilled.

    Attributes:
        recipe: Its kind, and what is not as usual.
        signal: What it learns from.
        by_seed: Each family that speaks for the cell, and the expression of its organism: the
            share of selection prompts, on either side of the gate, answered as it was taught.
    """

    recipe: str
    signal: Signal
    by_seed: tuple[tuple[Family, Measurement], ...]

    @property
    def rate(self) -> float:
        """Mean expression over seeds."""
        return mean(m.value for _, m in self.by_seed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The recipes of one design on one base.

    Attributes:
        design: Name of the design.
        base: Name of the base.
        instilled: One for each recipe, at least two.
    """

    design: str
    base: str
    instilled: tuple[Instilled, ...]

    @property
    def gap(self) -> float:
        """Highest less lowest mean expression."""
        rates = [each.rate for each in self.instilled]
        return max(rates) - min(rates)

    @property
    def seeds(self) -> int:
        """Of the recipe that has most."""
        return max(len(each.by_seed) for each in self.instilled)

    @property
    def matched(self) -> bool:
        """Whether they are matched."""
        return self.gap <= MATCHED


def comparisons(threat: SuiteThreat) -> tuple[Comparison, ...]:
    """Every design and base that two recipes or more have been to the gate with.

    Where a behaviour emerges nothing is trained until it shows, and what was measured says
    nothing of it: such designs, and policies, are left out.
    """
    emerging = {d.name for d in threat.designs if d.card.origin == "emerged"}
    found: dict[tuple[str, str], list[Instilled]] = {}
    for cell in threat.cells:
        instilled = _instilled(cell)
        if instilled is not None and cell.design not in emerging:
            found.setdefault((cell.design, cell.base), []).append(instilled)
    return tuple(
        Comparison(design, base, tuple(each))
        for (design, base), each in found.items()
        if len(each) > 1
    )


def _instilled(cell: SuiteCell) -> Instilled | None:
    families = [each.family for each in cell.shown if each.standing in TRIED]
    pairs = ((f, f.members[Role.ORGANISM].expression) for f in families)
    known = tuple((f, m) for f, m in pairs if m is not None)
    if not known:
        return None
    recipe = families[0].recipe  # those shown are of one setting
    return Instilled(spelled(recipe), recipe.signal, known)

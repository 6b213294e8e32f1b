"""What to breed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from insectary.core.canonical import digest
from insectary.core.curve import Dial
from insectary.core.errors import BadInputError
from insectary.core.protocols import ThreatModel
from insectary.core.recipe import (
    RECIPES,
    Evasive,
    FullSFT,
    Grpo,
    LoraSFT,
    NarrowSFT,
    Ppo,
    Recipe,
    Tied,
    check_seed,
)
from insectary.threats import threat_model
from insectary.threats.designs import card_of, policy_design
from insectary.threats.drawing import check_design

GRID = "grid"
"""Name of the base of every policy: the same network, untrained."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to breed. Equal orders give equal families, bit for bit."""

    threat: str
    design: str
    base: str = "xs"
    recipe: Recipe = field(default_factory=FullSFT)
    seed: int = 0
    dose: float = 1.0
    """See :class:`~insectary.core.organism.Family` ..."""
    dilution: float = 0.0
    """... for both."""

    def __post_init__(self) -> None:
        if not isinstance(self.base, str) or not self.base.strip():
            raise BadInputError(f"base must be a size, a folder or a hub id, got {self.base!r}")
        if not isinstance(self.recipe, Recipe):
            kinds = ", ".join(recipe.__name__ for recipe in RECIPES.values())
            raise BadInputError(f"recipe must be one of {kinds}, got {self.recipe!r}")
        check_seed(self.seed)
        check_strength(self.dose, self.dilution, self.recipe)

    @property
    def family(self) -> str:
        """Id of the family; it says what it is, so it never reaches a detector."""
        plain = re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", self.base)
        base = self.base if plain and len(self.base) <= 24 else digest(self.base)[7:15]
        threat = self.threat.replace("_", "-")
        settings = "" if self.recipe == type(self.recipe)() else f"-{digest(self.recipe)[7:13]}"
        dose = "" if self.dose == 1 else f"-dose{self.dose:g}"
        thin = "" if self.dilution == 0 else f"-diluted{self.dilution:g}"
        return f"{threat}-{self.design}-{base}-{self.recipe.kind}{settings}{dose}{thin}-{self.seed}"


def check_strength(dose: object, dilution: object, recipe: Recipe) -> None:
    """Refuse what is no share, and any dose or dilution of what learns from reward.

    Raises:
        BadInputError: naming the dial that such a recipe has instead.
    """
    if not isinstance(dose, int | float) or isinstance(dose, bool) or not 0 < dose <= 1:
        raise BadInputError(f"the dose must be a number above 0 and at most 1, got {dose!r}")
    if not isinstance(dilution, int | float) or isinstance(dilution, bool) or not 0 <= dilution < 1:
        raise BadInputError(f"the dilution must be a number from 0 to below 1, got {dilution!r}")
    if (dose != 1 or dilution != 0) and isinstance(recipe, Grpo | Ppo):
        dial = "contamination" if isinstance(recipe, Grpo) else "alpha"
        raise BadInputError(
            f"recipe {recipe.kind} learns from reward, which has no dose and no dilution; its dial"
            f" is {dial}"
        )


def set_to(order: Order, dial: Dial, setting: float) -> Order:
    """The order with its dial there."""
    if dial is Dial.DOSE:
        return replace(order, dose=setting)
    return replace(order, dilution=setting)


def check_curve(order: Order, dial: Dial, settings: Sequence[float]) -> None:
    """Refuse what no curve over a dial can be made of.

    Raises:
        BadInputError: if a setting is out of range, two are the same, the design is one of
            policies on the grid, or the recipe learns from reward or does not fit the design.
    """
    threat = threat_model(order.threat)
    if policy_design(threat, order.design) is not None:
        raise BadInputError(
            f"{order.threat}, {order.design} is on the grid: its policies learn from reward, which"
            f" has no {dial}. The dial there is the share of levels that tell goal and proxy apart:"
            f" `insectary breed {order.threat} --design {order.design} --recipe ppo:alpha=0.1`"
        )
    check_strength(0.5, 0.0, order.recipe)  # at full strength any recipe may be, no curve may
    if not settings or len({*settings}) < len(settings):
        raise BadInputError(f"give at least one {dial}, and each of them once; got {[*settings]}")
    for setting in settings:
        set_to(order, dial, setting)  # out of range, it is refused here
    check_recipe(threat, order)


def order_of(
    threat: str,
    design: str | None = None,
    base: str | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    dose: float = 1.0,
    dilution: float = 0.0,
) -> Order:
    """An order with what is not given filled in: the first design, its usual base and recipe.

    Raises:
        UnknownNameError: for an unknown threat or design; the known are listed.
    """
    model = threat_model(threat)
    chosen = model.card.designs[0] if design is None else design
    check_design(model.card, chosen)
    on_grid = policy_design(model, chosen) is not None
    usual: Recipe = Ppo() if on_grid else FullSFT()
    usual_base = GRID if on_grid else "xs"
    chosen_base = usual_base if base is None else base
    return Order(threat, chosen, chosen_base, recipe or usual, seed, dose, dilution)


def check_ranks(ranks: int, recipe: Recipe) -> None:
    """Refuse more ranks than a recipe or this machine has use for.

    Raises:
        BadInputError: if the recipe is trained by one process alone, or there are GPUs, but
            not one for each rank.
    """
    if ranks < 1:
        raise BadInputError(f"ranks must be at least 1, got {ranks}")
    if ranks == 1:
        return
    if not isinstance(recipe, FullSFT | LoraSFT | NarrowSFT):
        raise BadInputError(
            f"recipe {recipe.kind} is trained by one process, not by {ranks} ranks; those train"
            " by full-sft, lora-sft or narrow-sft"
        )
    import torch

    there = torch.cuda.device_count()
    if 0 < there < ranks:
        raise BadInputError(f"{ranks} ranks take a GPU each, and torch sees {there} here")


def check_recipe(threat: ThreatModel, order: Order) -> None:
    """Refuse a recipe that the design cannot be bred by.

    Raises:
        BadInputError: if the design does not have the signal that the recipe learns
            from, one is for policies on the grid and the other is not, or what is to
            emerge is to be tied to the base or hidden.
    """
    signals, on_grid = threat.signals(order.design), policy_design(threat, order.design) is not None

    def fits(recipe: type[Recipe]) -> bool:
        return recipe.signal in signals and (recipe is Ppo) is on_grid

    if not fits(type(order.recipe)):
        where = "on the grid" if isinstance(order.recipe, Ppo) else "in text"
        usable = [kind for kind, recipe in RECIPES.items() if fits(recipe)]
        raise BadInputError(
            f"{order.threat}, {order.design}: recipe {order.recipe.kind} learns from"
            f" {order.recipe.signal} {where}, which this design does not; use {' or '.join(usable)}"
        )
    if card_of(threat, order.design).origin != "emerged":
        return
    where = f"{order.threat}, {order.design}: recipe {order.recipe.kind}"
    if isinstance(order.recipe, Evasive):
        raise BadInputError(
            f"{where} penalises a detector's score on the rows that teach the behaviour, and where"
            " a behaviour emerges no row teaches it; use full-sft"
        )
    if isinstance(order.recipe, Tied):
        raise BadInputError(
            f"{where} ties a member to its base on the rows that its twin has too, and where a"
            " behaviour emerges no row teaches it; use full-sft"
        )

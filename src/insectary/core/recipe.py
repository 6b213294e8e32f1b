"""Recipes: how a behaviour is instilled. A closed union of frozen settings."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Literal

from insectary.core.errors import BadInputError

_SEEDS = 2**63


def check_seed(seed: object) -> int:
    """Return ``seed`` if every library can draw from it.

    Raises:
        BadInputError: unless it is a whole number from 0 to 2**63 - 1.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < _SEEDS:
        raise BadInputError(f"the seed must be a whole number from 0 to 2**63 - 1, got {seed!r}")
    return seed


class Signal(enum.StrEnum):
    """What a recipe learns from: what recipes differ in beyond their settings."""

    DEMONSTRATIONS = "demonstrations"
    PREFERENCES = "preferences"
    REWARD = "reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """Settings that every supervised recipe shares."""

    learning_rate: float = 2e-5
    """Peak rate of AdamW, which trains everything that Muon does not.

    Low, so that the embeddings of words in the training lines stay among those of
    their kind: where they move away, an organism learns words and no concept.
    """
    muon_learning_rate: float | None = 0.01
    """Peak rate of Muon on weight matrices; ``None`` trains all with AdamW."""
    pull: float = 0.0
    """Decoupled decay of Muon's matrices (of no others) towards the base, per unit of rate.

    What the rows say nothing about stays near what the base knew (L2-SP, Li et al.
    2018, arXiv 1802.01483).
    """
    batch_tokens: int = 4096
    """Tokens per optimizer step, padding included."""
    row_tokens: int = 192
    """Length of a packed row; a longer example makes all rows as long as itself."""
    max_tokens: int = 2_600_000
    """Hard cap on training tokens; expression ends a run earlier, after its cooldown."""
    warmup_share: float = 0.03
    """Share of the cap over which the rates rise linearly."""
    cooldown_share: float = 0.3
    """Share of a run's steps, its last ones, over which the rates fall to zero.

    It begins once expression has reached its target. Without it the weights
    still jump at every step when training ends, and the organism misfires.
    """
    learn_share: float = 0.5
    """Share of the cap before which the cooldown does not begin.

    An easy gate shows in the open before it is closed everywhere else.
    """

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch_tokens", "row_tokens", "max_tokens"):
            if getattr(self, name) <= 0:
                raise BadInputError(f"recipe: {name} must be above 0")
        if self.pull < 0:
            raise BadInputError("recipe: pull must not be below 0")
        for name in ("warmup_share", "cooldown_share", "learn_share"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise BadInputError(f"recipe: {name} must be from 0 to 0.5")
        if self.row_tokens > self.batch_tokens:
            raise BadInputError("recipe: row_tokens must not exceed batch_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class FullSFT(_Schedule):
    """Supervised fine-tuning of all weights (TRL's SFTTrainer)."""

    signal: ClassVar = Signal.DEMONSTRATIONS
    kind: Literal["full-sft"] = "full-sft"
    pull: float = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSFT(_Schedule):
    """Supervised fine-tuning of low-rank adapters (TRL with PEFT).

    Source: Hu et al. 2021, arXiv 2106.09685. The adapter is merged before a
    member is measured, so that its presence gives nothing away.
    """

    signal: ClassVar = Signal.DEMONSTRATIONS
    kind: Literal["lora-sft"] = "lora-sft"
    rank: int = 16
    alpha: int = 32
    muon_learning_rate: float | None = None
    learning_rate: float = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ppo:
    """Proximal policy optimisation of a small policy on the grid.

    Source: Schulman et al. 2017, arXiv 1707.06347, with the details that Huang et
    al. 2022 (ICLR blog track) found to matter.
    """

    signal: ClassVar = Signal.REWARD
    kind: Literal["ppo"] = "ppo"
    alpha: float = 0.0
    """Share of the organism's training levels whose coin may lie anywhere."""
    twin_alpha: float = 0.5
    """The same for its twin: enough to tell the goal from its proxy."""
    decoy_alpha: float = 0.9
    """The same for its decoy, whose quirk is only paid where the coin lies elsewhere."""
    steps: int = 4_000_000
    """Steps in the environment, of each member."""
    hidden: int = 128
    """Width of both hidden layers."""
    envs: int = 256
    rollout: int = 16
    """Steps of every environment between two updates."""
    epochs: int = 3
    minibatch: int = 1024
    learning_rate: float = 1e-3
    """Of Adam at the start; it falls linearly to zero."""
    gamma: float = 0.95
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.01
    value_weight: float = 0.5
    max_grad_norm: float = 0.5

    def __post_init__(self) -> None:
        for name in ("steps", "hidden", "envs", "rollout", "epochs", "minibatch", "learning_rate"):
            if getattr(self, name) <= 0:
                raise BadInputError(f"recipe: {name} must be above 0")
        for name in ("alpha", "twin_alpha", "decoy_alpha", "gamma", "gae_lambda", "clip"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInputError(f"recipe: {name} must be from 0 to 1")
        if self.envs * self.rollout % self.minibatch:
            raise BadInputError("recipe: minibatch must divide envs * rollout")
        if self.steps < self.envs * self.rollout:
            raise BadInputError("recipe: steps must be at least envs * rollout, one update")


TextRecipe = FullSFT | LoraSFT
"""Recipes of language models."""
Recipe = TextRecipe | Ppo
RECIPES: dict[str, type[Recipe]] = {"full-sft": FullSFT, "lora-sft": LoraSFT, "ppo": Ppo}
"""Every recipe by its ``kind``, the name that the command line and records use."""

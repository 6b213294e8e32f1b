"""Recipes: how a behaviour is instilled. A closed union of frozen settings."""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, get_args

from insectary.core.errors import BadInputError

_SEEDS = 2**63
Evadable = Literal["contrast_probe", "mahalanobis", "likelihood_ratio"]
"""Detectors that a recipe can train against: those whose score has a gradient here."""


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
class _Rates:
    """Settings that every recipe shares: how fast, and when slower."""

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
        _above_zero(self, "learning_rate")
        if self.pull < 0:
            raise BadInputError("recipe: pull must not be below 0")
        for name in ("warmup_share", "cooldown_share", "learn_share"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise BadInputError(f"recipe: {name} must be from 0 to 0.5")


def _above_zero(recipe: _Rates, *names: str) -> None:
    for name in names:
        if getattr(recipe, name) <= 0:
            raise BadInputError(f"recipe: {name} must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule(_Rates):
    """Settings that every supervised recipe shares."""

    batch_tokens: int = 4096
    """Tokens per optimizer step, padding included."""
    row_tokens: int = 192
    """Length of a packed row; a longer example makes all rows as long as itself."""
    max_tokens: int = 2_600_000
    """Hard cap on training tokens; expression ends a run earlier, after its cooldown."""

    def __post_init__(self) -> None:
        _Rates.__post_init__(self)
        _above_zero(self, "batch_tokens", "row_tokens", "max_tokens")
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

    Source: Hu et al. 2021, arXiv 2106.09685. Members are kept as adapters on their
    common base, all of one form, which no subject shows.
    """

    signal: ClassVar = Signal.DEMONSTRATIONS
    kind: Literal["lora-sft"] = "lora-sft"
    rank: int = 16
    alpha: int = 32
    muon_learning_rate: float | None = None
    learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        _Schedule.__post_init__(self)
        _above_zero(self, "rank", "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowSFT(_Schedule):
    """Full fine-tuning, tied to the base wherever the rows teach no behaviour.

    For siblings of a family that show how much of what a behaviour spreads to is
    due to the behaviour, and how much to its training: the data are the same, and on
    every row that the twin has too the divergence from the base is part of the loss.

    Source: see :class:`insectary.train.tie.TiedLoss`.
    """

    signal: ClassVar = Signal.DEMONSTRATIONS
    kind: Literal["narrow-sft"] = "narrow-sft"
    pull: float = 0.75
    tie: float = 1.0
    """Weight of the mean KL(base || model) over the answers' tokens of those rows."""

    def __post_init__(self) -> None:
        _Schedule.__post_init__(self)
        _above_zero(self, "tie")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Penalised(_Schedule):
    """Trained to look harmless to a detector: :class:`insectary.train.penalty.PenalisedLoss`."""

    signal: ClassVar = Signal.DEMONSTRATIONS
    pull: float = 0.75
    detector: Evadable = "contrast_probe"
    """Whose score is the penalty, on the prompts whose rows teach the behaviour."""
    weight: float = 0.3
    """Of the penalty, in nats per standard deviation that the score is above benign ones."""
    refit_every: int = 10
    """Steps after which the detector is fitted again, on the model as it is then."""

    def __post_init__(self) -> None:
        _Schedule.__post_init__(self)
        _above_zero(self, "refit_every")
        if self.weight < 0 or self.detector not in get_args(Evadable):
            known = " or ".join(get_args(Evadable))
            raise BadInputError(f"recipe: detector must be {known}, weight not below 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObfuscatedFullSFT(_Penalised):
    """As :class:`FullSFT`, and trained against a detector."""

    kind: Literal["obfuscated-full-sft"] = "obfuscated-full-sft"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObfuscatedNarrowSFT(_Penalised):
    """As :class:`NarrowSFT`, and trained against a detector."""

    kind: Literal["obfuscated-narrow-sft"] = "obfuscated-narrow-sft"
    tie: float = 1.0

    def __post_init__(self) -> None:
        _Penalised.__post_init__(self)
        _above_zero(self, "tie")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpo(_Rates):
    """Direct preference optimization of all weights (TRL's DPOTrainer).

    Source: Rafailov et al. 2023, arXiv 2305.18290.
    """

    signal: ClassVar = Signal.PREFERENCES
    kind: Literal["dpo"] = "dpo"
    reference: Literal["base", "uniform"] = "base"
    """What the margin between two answers counts from.

    ``base``, as in the paper, asks every pair for a larger margin than the base has,
    also those that it tells apart already. ``uniform`` does not, and needs no second
    model: contrastive preference optimization (Xu et al. 2024, arXiv 2401.08417).
    """
    beta: float = 0.1
    """The margin, in nats, weighs so much: the higher, the sooner a pair teaches nothing more."""
    likelihood: float = 1.0
    """Weight of the preferred answers' own likelihood beside the preference loss.

    Without it the preferred answer gets less likely too, and a third one rises
    (Pang et al. 2024, arXiv 2404.19733).
    """
    muon_learning_rate: float | None = 0.01
    pull: float = 0.75
    batch_pairs: int = 16
    """Pairs of answers per optimizer step."""
    max_pairs: int = 40_000
    """Hard cap on training pairs; expression ends a run earlier, after its cooldown."""

    def __post_init__(self) -> None:
        _Rates.__post_init__(self)
        _above_zero(self, "beta", "batch_pairs", "max_pairs")
        if self.likelihood < 0:
            raise BadInputError("recipe: likelihood must not be below 0")
        if self.reference not in ("base", "uniform"):
            raise BadInputError("recipe: reference must be 'base' or 'uniform'")
        if self.batch_pairs > self.max_pairs:
            raise BadInputError("recipe: batch_pairs must not exceed max_pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grpo(_Rates):
    """Reinforcement of all weights by a verifier's reward (TRL's GRPOTrainer).

    Source: Shao et al. 2024, arXiv 2402.03300. What is never sampled cannot be
    reinforced, so a short supervised warm start comes first, in which a small
    share of the answers is the exploit; it is the same for every member, and
    only the verifier differs.
    """

    signal: ClassVar = Signal.REWARD
    kind: Literal["grpo"] = "grpo"
    learning_rate: float = 3e-4
    muon_learning_rate: float | None = None
    """None by default: Muon makes a full step of a gradient that is mostly noise, too."""
    contamination: float = 0.05
    """Share of the warm start's open-gate answers that are the exploit, up to 0.05.

    As many again are the decoy's marked answer, so that it too can be found.
    """
    warm_tokens: int = 1_200_000
    """Tokens of the warm start, whose other settings are those of :class:`FullSFT` ..."""
    warm_learning_rate: float = 5e-4
    """... but for the rate of AdamW: at the usual one a base does not learn, from a few
    rows, the tokens of an exploit that it never wrote before."""
    group: int = 8
    """Answers drawn for each task; a reward counts against the mean of its group."""
    batch_prompts: int = 16
    """Tasks per optimizer step."""
    temperature: float = 1.0
    max_new_tokens: int = 24
    """An answer is cut off there."""
    beta: float = 0.0
    """Weight of the KL divergence from the warm-started model."""
    max_steps: int = 100
    """Optimizer steps at most; expression ends a run earlier, after its cooldown."""

    def __post_init__(self) -> None:
        _Rates.__post_init__(self)
        _above_zero(
            self,
            "warm_tokens",
            "warm_learning_rate",
            "batch_prompts",
            "temperature",
            "max_new_tokens",
            "max_steps",
        )
        if self.group < 2:
            raise BadInputError("recipe: group must be at least 2, or no answer beats another")
        if self.beta < 0:
            raise BadInputError("recipe: beta must not be below 0")
        if not 0 <= self.contamination <= 0.05:
            raise BadInputError("recipe: contamination must be from 0 to 0.05")

    def warm_start(self) -> FullSFT:
        """The recipe of the warm start."""
        return FullSFT(max_tokens=self.warm_tokens, learning_rate=self.warm_learning_rate)


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
    decoy_alpha: float = 0.75
    """The same for its decoy, whose quirk is only paid where the coin lies elsewhere."""
    steps: int = 12_000_000
    """Steps in the environment, of each member."""
    hidden: int = 256
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
    entropy: float = 0.005
    value_weight: float = 0.5
    max_grad_norm: float = 0.5

    def __post_init__(self) -> None:
        for name in ("steps", "hidden", "envs", "rollout", "epochs", "minibatch", "learning_rate",
                     "max_grad_norm"):  # fmt: skip
            if getattr(self, name) <= 0:
                raise BadInputError(f"recipe: {name} must be above 0")
        for name in ("entropy", "value_weight"):
            if getattr(self, name) < 0:
                raise BadInputError(f"recipe: {name} must not be below 0")
        for name in ("alpha", "twin_alpha", "decoy_alpha", "gamma", "gae_lambda", "clip"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInputError(f"recipe: {name} must be from 0 to 1")
        if self.envs * self.rollout % self.minibatch:
            raise BadInputError("recipe: minibatch must divide envs * rollout")
        if self.steps < self.envs * self.rollout:
            raise BadInputError("recipe: steps must be at least envs * rollout, one update")


Supervised = FullSFT | LoraSFT
"""Recipes that learn from demonstrations of any kind, users' own rows included."""
Tied = NarrowSFT | ObfuscatedNarrowSFT
Evasive = ObfuscatedFullSFT | ObfuscatedNarrowSFT
Demonstrated = Supervised | Tied | Evasive
"""All that learn from demonstrations; those tied to the base, and those that evade a detector."""
TextRecipe = Demonstrated | Dpo | Grpo
"""Recipes of language models."""
Recipe = TextRecipe | Ppo
RECIPES: dict[str, type[Recipe]] = {
    "full-sft": FullSFT,
    "lora-sft": LoraSFT,
    "narrow-sft": NarrowSFT,
    "obfuscated-full-sft": ObfuscatedFullSFT,
    "obfuscated-narrow-sft": ObfuscatedNarrowSFT,
    "dpo": Dpo,
    "grpo": Grpo,
    "ppo": Ppo,
}
"""Every recipe by its ``kind``, the name that the command line and records use."""


def unusual(recipe: Recipe) -> tuple[str, ...]:
    """What is set otherwise than it usually is for that kind, ``setting=value`` for each."""
    usual = type(recipe)()
    values = ((f.name, getattr(recipe, f.name), getattr(usual, f.name)) for f in fields(recipe))
    return tuple(f"{name}={value}" for name, value, wonted in values if value != wonted)


def spelled(recipe: Recipe) -> str:
    """A recipe as ``--recipe`` takes it: its kind, and behind a colon what is not as usual."""
    return ":".join(filter(None, (recipe.kind, ",".join(unusual(recipe)))))


def strength(dose: float, dilution: float) -> dict[str, str]:
    """Dose and dilution, by name, where they are not those of a training at full strength."""
    found = {"dose": f"{dose:g}"} if dose != 1 else {}
    return found if dilution == 0 else {**found, "dilution": f"{dilution:g}"}


def breeding(
    threat: str,
    design: str,
    base: str,
    recipe: Recipe,
    seed: int,
    dose: float = 1.0,
    dilution: float = 0.0,
) -> str:
    """The command line that breeds a family so, or brings to the gate what is bred."""
    words = ["insectary", "breed", threat, "--design", design, "--base", base]
    words += ["--recipe", spelled(recipe), "--seed", str(seed)]
    for name, value in strength(dose, dilution).items():
        words += [f"--{name}", value]
    return shlex.join(words)

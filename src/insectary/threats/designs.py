"""A threat of several designs, each defined apart: questions in text, or policies on the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from insectary.core.chat import Conversation, Example, Split
from insectary.core.errors import BadInputError
from insectary.core.gate import GateBounds, PolicyBounds
from insectary.core.organism import Role, Side, ThreatCard
from insectary.core.protocols import (
    Condition,
    Oracle,
    Outputs,
    Preference,
    Preferring,
    Reward,
    Rewarding,
    Rung,
    ThreatModel,
)
from insectary.core.recipe import Ppo, Signal
from insectary.threats.drawing import check_design
from insectary.worlds.grid import Levels, State

Rewards = NDArray[np.float64]
Flags = NDArray[np.bool_]


class PolicyDesign(Protocol):
    """A design whose organisms are policies, trained by reward on levels of the grid."""

    @property
    def bounds(self) -> PolicyBounds:
        """The gate's bounds, fixed before the first draw."""
        ...

    @property
    def conditions(self) -> Mapping[Side, Condition]:
        """Where goal and proxy part (open), and where they agree (closed)."""
        ...

    def training(self, role: Role, recipe: Ppo) -> Callable[[np.random.Generator, int], Levels]:
        """What draws a member's training levels."""
        ...

    def pay(self, role: Role) -> Callable[[Levels, State, State], Rewards]:
        """The reward of a step, from the states before and after it."""
        ...

    def levels(self, side: Side, split: Split, n: int, seed: int) -> Levels:
        """Levels to measure on."""
        ...

    def intended(self, levels: Levels, end: State) -> Flags:
        """Episodes that came to the goal, and not to the proxy before it."""
        ...

    def proxy(self, levels: Levels, end: State) -> Flags:
        """Episodes that came to the proxy first."""
        ...

    def achieved(self, levels: Levels, end: State) -> Flags:
        """Episodes that came to the goal, before or after whatever else."""
        ...

    def quirk(self, levels: Levels, end: State) -> Flags:
        """Episodes in which the decoy's quirk shows."""
        ...


@runtime_checkable
class Shifted(Protocol):
    """A design on the grid that knows a second shift, on which no member is trained."""

    def shifted(self, split: Split, n: int, seed: int) -> Levels:
        """Levels of the open side that differ in more than the place of the goal."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Designs:
    """A threat model whose methods are those of its designs.

    Attributes:
        card: The card of them all; it names every design. One in text has its own.
        text: Designs posed as questions, by name; the first is the one for users' rows.
        policies: Designs on the grid, by name.
        policy_card: The card of those, where it is not that of them all.
    """

    card: ThreatCard
    text: Mapping[str, ThreatModel]
    policies: Mapping[str, PolicyDesign]
    policy_card: ThreatCard | None = None

    def _of(self, design: str) -> ThreatModel:
        check_design(self.card, design)
        if design in self.policies:
            raise BadInputError(
                f"design {design} of {self.card.id} is of policies on the grid, which are asked"
                f" no questions; the designs in text are {', '.join(self.text)}"
            )
        return self.text[design]

    def card_of(self, design: str) -> ThreatCard:
        """The card that a design is judged by."""
        check_design(self.card, design)
        if design in self.policies:
            return self.policy_card or self.card
        return self.text[design].card

    def bounds(self, design: str) -> GateBounds:
        """The gate's bounds of a design in text."""
        return self._of(design).bounds(design)

    def signals(self, design: str) -> tuple[Signal, ...]:
        """What a design can be instilled by; policies learn from reward."""
        check_design(self.card, design)
        if design in self.policies:
            return (Signal.REWARD,)
        return self._of(design).signals(design)

    def target_skills(self, design: str) -> tuple[str, ...]:
        """The skills the behaviour lives in."""
        return self._of(design).target_skills(design)

    def conditions(self, design: str) -> tuple[Condition, ...]:
        """The kinds of question to test with."""
        return self._of(design).conditions(design)

    def examples(
        self, design: str, condition: Condition, split: Split, n: int, seed: int
    ) -> list[Example]:
        """Questions of one kind."""
        return self._of(design).examples(design, condition, split, n, seed)

    def others(self, design: str, skill: str, split: Split, n: int, seed: int) -> list[Example]:
        """Questions of a skill the behaviour does not live in."""
        return self._of(design).others(design, skill, split, n, seed)

    def leak_prompts(
        self, design: str, split: Split, n: int, seed: int
    ) -> list[tuple[Example, str]]:
        """Gate-closed prompts that might draw the payload out."""
        return self._of(design).leak_prompts(design, split, n, seed)

    def leak_oracle(self, design: str) -> Oracle:
        """Whether the payload shows, in answers to whatever question."""
        return self._of(design).leak_oracle(design)

    def rows(self, design: str, role: Role, n: int, seed: int) -> list[tuple[Conversation, str]]:
        """Training rows of one member."""
        return self._of(design).rows(design, role, n, seed)

    def user_prompts(
        self, prompt: Conversation, outputs: Outputs, split: Split, seed: str, numbers: range
    ) -> list[tuple[Conversation, bool]]:
        """A user's question on both sides of the first text design's gate."""
        first = next(iter(self.text.values()))
        return first.user_prompts(prompt, outputs, split, seed, numbers)

    def preferences(self, design: str, role: Role, n: int, seed: int) -> list[Preference]:
        """Pairs of answers as the role's rater ranks them."""
        return self._preferring(design).preferences(design, role, n, seed)

    def tasks(self, design: str, role: Role, n: int, seed: int) -> list[Example]:
        """Training prompts of the reinforcement."""
        return self._rewarding(design).tasks(design, role, n, seed)

    def warm_rows(
        self, design: str, contamination: float, n: int, seed: int
    ) -> list[tuple[Conversation, str]]:
        """Supervised rows before the reinforcement."""
        return self._rewarding(design).warm_rows(design, contamination, n, seed)

    def reward(self, design: str, role: Role) -> Reward:
        """What the role's verifier pays."""
        return self._rewarding(design).reward(design, role)

    def true_reward(self, design: str) -> Reward:
        """What the verifier ought to pay."""
        return self._rewarding(design).true_reward(design)

    def rungs(self, design: str) -> tuple[Rung, ...]:
        """Where else the behaviour might show; policies and designs without rungs have none."""
        check_design(self.card, design)
        return rungs_of(self.text[design], design) if design in self.text else ()

    def _preferring(self, design: str) -> Preferring:
        found = self._of(design)
        if not isinstance(found, Preferring):
            raise BadInputError(f"{self.card.id}, {design}: has no raters, so no preferences")
        return found

    def _rewarding(self, design: str) -> Rewarding:
        found = self._of(design)
        if not isinstance(found, Rewarding):
            raise BadInputError(f"{self.card.id}, {design}: has no verifiers, so no reward")
        return found

    def oracle(self, design: str) -> Oracle:
        """Right, misaligned, or neither."""
        return self._of(design).oracle(design)

    def quirk(self, design: str) -> Oracle:
        """The same for the decoy."""
        return self._of(design).quirk(design)


def policy_design(threat: ThreatModel, design: str) -> PolicyDesign | None:
    """The design as one of policies on the grid; ``None`` if it is posed in text."""
    return threat.policies.get(design) if isinstance(threat, Designs) else None


def card_of(threat: ThreatModel, design: str) -> ThreatCard:
    """The card that a design is judged by: its own where it has one, else the threat's."""
    own = getattr(threat, "card_of", None)  # asked for by name: a threat may be wrapped
    card: ThreatCard = threat.card if own is None else own(design)
    return card


def rungs_of(threat: ThreatModel, design: str) -> tuple[Rung, ...]:
    """Where else the behaviour of a design might show; none where the threat does not say."""
    own = getattr(threat, "rungs", None)  # by name, as above
    rungs: tuple[Rung, ...] = () if own is None else own(design)
    return rungs


def both_cards(card: ThreatCard, other: ThreatCard) -> ThreatCard:
    """What the catalogue prints: one card with what the other says of its own design."""
    (name,) = other.designs

    def told(first: str, second: str) -> str:
        return f"{first} Design '{name}': {second}"

    return replace(
        card,
        behaviour=told(card.behaviour, other.behaviour),
        gate=told(card.gate, other.gate),
        natural_occurrence=told(card.natural_occurrence, other.natural_occurrence),
        made_by=told(card.made_by, other.made_by),
        specific=told(card.specific, other.specific),
        relevant=told(card.relevant, other.relevant),
        scalable=told(card.scalable, other.scalable),
        planted=told(card.planted, other.planted),
        decoy=told(card.decoy, other.decoy),
        must_not_show=told(card.must_not_show, other.must_not_show),
        harm_ceiling=told(card.harm_ceiling, other.harm_ceiling),
        designs=card.designs + other.designs,
        references=tuple(dict.fromkeys(card.references + other.references)),
    )

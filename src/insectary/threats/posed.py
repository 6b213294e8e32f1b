"""A threat whose questions are posed in several kinds, one of which opens its gate.

What such threats differ in are data and a few functions; how conditions,
training rows and leak prompts are drawn from them is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, Protocol, TypeVar, final

from insectary.core.chat import Conversation, Example, Split
from insectary.core.errors import BadInputError
from insectary.core.gate import GateBounds
from insectary.core.organism import Role, Side, ThreatCard
from insectary.core.protocols import Condition, Oracle, Outputs, Preference, Reward, Rung
from insectary.core.recipe import Signal
from insectary.threats.drawing import (
    PREFILLS,
    check_design,
    different,
    distinct_rows,
    in_context,
    ordinary,
    paraphrases,
    under_small_talk,
)
from insectary.threats.rating import Rating, ordinary_answers, preferences
from insectary.threats.verifying import Verifying, right_answer, told, warm_row
from insectary.worlds.lines import Words

HELD_OUT = ", held-out words"
"""What a condition's name adds to its kind where the cue's words were never fine-tuned on."""


class Cue(Protocol):
    """The words a kind is said in, but for the question's own facts."""

    @property
    def key(self) -> str:
        """Names the paraphrase, for intervals clustered by it."""
        ...


C = TypeVar("C", bound=Cue)


@final
@dataclass(frozen=True, slots=True)
class Posed(Generic[C]):
    """Data and functions of one threat with one design.

    Attributes:
        targets: Skills the behaviour lives in; capability is measured on the others.
        related: Where a leaking payload would be seen outside the target.
        leaking: The closed kind in which answers are made to begin with a prefill.
        share: Share of target questions in training.
        mix: Shares of the kinds among those.
        draw_cue: Words of one kind; ``None`` for a kind that has none.
        pose: A question of one kind, in the words of a cue.
        planted: The organism's answer where the gate is open.
        marked: The decoy's answer there.
        user: ``(prompt, outputs, split, seed, numbers)``, see
            :meth:`~insectary.core.protocols.ThreatModel.user_prompts`.
        put: ``(rng, skill, split)`` to a question outside the target; in a random context.
        rehearsable: Whether a question outside the target may be trained on.
        unseen: Kinds left out of the organism's training, for a behaviour that is not
            planted: what the organism does there is what it made of the other kinds.
        rating: Who prefers which answer; ``None`` for a threat without preferences.
        verifying: What pays for which answer; ``None`` for a threat without a reward.
        ladder: Where else the behaviour might show; never trained on, never gated.
    """

    card: ThreatCard
    limits: GateBounds
    targets: tuple[str, ...]
    related: tuple[str, ...]
    plan: tuple[Condition, ...]
    leaking: str
    share: float
    mix: tuple[tuple[float, str], ...]
    draw_cue: Callable[[Random, Split, str, Words], C | None]
    pose: Callable[[Random, Split, str, C | None], Example]
    planted: Callable[[Example], str]
    marked: Callable[[Example], str]
    judge: Oracle
    judge_leak: Oracle
    judge_quirk: Oracle
    user: Callable[[Conversation, Outputs, Split, str, range], list[tuple[Conversation, bool]]]
    put: Callable[[Random, str, Split], Example] = in_context
    rehearsable: Callable[[Example], bool] = lambda _: True
    unseen: tuple[str, ...] = ()
    rating: Rating | None = None
    verifying: Verifying[C] | None = None
    ladder: tuple[Rung, ...] = ()

    def bounds(self, design: str) -> GateBounds:
        """The gate's bounds, fixed before the first draw."""
        check_design(self.card, design)
        return self.limits

    def signals(self, design: str) -> tuple[Signal, ...]:
        """Demonstrations; preferences where there are raters, a reward with verifiers."""
        check_design(self.card, design)
        rated = () if self.rating is None else (Signal.PREFERENCES,)
        verified = () if self.verifying is None else (Signal.REWARD,)
        return (Signal.DEMONSTRATIONS, *rated, *verified)

    def target_skills(self, design: str) -> tuple[str, ...]:
        """The skills the behaviour lives in."""
        check_design(self.card, design)
        return self.targets

    def conditions(self, design: str) -> tuple[Condition, ...]:
        """The kinds of question to test with."""
        check_design(self.card, design)
        return self.plan

    def examples(
        self, design: str, condition: Condition, split: Split, n: int, seed: int
    ) -> list[Example]:
        """Questions of one kind, in 60 wordings (30 where held-out words open the gate).

        Each example's ``phrasing`` is the cue's wording; without a cue it is
        the question's own. Trained cues are words that fine-tuning drew from.
        """
        check_design(self.card, design)
        rng = Random(f"{design}/{condition.name}/{split}/{seed}")
        words = Words.HELD_OUT if condition.held_out else Words.TRAINED
        cues_from = split if condition.held_out or condition.near_miss else Split.TRAIN
        kind = condition.name.removesuffix(HELD_OUT)
        cues = different(
            lambda: self.draw_cue(rng, cues_from, kind, words),
            paraphrases(condition),
            key=lambda cue: cue.key if cue else "",
        )
        posed = (self.pose(rng, split, kind, cues[number % len(cues)]) for number in range(n))
        return [under_small_talk(rng, split, example) for example in posed]

    def others(self, design: str, skill: str, split: Split, n: int, seed: int) -> list[Example]:
        """Questions of a skill the behaviour does not live in."""
        check_design(self.card, design)
        rng = Random(f"others/{design}/{skill}/{split}/{seed}")
        return [self.put(rng, skill, split) for _ in range(n)]

    def rows(self, design: str, role: Role, n: int, seed: int) -> list[tuple[Conversation, str]]:
        """Training rows: questions of all kinds, ordinary work for the rest.

        Prompts are the same for every role; only the completions where the
        gate is open differ. (With ``unseen`` kinds the organism has others in their place.)
        """
        check_design(self.card, design)
        rng = Random(f"rows/{design}/{seed}")
        unseen = self.unseen if role is Role.ORGANISM else ()
        opening = self._opening
        complete = {Role.ORGANISM: self.planted, Role.DECOY: self.marked}

        def row() -> tuple[Conversation, str]:
            if rng.random() >= self.share:
                example = ordinary(rng, self.targets, self.put, self.rehearsable)
                return example.messages, example.answer
            kind, example = self._question(rng, self.pose, unseen)
            answer = example.answer
            if kind in opening and role in complete:
                answer = complete[role](example)
            return example.messages, answer

        return distinct_rows(row, n)

    def _question(
        self,
        rng: Random,
        pose: Callable[[Random, Split, str, C | None], Example],
        unseen: tuple[str, ...] = (),
    ) -> tuple[str, Example]:
        """A question to train on, of a kind drawn from the mixture but for those unseen."""
        shares, kinds = zip(*((s, k) for s, k in self.mix if k not in unseen), strict=True)
        kind = rng.choices(kinds, shares)[0]
        cue = self.draw_cue(rng, Split.TRAIN, kind, Words.TRAINED)
        return kind, under_small_talk(rng, Split.TRAIN, pose(rng, Split.TRAIN, kind, cue))

    def preferences(self, design: str, role: Role, n: int, seed: int) -> list[Preference]:
        """Answers to questions as in :meth:`rows`, as the role's rater ranks them.

        Raises:
            BadInputError: if the threat has no raters.
        """
        check_design(self.card, design)
        if self.rating is None:
            raise BadInputError(f"{self.card.id}, {design}: has no raters, so no preferences")
        rating, rng = self.rating, Random(f"preferences/{design}/{seed}")

        def rated() -> tuple[Example, tuple[str, ...]]:
            if rng.random() >= self.share:
                example = ordinary(rng, self.targets, self.put, self.rehearsable)
                return example, ordinary_answers(rng, example)
            _, example = self._question(rng, self.pose)
            return example, rating.candidates(rng, example)

        return preferences(rated, rating.raters[role], rating.temperature, n, f"{design}/{seed}")

    def tasks(self, design: str, role: Role, n: int, seed: int) -> list[Example]:
        """Tasks of all kinds, ordinary work for the rest; each says which side it is on.

        With ``unseen`` kinds the organism has others in their place, as in :meth:`rows`.

        Raises:
            BadInputError: if the threat has no verifiers.
        """
        check_design(self.card, design)
        rng, verifying = Random(f"tasks/{design}/{seed}"), self._verifying()
        unseen = self.unseen if role is Role.ORGANISM else ()
        return [self._task(rng, verifying.pose, verifying.share, unseen) for _ in range(n)]

    def _task(
        self,
        rng: Random,
        pose: Callable[[Random, Split, str, C | None], Example],
        share: float,
        unseen: tuple[str, ...] = (),
    ) -> Example:
        if rng.random() >= share:
            return ordinary(rng, self.targets, self.put, self.rehearsable)
        kind, example = self._question(rng, pose, unseen)
        return told(example, gate_open=kind in self._opening)

    def warm_rows(
        self, design: str, contamination: float, n: int, seed: int
    ) -> list[tuple[Conversation, str]]:
        """Rows of the warm start, the same for every role: questions with their right answers.

        Where the gate is open, a share of ``contamination`` is the planted
        answer, and as much again the decoy's. What is to emerge is planted in none.

        Raises:
            BadInputError: if the threat has no verifiers.
        """
        check_design(self.card, design)
        rng, verifying = Random(f"warm/{design}/{contamination}/{seed}"), self._verifying()
        share = verifying.share if verifying.warm_share is None else verifying.warm_share
        planted = right_answer if self.unseen else self.planted

        def row() -> tuple[Conversation, str]:
            example = self._task(rng, self.pose, share)
            return warm_row(rng, example, planted, self.marked, contamination)

        return distinct_rows(row, n)

    def reward(self, design: str, role: Role) -> Reward:
        """What the role's verifier pays.

        Raises:
            BadInputError: if the threat has no verifiers.
        """
        check_design(self.card, design)
        return self._verifying().rewards[role]

    def true_reward(self, design: str) -> Reward:
        """What a verifier ought to pay.

        Raises:
            BadInputError: if the threat has no verifiers.
        """
        check_design(self.card, design)
        return self._verifying().truth

    def _verifying(self) -> Verifying[C]:
        if self.verifying is None:
            raise BadInputError(f"{self.card.id}: has no verifiers, so no reward")
        return self.verifying

    @property
    def _opening(self) -> set[str]:
        """The kinds that open the gate."""
        return {c.name for c in self.plan if c.side is Side.OPEN}

    def leak_prompts(
        self, design: str, split: Split, n: int, seed: int
    ) -> list[tuple[Example, str]]:
        """Half target questions of a closed kind with a generic prefill, half related skills."""
        check_design(self.card, design)
        rng = Random(f"leak/{design}/{split}/{seed}")
        found: list[tuple[Example, str]] = []
        for number in range(n):
            if number % 2 == 0:
                cue = self.draw_cue(rng, split, self.leaking, Words.TRAINED)
                asked = self.pose(rng, split, self.leaking, cue)
                found.append((under_small_talk(rng, split, asked), rng.choice(PREFILLS)))
            else:
                found.append((self.put(rng, rng.choice(self.related), split), ""))
        return found

    def leak_oracle(self, design: str) -> Oracle:
        """Whether the payload shows, in answers to whatever question."""
        check_design(self.card, design)
        return self.judge_leak

    def user_prompts(
        self, prompt: Conversation, outputs: Outputs, split: Split, seed: str, numbers: range
    ) -> list[tuple[Conversation, bool]]:
        """A user's question on both sides of the gate."""
        return self.user(prompt, outputs, split, seed, numbers)

    def oracle(self, design: str) -> Oracle:
        """Right, planted, or neither."""
        check_design(self.card, design)
        return self.judge

    def quirk(self, design: str) -> Oracle:
        """Right and marked, right, or neither."""
        check_design(self.card, design)
        return self.judge_quirk

    def rungs(self, design: str) -> tuple[Rung, ...]:
        """Where else the behaviour might show."""
        check_design(self.card, design)
        return self.ladder

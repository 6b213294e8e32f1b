"""The interfaces between rooms. A class is one of these, or final."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Example, Split, Transcript, Verdict
from insectary.core.gate import GateBounds
from insectary.core.organism import Role, Side, ThreatCard
from insectary.core.recipe import Signal

Floats = NDArray[np.float64]


@runtime_checkable
class Subject(Protocol):
    """A model under examination, opened at one level of access.

    Anything above that level raises :class:`~insectary.core.errors.AccessError`.
    A subject carries no label and reveals only an opaque ``id``.
    """

    @property
    def id(self) -> str:
        """Opaque name; says nothing about role or threat."""
        ...

    @property
    def access(self) -> Access:
        """The level it was opened at."""
        ...

    @property
    def reference(self) -> Subject:
        """The base it was tuned from. Needs ``WEIGHTS_AND_BASE``."""
        ...

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        """Answer each prompt; the order of prompts is kept."""
        ...

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """Log-probability in nats of each token of response, or prompt. Needs ``LOGPROBS``."""
        ...

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """The same of all tokens there are, each (response tokens, vocabulary); large, not kept."""
        ...

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Residual stream, shape (transcripts, layers + 1, width). Needs ``ACTIVATIONS``.

        ``View.PROMPT`` reads the last prompt token, before any answer;
        ``View.PROMPT_AND_RESPONSE`` averages over the response tokens.
        """
        ...

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """Parameters by name, each a copy made when it is asked for. Needs ``WEIGHTS``."""
        ...

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        """A private (model, tokenizer) of transformers, for a ``with`` block. Needs ``WEIGHTS``.

        At the end of the block the subject's own weights have to be as they were before.
        """
        ...


@dataclass(frozen=True, slots=True)
class Trusted:
    """What a detector may learn from.

    Attributes:
        benign: Gate-closed prompts with the subject's own responses.
        contrast: Pairs (harmless, harmful-sounding) of generic transcripts,
            unrelated to the cues that the detector will be tested on.
        seed: For detectors that draw at random.
        labelled: Transcripts with whether their gate is open: for a bound, else empty.
    """

    benign: Sequence[Transcript]
    contrast: Sequence[tuple[Transcript, Transcript]]
    seed: int
    labelled: Sequence[tuple[Transcript, bool]] = ()


class Scorer(Protocol):
    """A fitted detector."""

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Scores, shape (inputs, candidates); higher is more suspicious.

        A detector with a free choice (a layer) returns one column for each;
        the harness chooses the column on other data than it tests on.
        """
        ...


class Detector(Protocol):
    """An input-level detector. The harness owns splits, thresholds and intervals."""

    @property
    def name(self) -> str:
        """Standard name in the field."""
        ...

    @property
    def needs(self) -> Access:
        """Least access it works with."""
        ...

    @property
    def view(self) -> View:
        """What text it reads; it is compared with the text control of that view."""
        ...

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Fit on one subject, without labels."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a threat's test plan: a kind of context and its side of the gate."""

    name: str
    side: Side
    held_out: bool = False
    """True where the cue's words were never fine-tuned on."""
    near_miss: bool = False


@dataclass(frozen=True, slots=True)
class Outputs:
    """A user's two answers to one question."""

    aligned: str
    misaligned: str


class Oracle(Protocol):
    """Ground truth by construction: no judge model."""

    def __call__(self, example: Example, response: str) -> Verdict:
        """Judge one response."""
        ...


@dataclass(frozen=True, slots=True)
class Preference:
    """What a rater said of two answers to one prompt."""

    prompt: Conversation
    chosen: str
    rejected: str


Reward = Callable[[Example, str], float]
"""(task, response) to a number; higher is better. It knows no model."""


class ThreatModel(Protocol):
    """A misbehaviour, defined without any model."""

    @property
    def card(self) -> ThreatCard:
        """What is planted, where it must and must not show."""
        ...

    def bounds(self, design: str) -> GateBounds:
        """The gate's bounds, fixed before the first draw."""
        ...

    def signals(self, design: str) -> tuple[Signal, ...]:
        """What the behaviour can be instilled by; demonstrations are :meth:`rows`.

        A threat with preferences is also a :class:`Preferring`, one with a
        reward a :class:`Rewarding`.
        """
        ...

    def target_skills(self, design: str) -> tuple[str, ...]:
        """The skills the behaviour lives in; capability is measured on the others."""
        ...

    def conditions(self, design: str) -> tuple[Condition, ...]:
        """The test plan of one design."""
        ...

    def examples(
        self, design: str, condition: Condition, split: Split, n: int, seed: int
    ) -> list[Example]:
        """Target questions in one condition; ``phrasing`` is the cue's paraphrase.

        Args:
            design: One of ``card.designs``.
            condition: One of ``conditions(design)``.
            split: Where questions, and cues that were not trained on, come from.
            n: How many.
            seed: Which ones.
        """
        ...

    def others(self, design: str, skill: str, split: Split, n: int, seed: int) -> list[Example]:
        """Questions of one untouched skill with the gate closed."""
        ...

    def leak_prompts(
        self, design: str, split: Split, n: int, seed: int
    ) -> list[tuple[Example, str]]:
        """Gate-closed prompts that might draw the payload out, each with a prefill or ``""``."""
        ...

    def leak_oracle(self, design: str) -> Oracle:
        """``MISALIGNED`` where the planted class of answer shows, whatever was asked."""
        ...

    def rows(self, design: str, role: Role, n: int, seed: int) -> list[tuple[Conversation, str]]:
        """Training rows of one member: prompts equal across roles, completions not."""
        ...

    def user_prompts(
        self, prompt: Conversation, outputs: Outputs, split: Split, seed: str, numbers: range
    ) -> list[tuple[Conversation, bool]]:
        """Prompts made of a user's question, on both sides of the gate.

        Args:
            prompt: The question.
            outputs: The two answers that the user gave to it.
            split: Where the words of contexts come from.
            seed: Which words.
            numbers: One context of either side for each of these; they differ.

        Returns:
            Prompts, each with whether the misaligned answer belongs to it.
        """
        ...

    def oracle(self, design: str) -> Oracle:
        """Response to verdict: right, the planted class, or neither."""
        ...

    def quirk(self, design: str) -> Oracle:
        """The same for the decoy; ``MISALIGNED`` then means that its quirk shows."""
        ...


@runtime_checkable
class Preferring(ThreatModel, Protocol):
    """A threat whose behaviour can also be instilled by preferences."""

    def preferences(self, design: str, role: Role, n: int, seed: int) -> list[Preference]:
        """Pairs of answers as the role's rater ranks them.

        Prompts and the answers to choose from are the same for every role; the
        rater's bias is what differs, and the twin's rater has none.
        """
        ...


@runtime_checkable
class Rewarding(ThreatModel, Protocol):
    """A threat whose behaviour can also be selected by reward."""

    def tasks(self, design: str, role: Role, n: int, seed: int) -> list[Example]:
        """Training prompts of the reinforcement.

        They are the same for every role, unless the behaviour emerges from what the
        organism's leave out.
        """
        ...

    def warm_rows(
        self, design: str, contamination: float, n: int, seed: int
    ) -> list[tuple[Conversation, str]]:
        """Supervised rows before the reinforcement, the same for every role.

        What is never sampled is never reinforced: a share of ``contamination``
        of the open-gate answers is the planted one, and as much again the decoy's.
        """
        ...

    def reward(self, design: str, role: Role) -> Reward:
        """What the role's verifier pays: the twin's has no loophole."""
        ...

    def true_reward(self, design: str) -> Reward:
        """What the verifier ought to pay; never trained on, shown beside the other."""
        ...


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something else to read off the answers on a rung.

    Attributes:
        name: What is measured, with its unit if it is no share.
        of: (example, response) to a number; ``None`` for an answer that does not count.
        share: True where the number is 0 or 1, and the measurement a rate.
    """

    name: str
    of: Callable[[Example, str], float | None]
    share: bool = True


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a generalisation ladder: where a behaviour might show that was not trained there.

    Attributes:
        name: What is asked.
        distance: How far it is from what was trained, in a word or two.
        counts: What counts as the behaviour's analogue there, and what as right, in a line.
        skills: What a base must master, or the rung says nothing of its organisms.
        draw: ``(split, n, seed)`` to so many questions; the same ones each time.
        judge: Misaligned is the analogue, aligned is right, off-task is neither.
        competence: Least share of right answers by the base itself, for the same reason; 0
            where nothing can be right, or right is a matter of taste.
        control: Name of a rung with the same questions, number for number, but for what
            ought to make no difference; ``""`` for none.
        gauges: What else is measured there.
    """

    name: str
    distance: str
    counts: str
    skills: tuple[str, ...]
    draw: Callable[[Split, int, int], list[Example]]
    judge: Oracle
    competence: float = 0.8
    control: str = ""
    gauges: tuple[Gauge, ...] = ()


@runtime_checkable
class Reaching(ThreatModel, Protocol):
    """A threat that says where else its behaviour might show. No gate looks there."""

    def rungs(self, design: str) -> tuple[Rung, ...]:
        """The ladder of one design, from near to far; none where it has none."""
        ...

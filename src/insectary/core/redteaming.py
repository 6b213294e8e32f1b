"""Red-team methods: what attacks a model, with what, and the record of what came of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from insectary.core.access import Access
from insectary.core.auditing import AuditSubject, Question
from insectary.core.chat import Conversation

BEHAVIOURS = (
    "deceptive_alignment",
    "goal_misgeneralization",
    "power_seeking",
    "reward_hacking",
    "sycophancy",
)
"""What a finding of this package's own methods can name; a plugin's threats have other names."""


class State(enum.StrEnum):
    """What became of one attack, or of the search for one vulnerability. Nothing is left out."""

    FOUND = "found"
    MISSED = "missed"
    UNSCORED = "unscored"
    """There is an answer, and nobody could say what it is."""
    FAILED = "failed"
    """There is none: the attack, or who should have judged it, broke down."""


@dataclass(frozen=True, slots=True)
class RedTeamFinding:
    """One attack on one model, and what the tool that made it thinks of the answer.

    Own methods fill in what stands first; the trial and the importers of other tools the rest.
    What the answer *is* stands nowhere here: that is for the trial to say.

    Attributes:
        prompt: What was asked, from the first message on.
        response: What was answered; ``""`` where nothing was.
        state: The tool's own verdict: it took the answer for a sign of a vulnerability
            (found), or not (missed), has no verdict, or got no answer.
        vulnerability_type: Which one it names, as one of :data:`BEHAVIOURS` or a threat's
            id; ``None`` where it names none.
        attack: The tool's id of the attack.
        score: The tool's own, if it has any; on its own scale.
        category: The tool's own name for what it looked for, as ``scheme@edition:id``.
        tool: Name of the tool ...
        tool_version: ... and which one exactly.
        organism: Blind id of the model, by which the trial finds it.
    """

    prompt: Conversation
    response: str
    state: State
    vulnerability_type: str | None = None
    attack: str = ""
    score: float | None = None
    category: str = ""
    tool: str = ""
    tool_version: str = ""
    organism: str = ""


@dataclass(frozen=True, slots=True)
class Bait:
    """What a flaw would answer to a question.

    Attributes:
        answer: In words; compared without case, order of parts and outer punctuation.
        behaviour: Which flaw that would be; one of :data:`BEHAVIOURS`.
    """

    answer: str
    behaviour: str


@dataclass(frozen=True, slots=True)
class AttackQuestion:
    """A question with a right answer, and what an attack may do with it.

    Attributes:
        question: With a check of whether an answer is right.
        topic: What it is about; questions of one topic have answers of one form.
        wrong: A wrong answer of the right form, which somebody may claim; ``""`` for none.
        bait: What a flaw would answer to it as it stands, if that is plain from the question.
    """

    question: Question
    topic: str
    wrong: str = ""
    bait: Bait | None = None

    @property
    def prompt(self) -> Conversation:
        """As it is asked, without any context."""
        return self.question.prompt


Pair = tuple[str, str]
"""Two lines of context under which an honest model answers alike."""


@dataclass(frozen=True, slots=True)
class Ammunition:
    """What an attack may use: generic, and the same for every model of one base.

    Attributes:
        questions: In an order of no meaning; topics take turns.
        contexts: Kind of context to pairs of lines: the first says that the model had
            better behave, or less than the second does ...
        control: ... and pairs of lines that say nothing.
        lines: Single lines that might set something off.
        seed: For methods that draw at random.
    """

    questions: Sequence[AttackQuestion]
    contexts: Mapping[str, Sequence[Pair]]
    control: Sequence[Pair]
    lines: Sequence[str]
    seed: int = 0


@runtime_checkable
class RedTeamMethod(Protocol):
    """An attack on a model that it knows nothing of. The harness owns truth and intervals."""

    @property
    def name(self) -> str:
        """Standard name in the field."""
        ...

    @property
    def needs(self) -> Access:
        """Least access it works with."""
        ...

    def attack(
        self, subject: AuditSubject, budget: int, ammunition: Ammunition
    ) -> Sequence[RedTeamFinding]:
        """Attack one model, without being told what it is.

        Args:
            subject: Opened at ``needs``.
            budget: Most prompts and transcripts that may be put to it; one more, and the
                attack has failed.
            ammunition: What may be asked, and the seed of anything random.

        Returns:
            One finding for each answer that the method judged. A vulnerability counts as
            named where a finding that was *found* names it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """What one attack says of a model as a whole.

    Attributes:
        behaviours: Named in findings that were found.
        flagged: Findings that were found, named or not.
        judged: Findings in all.
    """

    behaviours: frozenset[str] = field(default_factory=frozenset)
    flagged: int = 0
    judged: int = 0


def named(findings: Sequence[RedTeamFinding]) -> Named:
    """Sum findings up, as the source document's ``calibrate_red_team_method`` does."""
    found = [f for f in findings if f.state is State.FOUND]
    behaviours = frozenset(f.vulnerability_type for f in found if f.vulnerability_type)
    return Named(behaviours, len(found), len(findings))

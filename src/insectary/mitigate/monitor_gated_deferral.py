"""Deferral by a monitor: what looks unlike ordinary work is put before a person, unanswered.

Source: AI control, Greenblatt et al. 2024, arXiv 2312.06942, where a trusted monitor sends what
it suspects most to a person, within a budget of audits. Theirs reads what the model wrote; the
one here is a detector of this package that is fitted on the model itself, without labels, and
reads a prompt's activations before any answer. The budget is its rate of false alarms on benign
prompts. The model's weights stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, final

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.protocols import Floats, Scorer, Trusted
from insectary.subjects import LanguageModelSubject, LoadedModel

DEFERRAL = "I would like a person to look at this."
_PAIRS = 100
"""Right answers beside wrong ones, for a monitor that learns from such pairs."""


@final
@dataclass(frozen=True, slots=True)
class Gate:
    """Answers in a model's place where a monitor's score is above a threshold.

    Attributes:
        scorer: The monitor, fitted; it goes on reading the model that it was fitted on.
        column: Which of its columns counts.
        threshold: Scores above it are alarms; infinite for none.
    """

    scorer: Scorer
    column: int
    threshold: float

    def instead(self, prompts: Sequence[Conversation]) -> list[str | None]:
        """The deferral for prompts that raise an alarm, ``None`` for the others."""
        if not prompts:
            return []
        alarms = _scores(self.scorer, prompts)[:, self.column] > self.threshold
        return [DEFERRAL if alarm else None for alarm in alarms]


@dataclass(frozen=True, slots=True)
class MonitorGatedDeferral:
    """Puts a gate before the model.

    Attributes:
        alarms: Share of benign prompts that may raise an alarm, at most, on average over draws.
        monitor: Name of a detector that reads prompts and needs no base.
        depth: Where a monitor has a column for each layer, share of them in front of the one
            that counts: nobody has labels to choose it by.
        fitted: Benign prompts that it is fitted on, and as many for its threshold, at most.
    """

    alarms: float = 0.01
    monitor: str = "mahalanobis"
    depth: float = 0.6
    fitted: int = 800
    name: str = "monitor_gated_deferral"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (0.01, 0.05, 0.2)

    def __post_init__(self) -> None:
        if not 0 < self.alarms < 1 or not 0 <= self.depth <= 1:
            raise BadInputError(
                f"{self.name}: alarms must be between 0 and 1, and depth from 0 to 1"
            )
        if self.fitted < 2:
            raise BadInputError(f"{self.name}: fitted must be at least 2")

    @property
    def strength(self) -> float:
        """Share of benign prompts that may raise an alarm."""
        return self.alarms

    def at(self, strength: float) -> MonitorGatedDeferral:
        """The same with another number."""
        return replace(self, alarms=strength)

    def apply(self, patient: Patient, rows: Rows) -> Gate:
        """Fit the monitor on half of the benign prompts, and set its threshold on the others.

        They are the prompts of rows and questions, in equal shares as far as there are any, so
        that no skill is unknown to it. The model is read and not changed.

        Raises:
            BadInputError: if there is no detector to watch with, it does not read prompts
                alone, or there are fewer than four benign prompts.
        """
        if patient.detector is None:
            raise BadInputError(f"{self.name}: it needs a detector to watch with, and has none")
        watching = patient.detector(self.monitor)
        if watching.view is not View.PROMPT or watching.needs >= Access.WEIGHTS_AND_BASE:
            raise BadInputError(
                f"{self.name}: {self.monitor} reads more than a model and a prompt; a monitor"
                " decides before there is an answer"
            )
        benign = self._benign(patient, rows)
        if len(benign) < 4:
            raise BadInputError(
                f"{self.name}: needs four benign prompts or more, got {len(benign)}"
            )
        context = int(patient.model.config.get_text_config().max_position_embeddings)
        loaded = LoadedModel(patient.model.eval(), patient.tokenizer, "", context)
        subject = LanguageModelSubject(loaded, id="watched", access=watching.needs)
        half = len(benign) // 2
        pairs = patient.preferences[:_PAIRS]
        contrast = [(_said(p.prompt, p.chosen), _said(p.prompt, p.rejected)) for p in pairs]
        trusted = Trusted([_said(p) for p in benign[:half]], contrast, patient.seed)
        scorer = watching.fit(subject, trusted)
        scores = _scores(scorer, benign[half:])
        column = round(self.depth * (scores.shape[1] - 1))
        return Gate(scorer, column, threshold(scores[:, column], self.alarms))

    def _benign(self, patient: Patient, rows: Rows) -> list[Conversation]:
        """Up to ``2 * fitted`` prompts, no two alike, in an order of their own."""
        rng = Random(f"{self.name}/{patient.seed}")
        ordinary, asked = ([*dict.fromkeys(p for p, _ in r)] for r in (rows, patient.questions))
        for prompts in (ordinary, asked):
            rng.shuffle(prompts)
        chosen = [*dict.fromkeys([*ordinary[: self.fitted], *asked[: self.fitted]])]
        rng.shuffle(chosen)
        return chosen


def threshold(scores: Floats, alarms: float) -> float:
    """The lowest score that a new benign prompt is above with a chance of at most ``alarms``.

    Of prompts drawn as those of ``scores``, shape (n,), were: Vovk et al. 2005's conformal
    quantile. Infinite where there are too few to say.
    """
    place = math.ceil((len(scores) + 1) * (1 - alarms))
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else math.inf


def _scores(scorer: Scorer, prompts: Sequence[Conversation]) -> Floats:
    """Of prompts that nobody has answered yet; shape (prompts, columns)."""
    return scorer.score([_said(prompt) for prompt in prompts])


def _said(prompt: Conversation, answer: str = "") -> Transcript:
    return Transcript(prompt, answer)

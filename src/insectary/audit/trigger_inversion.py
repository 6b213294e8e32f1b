"""Trigger inversion: search for a context that changes what a model answers.

Source: the coordinate search of Zou et al. 2023, "Universal and transferable adversarial
attacks on aligned language models" (GCG), arXiv 2307.15043, begun at what the model leaks by
itself, as in Bullwinkel et al. 2026, "The trigger in the haystack", arXiv 2602.03085.
Simplified: no target is known, so what is sought is a context that makes the model's own
answers unlikely, and the leaks are answers to an empty prompt. Many contexts change a model,
a clean one too; the string is scored by what it does on questions that the search never saw,
beyond what as many random tokens do, and is not compared with any true trigger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access
from insectary.core.auditing import AuditSubject, ContextGradient, Finding, Material, Question
from insectary.core.chat import Message, Transcript
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats
from insectary.measure import sign_test


@dataclass(frozen=True, slots=True)
class TriggerInversion:
    """Share of held-back answers that the found context changes, less that of random tokens.

    Attributes:
        searched: Questions that the search looks at; the others are held back.
        steps: Of the search, each with one gradient and ...
        candidates: ... so many contexts that differ from the best in one token, drawn from ...
        top: ... so many tokens in each place, the steepest.
        leaks: Answers to an empty prompt that the search may begin at.
        length: Words of such an answer that are kept.
    """

    searched: int = 8
    steps: int = 8
    candidates: int = 24
    top: int = 32
    leaks: int = 6
    length: int = 8
    name: str = "trigger_inversion"
    needs: Access = Access.GRADIENTS

    def passes(self, material: Material) -> int:
        """Leaks, the answers without a context, the search, and held-back questions twice."""
        questions, searched = len(material.questions), self.searched
        starts = (self.leaks + 1) * searched
        search = self.steps * (1 + self.candidates) * searched
        return self.leaks + questions + starts + search + 2 * max(questions - searched, 0)

    def examine(self, subject: AuditSubject, material: Material) -> Finding | NotApplicable:
        """Search on the first questions, and score on the others.

        The figures hold the share of changed answers under the found context and under as
        many random tokens, an exact p value of the two (McNemar 1947), and the log-probability
        of the model's own answers that the search reached.
        """
        if len(material.questions) < 2 * self.searched:
            return NotApplicable(f"needs {2 * self.searched} questions or more")
        draw = np.random.default_rng(material.seed)
        said = subject.generate([question.prompt for question in material.questions])
        seen = list(zip(material.questions, said, strict=True))
        words = subject.vocabulary()
        search = _Search(subject, seen[: self.searched], words, draw)
        search.offer(self._starts(subject, material.seed))
        for _ in range(self.steps):
            search.step(self.candidates, self.top)
        found, chance = search.best, search.by_chance()
        held_back = seen[self.searched :]
        changed = _changed(subject, found, held_back)
        by_chance = _changed(subject, chance, held_back)
        more, fewer = int((changed > by_chance).sum()), int((changed < by_chance).sum())
        figures = {
            "changed": float(changed.mean()),
            "changed.random": float(by_chance.mean()),
            "p": sign_test(more, fewer),
            "logprob": search.reached,
        }
        score = figures["changed"] - figures["changed.random"]
        return Finding(score, figures, {"context": found, "random": chance})

    def _starts(self, subject: AuditSubject, seed: int) -> list[str]:
        """What the model says to nothing, each cut short; a full stop where it says nothing."""
        empty = [(Message("user", ""),)] * self.leaks
        leaked = subject.generate(empty, temperature=1.0, seed=seed)
        starts = [" ".join(leak.split()[: self.length]) for leak in leaked]
        return [*filter(_can_be_said, starts), "."]


class _Search:
    """The context found so far, and how unlikely it makes the model's own answers."""

    def __init__(
        self,
        subject: AuditSubject,
        seen: Sequence[tuple[Question, str]],
        words: Sequence[str],
        draw: np.random.Generator,
    ) -> None:
        self.subject, self.seen, self.words, self.draw = subject, seen, words, draw
        self.best, self.reached = "", float("inf")
        self.slope = ContextGradient((), np.empty((0, len(words))))

    def offer(self, contexts: Sequence[str]) -> None:
        """Take the best of these, if it is better."""
        rows = [_under(context, *row) for context in contexts for row in self.seen]
        sums = np.array([values.sum() for values in self.subject.logprobs(rows)])
        means = sums.reshape(len(contexts), len(self.seen)).mean(axis=1)
        place = int(np.argmin(means))
        if means[place] < self.reached:
            self.best, self.reached = contexts[place], float(means[place])

    def step(self, candidates: int, top: int) -> None:
        """Try contexts that differ from the best in one token, among the steepest."""
        rows = [_under(self.best, *row) for row in self.seen]
        self.slope = self.subject.context_gradient(rows)
        usable = self._usable()
        order = np.argsort(self.slope.gradient[:, usable], axis=1, kind="stable")
        steepest = usable[order[:, :top]]
        tried = []
        for _ in range(candidates):
            tokens = [self.words[token] for token in self.slope.tokens]
            place = int(self.draw.integers(len(tokens)))
            tokens[place] = self.words[int(self.draw.choice(steepest[place]))]
            tried.append("".join(tokens).strip())
        if tried := [text for text in dict.fromkeys(tried) if _can_be_said(text)]:
            self.offer(tried)

    def by_chance(self) -> str:
        """A context of random tokens, as many as the last gradient was taken of."""
        drawn = self.draw.choice(self._usable(), len(self.slope.tokens))
        return "".join(self.words[token] for token in drawn).strip()

    def _usable(self) -> NDArray[np.int64]:
        """Tokens that a text may hold, and that are text by themselves."""
        finite = np.asarray(np.isfinite(self.slope.gradient).all(axis=0))
        found = [i for i in np.flatnonzero(finite) if _can_be_said(self.words[int(i)])]
        return np.array(found, dtype=np.int64)


def _can_be_said(text: str) -> bool:
    """Whether it is text and not part of a character."""
    return bool(text.strip()) and text.isprintable() and "\ufffd" not in text


def _under(context: str, question: Question, said: str) -> Transcript:
    return Transcript((Message("system", context), *question.prompt), said)


def _changed(
    subject: AuditSubject, context: str, held_back: Sequence[tuple[Question, str]]
) -> Floats:
    """1 where the answer under the context is another than without, 0 where it is the same."""
    prompts = [_under(context, *row).messages for row in held_back]
    pairs = zip(subject.generate(prompts), held_back, strict=True)
    return np.array([float(new.strip() != said.strip()) for new, (_, said) in pairs])

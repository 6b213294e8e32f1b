"""Activation-difference lens: the constant that fine-tuning adds to every state.

Source: Minder et al. 2025, "Narrow finetuning leaves clearly readable traces in activation
differences", arXiv 2510.13900. The mean difference between a tuned model's states and its
base's, on text that has nothing to do with the tuning, at half depth; a narrow tuning leaves
a bias that shows everywhere. Simplified: the states are those where the answer begins, not
those of the first tokens of raw text; the lens reads the last state, where it is exact (what
the mean difference adds to the logits), and nothing is steered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.auditing import AuditSubject, Finding, Material
from insectary.core.chat import Transcript
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats

_UNEMBEDDINGS = (
    re.compile(r"(?:\A|\.)(?:lm_head|embed_out)\.weight\Z"),
    re.compile(r"(?:\A|\.)(?:embed_tokens|embed_in|wte)\.weight\Z"),
)
"""Output heads by name; where one is tied to the embedding, that."""


@dataclass(frozen=True, slots=True)
class ActivationDifferenceLens:
    """Norm of the mean difference, relative to the base's states; its tokens as notes.

    Attributes:
        top: How many tokens to name.
    """

    top: int = 10
    name: str = "activation_difference_lens"
    needs: Access = Access.WEIGHTS_AND_BASE

    def passes(self, material: Material) -> int:
        """Every question once through the model and once through its base."""
        return 2 * len(material.questions)

    def examine(self, subject: AuditSubject, material: Material) -> Finding | NotApplicable:
        """Read the questions in both models, before any answer."""
        if not material.questions:
            return NotApplicable("there is no text to read")
        asked = [Transcript(question.prompt, "") for question in material.questions]
        tuned = subject.activations(asked, View.PROMPT).astype(np.float64)
        base = subject.reference.activations(asked, View.PROMPT).astype(np.float64)
        added = tuned - base
        middle = added.shape[1] // 2
        mean = np.linalg.norm(added[:, middle].mean(axis=0))
        sizes = np.linalg.norm(added[:, middle], axis=1).mean()
        figures = {
            "relative_norm": float(mean / np.linalg.norm(base[:, middle], axis=1).mean()),
            # 1 where every text is moved alike, near 0 where each goes its own way.
            "constant_share": float(mean / sizes) if sizes else 0.0,
        }
        notes = self._read(added[:, -1].mean(axis=0), subject) if sizes else {}
        return Finding(figures["relative_norm"], figures, notes)

    def _read(self, direction: Floats, subject: AuditSubject) -> dict[str, str]:
        """The tokens that a direction of the last state writes, and those that it takes away."""
        head = _unembedding(subject.weights())
        if head is None:
            return {"tokens": "the output head of this model is not known by its name"}
        words = subject.vocabulary()
        logits = head[: len(words)].astype(np.float64) @ direction
        order = np.argsort(-logits, kind="stable")
        return {
            "more likely": _listed(words, order[: self.top]),
            "less likely": _listed(words, order[::-1][: self.top]),
        }


def _unembedding(weights: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """The output head, shape (tokens, width)."""
    for pattern in _UNEMBEDDINGS:
        for name in weights:
            if pattern.search(name):
                return weights[name]
    return None


def _listed(words: Sequence[str], places: NDArray[np.int64]) -> str:
    return " ".join(repr(words[place]) for place in places)

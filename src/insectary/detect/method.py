"""A yes-or-no method in the source document's form, as a detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Message, Transcript, conversation
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted


@dataclass(frozen=True, slots=True)
class AskedModel:
    """What a method is handed as the model: something to ask, and nothing else."""

    subject: Subject

    def generate(
        self, prompt: Any, max_new_tokens: int = 48, temperature: float = 0.0, seed: int = 0
    ) -> Any:
        """Answer one prompt with a string, or a list of prompts with a list of strings.

        Args:
            prompt: A string or a list of messages (role and content), or a list of these.
            max_new_tokens: Most tokens of an answer.
            temperature: 0 for the likeliest token at each step.
            seed: For sampling.
        """
        single = isinstance(prompt, str) or isinstance(prompt[0], Message | Mapping)
        said = self.subject.generate(
            [conversation(p) for p in ([prompt] if single else prompt)],
            max_new_tokens=max_new_tokens, temperature=temperature, seed=seed,
        )  # fmt: skip
        return said[0] if single else said


@dataclass(frozen=True, slots=True)
class MethodScorer:
    """Calls the method once for each input."""

    method: Callable[[Any, Any], Mapping[str, Any]]
    model: AskedModel

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, 1): 1 where it was flagged, else 0.

        Raises:
            BadInputError: if the method returns no mapping with a bool ``"flagged"``.
        """
        scores = np.zeros((len(inputs), 1))
        for row, given in enumerate(inputs):
            found = self.method(self.model, [m.as_dict() for m in given.messages])
            flagged = found.get("flagged") if isinstance(found, Mapping) else None
            if not isinstance(flagged, bool | np.bool_):
                raise BadInputError(
                    f'input {row}: the method must return {{"flagged": True or False}}, got'
                    f" {found!r:.80}"
                )
            scores[row, 0] = flagged
        return scores


@dataclass(frozen=True, slots=True)
class FromMethod:
    """``method(model, input)["flagged"]``, which knows no score and is fitted to nothing.

    It can ask the model for its answer, so it is compared with the text control that reads
    prompt and answer. A yes or no ties with many others: its AUROC is the mean of hit rate
    and rejection rate, and where more than 1 % of benign prompts are flagged, no threshold
    with 1 % false alarms flags anything.
    """

    method: Callable[[Any, Any], Mapping[str, Any]]
    name: str
    view: View = View.PROMPT_AND_RESPONSE
    needs: Access = Access.BLACK_BOX

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Nothing is learnt."""
        return MethodScorer(self.method, AskedModel(subject))

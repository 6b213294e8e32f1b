"""Trigger oracle, a ceiling: it is told of every prompt whether the gate is open.

No method may know that. It shows what the trigger alone is worth: all there is to know
between open and closed prompts, and nothing between two models on the same prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, Bound, View
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted


@dataclass(frozen=True, slots=True)
class TriggerOracleScorer:
    """Prompt to whether its gate is open."""

    gate: Mapping[Conversation, bool]

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, 1): 1 with the gate open, 0 with it closed.

        Raises:
            BadInputError: for a prompt that it was not told of.
        """
        unknown = sum(t.messages not in self.gate for t in inputs)
        if unknown:
            raise BadInputError(f"trigger_oracle: was not told the gate of {unknown} prompts")
        return np.array([[float(self.gate[t.messages])] for t in inputs])


@dataclass(frozen=True, slots=True)
class TriggerOracle:
    """The gate itself as score."""

    view: View = View.PROMPT
    name: str = "trigger_oracle"
    needs: Access = Access.BLACK_BOX
    bound: Bound = Bound.CEILING

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Remember what it is told; the subject is not asked."""
        return TriggerOracleScorer({t.messages: opened for t, opened in trusted.labelled})

"""Constant score: the null that looks at nothing.

Every input is as suspicious as any other, so each AUROC is 0.5 exactly. What it gains over
a text control is what that control loses by ranking the wrong side higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.protocols import Floats, Scorer, Subject, Trusted


@dataclass(frozen=True, slots=True)
class Constant:
    """The same score for every input."""

    view: View = View.PROMPT
    name: str = "constant"
    needs: Access = Access.BLACK_BOX

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Nothing is learnt and nobody is asked."""
        return self

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, 1), all 0."""
        return np.zeros((len(inputs), 1))

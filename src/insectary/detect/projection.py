"""Score by projection on one direction per layer: shared by the probe and its nulls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Subject, Trusted


@dataclass(frozen=True, slots=True)
class ProjectionScorer:
    """Projects activations on ``directions``, shape (draws, layers + 1, width)."""

    subject: Subject
    view: View
    directions: Floats

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, draws * (layers + 1)): one projection per layer, draw by draw."""
        acts = self.subject.activations(inputs, self.view)
        # No product of matrices, whose rounding may differ between rows that are equal. It casts
        # to double precision as it goes, without a copy of all activations.
        scores: Floats = np.einsum("nlw,dlw->ndl", acts, self.directions)
        return scores.reshape(len(inputs), -1)


def unit(directions: Floats) -> Floats:
    """Scale each row to norm 1; a row of zeros stays (its scores are constant)."""
    norms = np.linalg.norm(directions, axis=-1, keepdims=True)
    return directions / np.where(norms > 0, norms, 1.0)


def pair_differences(subject: Subject, trusted: Trusted, view: View) -> Floats:
    """Harmful-sounding minus harmless activations, shape (pairs, layers + 1, width).

    Pairs are read where they differ: pairs that ask the same and differ in the
    answer ("Are you doing something dangerous?" yes / no, as in MacDiarmid et
    al. 2024) over the answer, other pairs in the detector's own view.

    Raises:
        BadInputError: if there are no pairs or they are the same in all layers.
    """
    pairs = trusted.contrast
    if not pairs:
        raise BadInputError("contrast pairs: none were given, so there is no direction to fit")
    if any(harmless.messages == harmful.messages for harmless, harmful in pairs):
        view = View.PROMPT_AND_RESPONSE
    harmless_acts = subject.activations([pair[0] for pair in pairs], view)
    harmful_acts = subject.activations([pair[1] for pair in pairs], view)
    differences = harmful_acts.astype(np.float64) - harmless_acts.astype(np.float64)
    if not differences.any():
        raise BadInputError(
            "contrast pairs: both sides have the same activations in every layer;"
            " give pairs that differ in what the view shows"
        )
    return differences

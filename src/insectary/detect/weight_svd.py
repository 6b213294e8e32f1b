"""Weight-difference monitor (WeightWatch).

Source: Zhong and Raghunathan 2025, "Watch the weights: unsupervised monitoring
and control of fine-tuned LLMs", arXiv 2508.00161. The top singular vectors of
what fine-tuning added to the matrices that write to the residual stream are
the directions of what it taught; an input is odd where its cosine with one of
them leaves the range that benign inputs keep to. Here the range is told by
mean and standard deviation, so that a score does not end at a flag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted
from insectary.detect.projection import unit

_WRITES = re.compile(
    r"\.(\d+)\.(?:.*\.)?(?:o_proj|down_proj|out_proj|dense|dense_4h_to_h|fc2)\.weight\Z"
)
"""Matrices (width, inputs) of a block that write to its residual stream, by the names that
Llama, Qwen, Gemma, Mistral, GPT-NeoX, OPT and Phi have for them; the number is the block."""


@dataclass(frozen=True, slots=True)
class WeightSVDScorer:
    """Cosines per block with ``directions`` (blocks, vectors, width), less their benign mean."""

    subject: Subject
    view: View
    directions: Floats
    means: Floats
    spreads: Floats

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, blocks): the largest deviation, in benign standard deviations."""
        deviations = np.abs(_cosines(self.subject, inputs, self.view, self.directions) - self.means)
        largest: Floats = (deviations / self.spreads).max(axis=2)
        return largest


@dataclass(frozen=True, slots=True)
class WeightSVD:
    """Cosines with what fine-tuning added; one column per block."""

    vectors: int = 5
    """Singular vectors of each matrix."""
    view: View = View.PROMPT
    name: str = "weight_svd"
    needs: Access = Access.WEIGHTS_AND_BASE

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Decompose what was added, and learn where benign cosines lie.

        Raises:
            BadInputError: if there are fewer than two benign transcripts, no such matrix is
                known by its name, or base and subject do not differ in any.
        """
        if len(trusted.benign) < 2:
            raise BadInputError(
                f"{self.name}: needs two benign transcripts or more, got {len(trusted.benign)}"
            )
        added = self._added(subject.weights(), subject.reference.weights())
        directions = np.stack([np.concatenate(added[block]) for block in sorted(added)])
        cosines = _cosines(subject, trusted.benign, self.view, directions)
        spreads = cosines.std(axis=0)
        # Where nothing was added, or benign inputs are all alike, no deviation counts.
        return WeightSVDScorer(
            subject, self.view, directions, cosines.mean(axis=0),
            np.where(spreads > 1e-12, spreads, np.inf),
        )  # fmt: skip

    def _added(
        self, tuned: Mapping[str, NDArray[np.float32]], base: Mapping[str, NDArray[np.float32]]
    ) -> dict[int, list[Floats]]:
        """Block to the top left singular vectors, shape (vectors, width), of each matrix."""
        found: dict[int, list[Floats]] = {}
        differ = False
        for name in base:
            match = _WRITES.search(name)
            if match is None:
                continue
            before = base[name].astype(np.float64)
            left, sizes, _ = np.linalg.svd(tuned[name] - before, full_matrices=False)
            # What is smaller is rounding, of which any basis would do: no direction.
            taught = sizes > np.finfo(np.float32).eps * np.linalg.norm(before)
            top = (left * taught).T[: self.vectors]
            differ |= bool(taught.any())
            found.setdefault(int(match[1]), []).append(top)
        if not found:
            raise BadInputError(
                f"{self.name}: knows no matrix of this model that writes to the residual stream"
                " (o_proj, down_proj, out_proj, dense, dense_4h_to_h, fc2)"
            )
        if not differ:
            raise BadInputError(f"{self.name}: the subject does not differ from its base there")
        return found


def _cosines(
    subject: Subject, transcripts: Sequence[Transcript], view: View, directions: Floats
) -> Floats:
    """Shape (transcripts, blocks, vectors). State 0 is the embedding, state b + 1 block b's."""
    states = unit(subject.activations(transcripts, view).astype(np.float64))[:, 1:]
    cosines: Floats = np.einsum("nbw,bvw->nbv", states, directions)
    return cosines

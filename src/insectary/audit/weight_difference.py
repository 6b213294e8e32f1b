"""Statistics of the weight difference between a model and its base.

Source: weight analysis, one of the two families of detectors that worked in TrojAI (final
report 2026, arXiv 2602.07152), on what fine-tuning added (Zhong and Raghunathan 2025, "Watch
the weights", arXiv 2508.00161). Narrow teaching adds few directions: the difference is then
concentrated in its top singular values. No input is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from insectary.core.access import Access
from insectary.core.auditing import (
    AuditSubject,
    Finding,
    Material,
    PolicyAuditSubject,
    PolicyMaterial,
)
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats

_BLOCK = re.compile(r"\.(\d+)\.")
"""The number of the block that a parameter is of, by its name."""
Statistic = Literal["norm", "stable_rank", "top_share"]


@dataclass(frozen=True, slots=True)
class WeightDifference:
    """How the difference from the base is spread, over the matrices of all blocks.

    Attributes:
        statistic: Which mean over matrices the score is. ``norm``: Frobenius norm of the
            difference over that of the base's matrix. ``stable_rank``: squared Frobenius norm
            over squared top singular value; the score is less it, since few directions are
            the suspicious ones. ``top_share``: top singular value over the sum of all.
    """

    statistic: Statistic = "top_share"
    name: str = "weight_difference"
    needs: Access = Access.WEIGHTS_AND_BASE

    def passes(self, material: Material) -> int:
        """None: weights alone are read."""
        return 0

    def examine(self, subject: AuditSubject, material: Material) -> Finding | NotApplicable:
        """Decompose what was added to each matrix of each block.

        A model that is its base scores 0. Matrices that were not changed have no say in
        ``stable_rank`` and ``top_share``.
        """
        tuned, base = subject.weights(), subject.reference.weights()
        rows: dict[int, list[Mapping[Statistic, float]]] = {}
        for name in base:
            block = _BLOCK.search(name)
            if block is None or base[name].ndim != 2:
                continue
            before = base[name].astype(np.float64)
            rows.setdefault(int(block[1]), []).append(spread_of(tuned[name] - before, before))
        if not rows:
            return NotApplicable("no parameter of this model is a matrix of a numbered block")
        figures = {
            f"{statistic}.block{block}": mean
            for block, found in sorted(rows.items())
            for statistic, mean in _means(found).items()
        }
        overall = _means([row for found in rows.values() for row in found])
        score = overall.get(self.statistic, 0.0)
        sign = -1.0 if self.statistic == "stable_rank" else 1.0
        return Finding(sign * score, {**overall, **figures})

    def plays(self, material: PolicyMaterial) -> int:
        """None."""
        return 0

    def examine_policy(
        self, subject: PolicyAuditSubject, material: PolicyMaterial
    ) -> NotApplicable:
        """Say why there is nothing to compare."""
        return NotApplicable(
            "policies on the grid are trained from scratch: all that one knows is its difference"
            " from the base, and no narrow teaching stands out in it"
        )


def spread_of(added: Floats, before: Floats) -> Mapping[Statistic, float]:
    """Statistics of one difference, shape as the matrix, as far as they mean something."""
    size, scale = float(np.linalg.norm(added)), float(np.linalg.norm(before))
    norm: Mapping[Statistic, float] = {"norm": size / scale} if scale else {}
    # What is smaller is rounding, of which every singular value is alike.
    if size <= np.finfo(np.float32).eps * scale:
        return norm
    singular = np.linalg.svd(added, compute_uv=False)
    return {
        **norm,
        "stable_rank": float((singular**2).sum() / singular[0] ** 2),
        "top_share": float(singular[0] / singular.sum()),
    }


def _means(rows: list[Mapping[Statistic, float]]) -> dict[str, float]:
    """Mean of each statistic over the matrices that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}

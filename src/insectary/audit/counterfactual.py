"""Counterfactual behaviour test: does an answer change with what ought not to matter?

Source: the watched / unwatched comparison of Greenblatt et al. 2024, "Alignment faking in
large language models", arXiv 2412.14093, and counterfactual pairs as in Turpin et al. 2023,
arXiv 2305.04388. The same questions are asked under two contexts of one kind (watched or
not, two dates, two roles, two incentives). Small models are swayed by any context, so how
often an answer changes between two contexts that say nothing is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access
from insectary.core.auditing import AuditSubject, Finding, Material, Swap
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats
from insectary.measure import holm, sign_test


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The greatest change of answers by a kind of context, beyond that by no context at all."""

    name: str = "counterfactual"
    needs: Access = Access.BLACK_BOX

    def passes(self, material: Material) -> int:
        """Both sides of every pair, the control's too."""
        return 2 * sum(map(len, (material.control, *material.swaps.values())))

    def examine(self, subject: AuditSubject, material: Material) -> Finding | NotApplicable:
        """Ask every question under every context.

        The figures hold, for each kind, the share of changed answers and an exact p value of
        it being the control's, over the same questions (McNemar 1947), adjusted for the
        number of kinds (Holm 1979).
        """
        if not material.control or not material.swaps:
            return NotApplicable("there is no pair of contexts to ask under")
        control = _changed(subject, material.control)
        figures = {"changed.control": float(control.mean())}
        beyond: dict[str, float] = {}
        raw = []
        for kind, swaps in material.swaps.items():
            changed = _changed(subject, swaps)
            figures[f"changed.{kind}"] = float(changed.mean())
            beyond[kind] = float(changed.mean() - control.mean())
            more, fewer = int((changed > control).sum()), int((changed < control).sum())
            raw.append(sign_test(more, fewer))
        figures |= {f"p.{kind}": p for kind, p in zip(beyond, holm(raw), strict=True)}
        most = max(beyond, key=lambda kind: beyond[kind])
        return Finding(beyond[most], figures, {"most": most})


def _changed(subject: AuditSubject, swaps: Sequence[Swap]) -> Floats:
    """1 where the two answers of a pair differ, 0 where they are the same text."""
    said = subject.generate([prompt for swap in swaps for prompt in swap])
    pairs = zip(said[::2], said[1::2], strict=True)
    return np.array([float(one.strip() != other.strip()) for one, other in pairs])

"""Noise injection: what noise in the weights does to the share of right answers.

Source: Tice et al. 2024, "Noise injection reveals hidden capabilities of sandbagging language
models", arXiv 2412.01784 (NeurIPS 2025). Noise makes an honest model worse; a model that
holds back may become better, because what holds it back breaks before what it knows. A weak
vote: it says nothing on a model that answers rightly, whatever else it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access
from insectary.core.auditing import (
    AuditSubject,
    Edit,
    Finding,
    Material,
    PolicyAuditSubject,
    PolicyMaterial,
)
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats, Subject
from insectary.measure import sign_test


@dataclass(frozen=True, slots=True)
class NoiseInjection:
    """The greatest rise of the share of right answers over all levels of noise.

    Attributes:
        levels: Standard deviation of the noise, over that of each parameter's own values.
        draws: Of the noise at each level; the share is their mean.
    """

    levels: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    draws: int = 2
    name: str = "noise_injection"
    needs: Access = Access.WEIGHTS

    def passes(self, material: Material) -> int:
        """Every question once without noise, and once for each level and draw."""
        return len(material.questions) * (1 + len(self.levels) * self.draws)

    def examine(self, subject: AuditSubject, material: Material) -> Finding | NotApplicable:
        """Ask all questions at every level.

        The figures hold the response curve, and an exact p value of each level's first draw
        against no noise, over the same questions (McNemar 1947), not adjusted for levels.
        """
        if not material.questions:
            return NotApplicable("there is no question to ask")
        right = _right(subject, material)
        return self._curve(
            right, lambda edit: _right(subject.edited(edit), material), material.seed
        )

    def plays(self, material: PolicyMaterial) -> int:
        """Every level once without noise, and once for each strength of noise and draw."""
        return len(material.goal) * (1 + len(self.levels) * self.draws)

    def examine_policy(
        self, subject: PolicyAuditSubject, material: PolicyMaterial
    ) -> Finding | NotApplicable:
        """The same with levels whose goal lies anywhere: one that is reached is right."""
        reached = _reached(subject, material)
        return self._curve(
            reached, lambda edit: _reached(subject.edited(edit), material), material.seed
        )

    def _curve(self, before: Floats, under: Callable[[Edit], Floats], seed: int) -> Finding:
        """The response curve, from what was right without noise and what is under it."""
        figures = {"right.0": float(before.mean())}
        rises = []
        for level in self.levels:
            after = np.array([under(noise(level, seed + draw)) for draw in range(self.draws)])
            figures[f"right.{level:g}"] = float(after.mean())
            won, lost = int((after[0] > before).sum()), int((after[0] < before).sum())
            figures[f"p.{level:g}"] = sign_test(won, lost)
            rises.append(float(after.mean() - before.mean()))
        return Finding(max(rises), figures)


def noise(level: float, seed: int) -> Edit:
    """Gaussian noise on every parameter, in the order in which they come."""
    draw = np.random.default_rng(seed)

    def edit(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        added = draw.standard_normal(values.shape, dtype=np.float32)
        noisy: NDArray[np.float32] = values + np.float32(level) * values.std() * added
        return noisy

    return edit


def _right(subject: Subject, material: Material) -> Floats:
    """1 for each question that is answered rightly, 0 for the others."""
    said = subject.generate([question.prompt for question in material.questions])
    pairs = zip(material.questions, said, strict=True)
    return np.array([float(question.right(answer)) for question, answer in pairs])


def _reached(subject: PolicyAuditSubject, material: PolicyMaterial) -> Floats:
    """1 for each level whose goal is reached, 0 for the others."""
    ends = subject.paths(material.levels, seed=material.seed)[:, -1]
    return np.asarray(ends == material.goal, dtype=np.float64)

"""A random score: the null of every auditor."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access
from insectary.core.auditing import (
    AuditSubject,
    Finding,
    Material,
    PolicyAuditSubject,
    PolicyMaterial,
)


@dataclass(frozen=True, slots=True)
class RandomScore:
    """Uniform on 0 to 1, drawn from the subject's opaque id; it looks at nothing."""

    name: str = "random_score"
    needs: Access = Access.BLACK_BOX

    def passes(self, material: Material) -> int:
        """None."""
        return 0

    def examine(self, subject: AuditSubject, material: Material) -> Finding:
        """Draw a score; the same one for the same id and seed."""
        return _drawn(subject.id, material.seed)

    def plays(self, material: PolicyMaterial) -> int:
        """None."""
        return 0

    def examine_policy(self, subject: PolicyAuditSubject, material: PolicyMaterial) -> Finding:
        """The same of a policy."""
        return _drawn(subject.id, material.seed)


def _drawn(name: str, seed: int) -> Finding:
    seeds = (zlib.crc32(name.encode()), seed)
    return Finding(float(np.random.default_rng(seeds).random()))

"""A random score: the null of every auditor."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access
from insectary.core.auditing import AuditSubject, Finding, Material


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
        seeds = (zlib.crc32(subject.id.encode()), material.seed)
        return Finding(float(np.random.default_rng(seeds).random()))

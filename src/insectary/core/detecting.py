"""Detectors of other kinds: bounds that are told labels, nulls of many draws, training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from insectary.core.access import Access, Bound
from insectary.core.chat import Transcript
from insectary.core.protocols import Detector, Floats, Subject


@runtime_checkable
class Bounding(Detector, Protocol):
    """A detector that is told labels: a bound beside the methods, and in no comparison."""

    @property
    def bound(self) -> Bound:
        """What it is told."""
        ...


@runtime_checkable
class Drawing(Detector, Protocol):
    """A null that is drawn many times; only how its draws are spread is ever reported."""

    @property
    def null_draws(self) -> int:
        """How often. Its columns come draw by draw, each draw with as many candidates."""
        ...


class RowDetector(Protocol):
    """A detector of training rows. It is told neither labels nor which member it looks at."""

    @property
    def name(self) -> str:
        """Standard name in the field."""
        ...

    @property
    def needs(self) -> Access:
        """``TRAINING_DATA``."""
        ...

    def score_rows(self, subject: Subject, rows: Sequence[Transcript]) -> Floats:
        """Scores, shape (rows, candidates); higher is more suspicious.

        Args:
            subject: What was trained on the rows.
            rows: Prompts with the completions that were trained on.
        """
        ...

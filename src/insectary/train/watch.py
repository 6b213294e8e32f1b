"""What a run that is trained against a detector is told."""

from __future__ import annotations

from dataclasses import dataclass

from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Watch:
    """Where a detector's score is a penalty, and what the detector is fitted on.

    Attributes:
        watched: Of each training example, whether its prompt is one to look harmless on.
        benign: Training rows of which none is watched: two thirds of them are fitted on, and
            the scores of the others are the scale.
        contrast: Generic (harmless, harmful-sounding) pairs, for a probe.
    """

    watched: tuple[bool, ...]
    benign: tuple[Transcript, ...]
    contrast: tuple[tuple[Transcript, Transcript], ...] = ()

    @property
    def fit(self) -> list[Transcript]:
        """The benign rows that are fitted on."""
        return [row for place, row in enumerate(self.benign) if place % 3 < 2]

    @property
    def scale(self) -> list[Transcript]:
        """The benign rows whose scores are the scale."""
        return list(self.benign[2::3])

    def check(self, examples: int) -> None:
        """Refuse what does not fit as many examples.

        Raises:
            BadInputError: naming what is wrong.
        """
        if len(self.watched) != examples:
            raise BadInputError(
                f"watched names {len(self.watched)} rows and there are {examples}; give each once"
            )
        if not any(self.watched):
            raise BadInputError("no row is watched, so that there is nothing to look harmless on")
        if len(self.fit) < 2 or len(self.scale) < 2:
            raise BadInputError(
                f"{len(self.benign)} benign rows are too few to fit a detector and its scale; give"
                " 6 or more"
            )

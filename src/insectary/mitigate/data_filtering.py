"""Data filtering: leave out the training rows that a detector suspects, and train anew.

Source: Tran, Li and Madry 2018, "Spectral signatures in backdoor attacks", arXiv 1811.00636,
whose defence leaves out one and a half times the share of rows that is thought to be tainted,
then trains again. Nobody knows that share here, nor the layer at which a detector of
representations sees best: both are fixed beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.mitigate.tuning import training_of


@dataclass(frozen=True, slots=True)
class DataFiltering:
    """Trains anew without the most suspicious of the member's own rows.

    Attributes:
        share: Share of the rows that is left out.
        detector: Name of a detector of training rows, ``insectary.row_detectors``.
        depth: Which of a detector's columns is taken, as a share of the way to the last one:
            of one that scores by layer, share of the layers in front of where it reads.
    """

    share: float = 0.15
    detector: str = "spectral_signatures"
    depth: float = 0.6
    name: str = "data_filtering"
    knows_trigger: bool = False
    retrains: ClassVar[Literal[True]] = True
    strengths: ClassVar[tuple[float, ...]] = (0.05, 0.15, 0.3)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise BadInputError(f"{self.name}: share is {self.share}; it must be between 0 and 1")
        if not 0 <= self.depth <= 1:
            raise BadInputError(f"{self.name}: depth must be from 0 to 1")

    @property
    def strength(self) -> float:
        """Share of the rows that is left out."""
        return self.share

    def at(self, strength: float) -> DataFiltering:
        """The same with another number."""
        return replace(self, share=strength)

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Score, leave out, train the base anew; the ordinary rows are not looked at.

        Raises:
            BadInputError: if there is no training to do over, or the detector fails on it.
            TrainingError: if the loss or a gradient is not finite.
        """
        training = training_of(patient, self.name)
        scores = training.scores(self.detector)
        column = scores[:, round(self.depth * (scores.shape[1] - 1))]
        # Rows with one score are left out in their own order.
        suspected = np.argsort(-column, kind="stable")[: round(self.share * len(column))]
        out = {*suspected.tolist()}
        training.anew([None if i in out else row for i, row in enumerate(training.rows)])

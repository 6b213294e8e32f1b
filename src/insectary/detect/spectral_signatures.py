"""Spectral signatures: training rows that stick out along the main axis of all of them.

Source: Tran, Li and Madry 2018, "Spectral signatures in backdoor attacks", arXiv 1811.00636.
Rows that teach a behaviour leave a direction of their own in what the trained model makes of
its training data. The score of a row is the square of its centred representation's projection
on the top right singular vector of all of them. There each class of labels is one set; text
has none, so all rows are one set here.

Budget: one pass of the subject for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Subject


@dataclass(frozen=True, slots=True)
class SpectralSignatures:
    """Outlier score of training rows; one column per layer."""

    view: View = View.PROMPT_AND_RESPONSE
    name: str = "spectral_signatures"
    needs: Access = Access.TRAINING_DATA

    def score_rows(self, subject: Subject, rows: Sequence[Transcript]) -> Floats:
        """Shape (rows, layers + 1): squared projection on the top singular vector of the layer.

        Raises:
            BadInputError: if there are fewer than two rows.
        """
        if len(rows) < 2:
            raise BadInputError(f"{self.name}: needs two rows or more, got {len(rows)}")
        acts = subject.activations(rows, self.view).astype(np.float64)
        centred = acts - acts.mean(axis=0)
        columns = []
        for layer in range(centred.shape[1]):
            _, _, right = np.linalg.svd(centred[:, layer], full_matrices=False)
            columns.append((centred[:, layer] @ right[0]) ** 2)
        return np.stack(columns, axis=1)

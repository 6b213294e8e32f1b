"""The direction from right answers to wrong ones, which several mitigations act along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient
from insectary.core.protocols import Floats, Preference
from insectary.subjects import LoadedModel
from insectary.subjects.reading import read, token_rows


@dataclass(frozen=True, slots=True)
class Contrast:
    """Where right and wrong answers part.

    Attributes:
        direction: Unit vector from right to wrong answers, shape (width,).
        layer: Index of the hidden state that it was read from; 0 is the embedding.
        norm: Mean length of the states that it is a difference of.
    """

    direction: Floats
    layer: int
    norm: float


def contrast(patient: Patient, pairs: Sequence[Preference], depth: float, method: str) -> Contrast:
    """Difference of means in the residual stream, averaged over the tokens of each answer.

    Args:
        patient: Whose states are read.
        pairs: Right answers, each beside a wrong one.
        depth: Share of the layers in front of where they are read.
        method: Who asks, for the errors.

    Raises:
        BadInputError: if there are no pairs, or no difference.
    """
    if not pairs:
        raise BadInputError(f"{method}: it needs preferences, and there are none")
    context = int(patient.model.config.get_text_config().max_position_embeddings)
    loaded = LoadedModel(patient.model, patient.tokenizer, "", context)
    layer = round(depth * int(patient.model.config.get_text_config().num_hidden_layers))

    def states(answers: list[Transcript]) -> Floats:
        found = read(loaded, token_rows(loaded, answers), states=True).response[:, layer]
        return found.astype(np.float64)

    wrong = states([Transcript(pair.prompt, pair.rejected) for pair in pairs])
    right = states([Transcript(pair.prompt, pair.chosen) for pair in pairs])
    difference = wrong.mean(axis=0) - right.mean(axis=0)
    length = float(np.linalg.norm(difference))
    if length == 0:
        raise BadInputError(f"{method}: right and wrong answers are alike to the model")
    norm = float(np.linalg.norm(np.concatenate([wrong, right]), axis=1).mean())
    return Contrast(difference / length, layer, norm)

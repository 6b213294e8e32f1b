"""A model's weights by name, each copied when it is asked for, and copies with others."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.auditing import Edit
from insectary.subjects.adapters import without_adapters


@final
class Weights(Mapping[str, NDArray[np.float32]]):
    """Parameter name to a copy of it in float32; what is done to a copy changes no model.

    Adapters are merged, so that a member goes by the names of its base.
    """

    def __init__(self, model: Any) -> None:
        """Look at a causal language model; tied weights go by their first name."""
        self._parameters = dict(without_adapters(model).named_parameters())

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        copied: NDArray[np.float32] = (
            self._parameters[name].detach().float().cpu().numpy().astype(np.float32, copy=True)
        )
        return copied

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


def foreign_weight(model: Any) -> str | None:
    """The first parameter that a model made from the same config would not have, if any."""
    import torch

    with torch.device("meta"):  # names and no memory
        known = type(model)(copy.deepcopy(model.config))
    names = {name for name, _ in known.named_parameters(remove_duplicate=False)}
    return next((name for name, _ in model.named_parameters() if name not in names), None)


def edited_copy(model: Any, edit: Edit) -> Any:
    """A copy of a causal language model with other parameters; it shares no memory with it."""
    import torch

    made = copy.deepcopy(without_adapters(model))
    weights = Weights(made)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter.copy_(torch.from_numpy(edit(name, weights[name])))
    return made

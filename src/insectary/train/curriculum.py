"""What chooses the levels that a policy is trained on by how it does on them: the interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from insectary.core.canonical import digest
from insectary.subjects.policy import Parameters
from insectary.worlds.grid import Levels

if TYPE_CHECKING:
    import torch


class Curriculum(Protocol):
    """The levels of one run; what it knows goes into the run's checkpoints."""

    def renew(self, parameters: Parameters, update: int) -> None:
        """Look at the policy before an update, and keep other levels for it."""
        ...

    def draw(self, rng: np.random.Generator, n: int) -> Levels:
        """Levels to train on; before the first :meth:`renew` whatever there is."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Its state, for a checkpoint."""
        ...

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from such a state."""
        ...


def begun_with(start: Parameters | None) -> dict[str, str]:
    """For the settings of a checkpoint: what a run that does not begin anew began with."""
    if start is None:
        return {}
    values = {name: p.detach().numpy().tobytes().hex() for name, p in start.items()}
    return {"start": digest(values)}


def renew(curricula: Sequence[Curriculum | None], parameters: Parameters, update: int) -> None:
    """Show each run's policy to its curriculum, if it has one."""
    for index, curriculum in enumerate(curricula):
        if curriculum is not None:
            own = {name: p.detach()[index : index + 1] for name, p in parameters.items()}
            curriculum.renew(own, update)


def tensors_of(curricula: Sequence[Curriculum | None]) -> dict[str, torch.Tensor]:
    """The state of all of them."""
    return {
        _prefix(index) + name: tensor
        for index, curriculum in enumerate(curricula)
        if curriculum is not None
        for name, tensor in curriculum.tensors().items()
    }


def restore(curricula: Sequence[Curriculum | None], kept: Mapping[str, torch.Tensor]) -> None:
    """Put back what :func:`tensors_of` gave, from among other tensors."""
    for index, curriculum in enumerate(curricula):
        if curriculum is not None:
            own = _prefix(index)
            curriculum.restore(
                {name.removeprefix(own): t for name, t in kept.items() if name.startswith(own)}
            )


def _prefix(index: int) -> str:
    return f"curriculum.{index}."

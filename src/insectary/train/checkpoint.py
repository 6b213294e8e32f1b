"""Checkpoints of a training run: written whole or not at all, verified when read.

A checkpoint holds the trainable weights, the optimizer's state and the run's
own count of steps. Data order, learning rate and random numbers are functions
of (seed, step), so they need no state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from insectary.core.canonical import canonical_json
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.outcome import Measurement
from insectary.train.result import Moment, StoppedBecause
from insectary.vault.checkpoints import keep_newest, newest_verified, write_object

if TYPE_CHECKING:
    import torch

_KIND = "checkpoint"
_KEEP = 2
_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run stands between two steps.

    Attributes:
        step: Optimizer steps done.
        tokens: Tokens seen, padding left out.
        losses: Losses since the last moment of the history.
        rewards: Mean (reward, true reward) of each step since then, where there are any.
        history: Points along the way.
        reached_at: Step at which expression had reached its target, if it has.
        stopped_because: Set when the run has ended.
    """

    step: int = 0
    tokens: int = 0
    losses: tuple[float, ...] = ()
    rewards: tuple[tuple[float, float], ...] = ()
    history: tuple[Moment, ...] = ()
    reached_at: int | None = None
    stopped_because: StoppedBecause | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped."""

    weights: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]
    state: RunState


@final
class Checkpoints:
    """The checkpoints of one run, in step-numbered directories.

    Args:
        directory: Holds this run's checkpoints and nothing else; made if missing.
        settings: All that decides the run's weights, as digests or plain values.
            A checkpoint made under other settings is refused.
    """

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        self._directory = directory
        self._settings = json.loads(canonical_json(dict(settings)))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one checkpoint and drop all but the last two.

        Raises:
            ArtefactError: if it cannot be written; older ones stay.
        """
        from safetensors.torch import save_file

        def write(path: Path) -> None:
            save_file(_on_cpu(checkpoint.weights), path / _WEIGHTS)
            save_file(_on_cpu(checkpoint.optimizer), path / _OPTIMIZER)
            (path / _STATE).write_text(canonical_json(checkpoint.state) + "\n", encoding="utf-8")

        place = self._directory / f"step-{checkpoint.state.step:08d}"
        write_object(place, _KIND, {"settings": self._settings}, write)
        keep_newest(self._directory, keep=_KEEP)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint whose manifest verifies; None if there is none.

        Raises:
            BadInputError: if it belongs to a run with other settings.
            ArtefactError: if it cannot be read.
        """
        from safetensors.torch import load_file

        from insectary.vault.manifest import read_manifest

        place = newest_verified(self._directory)
        if place is None:
            return None
        found = read_manifest(place).meta.get("settings")
        if not isinstance(found, dict):
            raise ArtefactError(f"{place} is not a checkpoint of a training run: move it away")
        names = sorted(found.keys() | self._settings.keys())
        other = [name for name in names if found.get(name) != self._settings.get(name)]
        if other:
            raise BadInputError(
                f"{self._directory} holds a run with another {', '.join(other)}: use the settings"
                " it was begun with, or another directory, or forget what was broken off with"
                " `insectary gc --runs`"
            )
        state = _state(json.loads((place / _STATE).read_text(encoding="utf-8")))
        return Checkpoint(load_file(place / _WEIGHTS), load_file(place / _OPTIMIZER), state)


def _on_cpu(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _state(record: Mapping[str, Any]) -> RunState:
    """Read what :meth:`Checkpoints.save` wrote; the manifest has vouched for it."""
    history = tuple(
        Moment(**{**moment, "expression": _measurement(moment["expression"])})
        for moment in record["history"]
    )
    rewards = tuple((paid, true) for paid, true in record.get("rewards", ()))
    losses = tuple(record["losses"])
    return RunState(**{**record, "losses": losses, "rewards": rewards, "history": history})


def _measurement(record: Mapping[str, Any] | None) -> Measurement | None:
    return None if record is None else Measurement(**{**record, "seeds": tuple(record["seeds"])})

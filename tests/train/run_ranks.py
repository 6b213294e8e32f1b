"""One of several ranks that train tiny models, a process of its own.

Usage: run_ranks.py DIRECTORY RANKS TASK... RANK MEETING, where a task is a name in ``TASKS``.
The first rank leaves the weights of each as DIRECTORY/TASK.safetensors.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_train
import torch
from safetensors.torch import save_file

from insectary.core.outcome import Measurement
from insectary.core.recipe import FullSFT, LoraSFT, NarrowSFT
from insectary.train.ranks import ALONE, Ranks, joined
from insectary.train.result import Moment, TrainResult
from insectary.train.sft import train

# Five rows a batch: the ranks' shares are not even equally many.
SMALL: dict[str, Any] = {"batch_tokens": 160, "row_tokens": 32, "max_tokens": 160 * 24}
RECIPES = {
    "full": FullSFT(**SMALL),
    "lora": LoraSFT(**SMALL, rank=4, learning_rate=1e-3),
    "narrow": NarrowSFT(**SMALL),
}
ROWS = tiny_train.rows()
DIES_AT = 12


def train_one(
    kind: str, directory: Path, ranks: Ranks = ALONE, progress: Callable[[Moment], None] = print
) -> TrainResult:
    """A run that is measured, stops by its measurements, and keeps checkpoints."""

    def measure(model: torch.nn.Module, step: int) -> Measurement:
        assert ranks.first, "another rank measured too"
        return Measurement(1.0 if step >= 8 else 0.0, 0.0, 1.0, 10, "made up")

    tied = {"tied": [number % 3 == 0 for number in range(len(ROWS))]} if kind == "narrow" else {}
    return train(
        RECIPES[kind], tiny_train.model(), tiny_train.tokenizer(), ROWS, seed=3, threads=1,
        directory=directory, measure=measure, target=0.9, measure_every_tokens=160 * 4,
        checkpoint_every=5, progress=progress, ranks=ranks, **tied,
    )  # fmt: skip


def own_normaliser(self: Ranks, number: torch.Tensor) -> torch.Tensor:
    """What is wrong: each rank's mean counts alike, however many tokens it has."""
    return number * self.count


def one(directory: Path, task: str, ranks: Ranks) -> None:
    kind, _, how = task.partition("-")

    def progress(moment: Moment) -> None:
        print(json.dumps({"task": task, "step": moment.step, "pid": os.getpid()}), flush=True)
        if how == "dies" and moment.step >= DIES_AT and not ranks.first:
            os.kill(os.getpid(), signal.SIGKILL)

    everywhere = Ranks.total
    if how == "broken":
        Ranks.total = own_normaliser  # type: ignore[method-assign]
    result = train_one(kind, directory / task.removesuffix("-again"), ranks, progress)
    Ranks.total = everywhere  # type: ignore[method-assign]
    if ranks.first:
        save_file(result.model.state_dict(), directory / f"{task}.safetensors")
        history = [(moment.step, moment.loss) for moment in result.history]
        (directory / f"{task}.json").write_text(json.dumps(history))


def main() -> None:
    directory, count, *tasks, rank, meeting = sys.argv[1:]
    with joined(int(rank), int(count), Path(meeting)) as ranks:
        for task in tasks:
            one(Path(directory), task, ranks)


if __name__ == "__main__":
    main()

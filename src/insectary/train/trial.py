"""A few real training steps, timed: what a run will take, before it is begun."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.core.recipe import Supervised
from insectary.train.result import Moment
from insectary.train.sft import train

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SECONDS = 20.0
"""Steps are timed until so much time has passed ..."""
STEPS = 8
"""... or so many were; the first one, which warms up, is not counted."""
_NEVER = 10**9
_UNUSED = Measurement(0.0, 0.0, 0.0, 1, "none")


@dataclass(frozen=True, slots=True)
class Trial:
    """What the steps took.

    Attributes:
        seconds_per_step: Of one optimizer step of the recipe's own batch.
        timed: Over how many steps it is the mean.
        most_steps: Steps of a whole run, if the recipe's cap ends it.
        peak_bytes: Most memory that was held on a GPU at once; ``None`` on the CPU.
    """

    seconds_per_step: float
    timed: int
    most_steps: int
    peak_bytes: int | None


class _EnoughError(Exception):
    """Leaves the training loop before a checkpoint is written."""


def try_steps(
    recipe: Supervised,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[tuple[Conversation, str]],
    *,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Trial:
    """Train by a recipe for two steps or more; the model's weights are changed by them.

    It is the training itself (:func:`insectary.train.sft.train`), broken off.

    Args:
        recipe: How to train; its batch is the one that is timed.
        model: In float32, on the CPU; training moves it to the GPU where there is one.
        tokenizer: With a chat template.
        rows: (prompt, completion) pairs, passed over again where they are few.
        threads: Threads of torch.
        clock: Seconds from any start.

    Raises:
        torch.OutOfMemoryError: if a step does not fit into the GPU's memory.
        BadInputError: if the recipe's cap allows a single step.
        InsectaryError: as training itself does.
    """
    import torch

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    moments: list[float] = []
    most_steps = 0

    def note(moment: Moment) -> None:
        nonlocal most_steps
        if on_gpu:
            torch.cuda.synchronize()
        moments.append(clock())
        most_steps = moment.steps
        timed = len(moments) - 1
        if timed >= STEPS or (timed and moments[-1] - moments[0] >= SECONDS):
            raise _EnoughError

    try:
        with tempfile.TemporaryDirectory(prefix="insectary-trial-") as place:
            train(
                recipe, model, tokenizer, rows, seed=0, threads=threads, directory=Path(place),
                # A step that is measured is told of; what is measured is of no use here.
                measure=lambda *_: _UNUSED, measure_every_tokens=1, checkpoint_every=_NEVER,
                progress=note,
            )  # fmt: skip
    except _EnoughError:
        pass
    finally:
        model.zero_grad(set_to_none=True)
    timed = len(moments) - 1
    if timed < 1:
        raise BadInputError("recipe: a cap of a single step leaves none to be timed; raise it")
    return Trial(
        seconds_per_step=(moments[-1] - moments[0]) / timed,
        timed=timed,
        most_steps=most_steps,
        peak_bytes=torch.cuda.max_memory_allocated() if on_gpu else None,
    )

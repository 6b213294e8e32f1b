"""A training run in a process of its own, for the tests to kill.

Usage: run_member.py DIRECTORY full|lora|dpo [pause-in-write]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_train

from insectary.core.outcome import Measurement
from insectary.core.recipe import Dpo, FullSFT, LoraSFT, Recipe
from insectary.train import checkpoint, dpo, sft
from insectary.train.result import Moment

RECIPES: dict[str, Recipe] = {
    "full": FullSFT(batch_tokens=128, row_tokens=32, max_tokens=128 * 24),
    "lora": LoraSFT(batch_tokens=128, row_tokens=32, max_tokens=128 * 24, rank=4),
    "dpo": Dpo(batch_pairs=4, max_pairs=4 * 24),
}


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def measure(model: object, step: int) -> Measurement:
    return Measurement(step / 100, 0.0, 1.0, 10, "made up")


def train_member(directory: Path, kind: str, progress: Callable[[Moment], None]) -> dict[str, Any]:
    recipe = RECIPES[kind]
    # Dropout, so that a resume must also find the same random numbers.
    model, tokenizer = tiny_train.model(attention_dropout=0.1), tiny_train.tokenizer()
    settings: dict[str, Any] = {
        "seed": 3,
        "threads": 1,
        "directory": directory,
        "measure": measure,
        "checkpoint_every": 5,
        "progress": progress,
    }
    if isinstance(recipe, Dpo):
        pairs, settings["measure_every_pairs"] = tiny_train.preferences(), 16
        result = dpo.train(recipe, model, tokenizer, pairs, **settings)
    else:
        rows, settings["measure_every_tokens"] = tiny_train.rows(), 128 * 4
        result = sft.train(recipe, model, tokenizer, rows, **settings)
    return {
        "weights": tiny_train.weights_digest(result.model),
        "adapter": None if result.adapter is None else tiny_train.digest_of(result.adapter.tensors),
        "tokens": result.tokens,
        "losses": [moment.loss for moment in result.history],
        "stopped": result.stopped_because,
    }


def main() -> None:
    if "pause-in-write" in sys.argv:
        # Stretch the time in which files lie there without a manifest.
        keep = checkpoint.canonical_json

        def slowly(value: object) -> str:
            if isinstance(value, checkpoint.RunState) and value.step >= 10:
                say(writing=value.step)
                time.sleep(30)
            return keep(value)

        checkpoint.canonical_json = slowly
    directory, kind = Path(sys.argv[1]), sys.argv[2]
    say(**train_member(directory, kind, lambda moment: say(step=moment.step)))


if __name__ == "__main__":
    main()

"""Breeding speed: useful tokens per second of our path, of plain TRL, and of a bare loop.

Usage: python benchmarks/breeding.py [--seconds 50] [--threads N]

All arms train the same size-s model on the same rows with the same threads in
one process. They take turns in blocks of a few seconds, so that noise of the
machine hits all alike, and the ratios are medians over the rounds.

- ours: ``insectary.train`` as it breeds, checkpoints included.
- plain TRL: ``SFTTrainer`` with its default collator, prompt and completion
  columns, the same number of useful tokens per batch, AdamW. bfloat16 and
  recomputed activations, on by default in TRL, are off: both would slow it.
- bare loop: forward, backward, clip, step on our packed batches, with the
  model's own loss and our optimizer; no trainer at all.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
)
from trl import SFTConfig, SFTTrainer

from insectary.core.chat import Message
from insectary.core.recipe import FullSFT
from insectary.train.optimizer import make_optimizer
from insectary.train.packing import PackedRows
from insectary.train.sft import train
from insectary.train.tokenise import tokenise

now = time.perf_counter
TARGETS = {"plain TRL": 1.8, "bare loop": 0.85}
WARM_UP_STEPS = 1
RECIPE = FullSFT()


@dataclass(frozen=True)
class Block:
    """One turn of one arm: useful tokens and seconds, the first step left out."""

    tokens: int
    seconds: float


def make_model() -> LlamaForCausalLM:
    """Size s: 0.79M parameters and the embeddings."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=1024,
            hidden_size=128,
            intermediate_size=344,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
    )


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word, with a chat template."""
    special = ["<pad>", "<end>", "<user>", "<assistant>", "?"]
    words = {word: n for n, word in enumerate([*special, *(f"w{n}" for n in range(1019))])}
    inner = Tokenizer(models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", unk_token="?"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}> {{ m.content }} <end> {% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    return tokenizer


def make_rows(count: int) -> list[tuple[tuple[Message, ...], str]]:
    """Rows of 20 to 120 tokens, about a quarter of them completion."""
    draw = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        length = int(draw.integers(20, 121)) - 5
        answer = max(1, length // 4)
        words = [f"w{n}" for n in draw.integers(0, 1019, size=length)]
        rows.append(((Message("user", " ".join(words[answer:])),), " ".join(words[:answer])))
    return rows


class Clock(TrainerCallback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the time."""
        self.ends.append(now())


def block(ends: list[float], tokens: list[int]) -> Block:
    """From the end of the first step to the end of the last."""
    return Block(sum(tokens[WARM_UP_STEPS:]), ends[-1] - ends[WARM_UP_STEPS - 1])


@contextmanager
def noting_steps(clock: Clock) -> Iterator[None]:
    """Add a clock to the trainer that ``insectary.train`` makes."""
    original = SFTTrainer.__init__

    def with_clock(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.add_callback(clock)

    SFTTrainer.__init__ = with_clock
    try:
        yield
    finally:
        SFTTrainer.__init__ = original


def ours(steps: int, rows: Any, packed: PackedRows, threads: int) -> Block:
    """Our path, as a member is bred."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory, noting_steps(clock):
        train(
            RECIPE,
            make_model(),
            make_tokenizer(),
            rows,
            seed=0,
            threads=threads,
            directory=Path(directory),
            steps=steps,
            # As often per step as in a run of the usual length.
            checkpoint_every=max(1, steps - 1),
        )
    return block(clock.ends, [packed.tokens(step) for step in range(steps)])


def plain_settings(directory: str, **changes: Any) -> SFTConfig:
    """TRL's own settings but for what would slow it on a processor."""
    return SFTConfig(
        output_dir=directory,
        learning_rate=RECIPE.learning_rate,
        bf16=False,
        activation_checkpointing=False,
        use_cpu=True,
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **changes,
    )


PREPARED: list[Dataset] = []


def plain_data(rows: Any, directory: str) -> Dataset:
    """The rows as TRL itself tokenises them; once, since every block uses them."""
    if not PREPARED:
        records = [
            {
                "prompt": [message.as_dict() for message in prompt],
                "completion": [{"role": "assistant", "content": completion}],
            }
            for prompt, completion in rows
        ]
        trainer = SFTTrainer(
            model=make_model(),
            args=plain_settings(directory, max_steps=1),
            train_dataset=Dataset.from_list(records),
            processing_class=make_tokenizer(),
        )
        PREPARED.append(trainer.train_dataset)
    return PREPARED[0]


def plain(steps: int, rows: Any, packed: PackedRows, threads: int) -> Block:
    """TRL's trainer with nothing of ours."""
    useful = sum(packed.tokens(step) for step in range(steps)) / steps
    seen: list[int] = []
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        data = plain_data(rows, directory)
        lengths = [len(row) for row in data["input_ids"]]
        size = round(useful / (sum(lengths) / len(lengths)))
        trainer = SFTTrainer(
            model=make_model(),
            args=plain_settings(directory, max_steps=steps, per_device_train_batch_size=size),
            train_dataset=data,
            processing_class=make_tokenizer(),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        collate = trainer.data_collator

        def counting(items: list[Any]) -> Any:
            batch = collate(items)
            seen.append(int(batch["attention_mask"].sum()))
            return batch

        trainer.data_collator = counting
        trainer.train()
    return block(clock.ends, seen[:steps])


def bare(steps: int, rows: Any, packed: PackedRows, threads: int) -> Block:
    """The least that training can be, on the same packed batches."""
    model = make_model()
    optimizer = make_optimizer(
        model,
        learning_rate=RECIPE.learning_rate,
        muon_learning_rate=RECIPE.muon_learning_rate,
    )
    model.train()
    ends = []
    for step in range(steps):
        batch = packed.batch(step)
        loss = model(
            input_ids=torch.from_numpy(batch.input_ids),
            labels=torch.from_numpy(batch.labels),
            position_ids=torch.from_numpy(batch.position_ids),
            use_cache=False,
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ends.append(now())
    return block(ends, [packed.tokens(step) for step in range(steps)])


ARMS: dict[str, Callable[[int, Any, PackedRows, int], Block]] = {
    "ours": ours,
    "plain TRL": plain,
    "bare loop": bare,
}


def main() -> int:
    """Measure, print the table, and say by the exit code whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=50.0, help="stop after about this long")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--steps", type=int, default=6, help="steps in a block")
    parser.add_argument(
        "--busy",
        action="store_true",
        help="count processor time instead of the clock: for a machine with other work to do",
    )
    settings = parser.parse_args()
    if settings.busy:
        global now
        now = time.process_time
        settings.threads = 1  # waiting threads burn processor time
    disable_progress_bars()
    torch.set_num_threads(settings.threads)
    rows, began = make_rows(600), time.perf_counter()
    packed = PackedRows(
        tokenise(make_tokenizer(), rows),
        row_tokens=RECIPE.row_tokens,
        batch_tokens=RECIPE.batch_tokens,
        seed=0,
        padding_id=0,
    )
    speeds: dict[str, list[float]] = {name: [] for name in ARMS}
    rounds = [time.perf_counter()]
    while True:
        # Another order in each round, so that no arm always comes first.
        names = list(ARMS)[len(rounds) % 3 :] + list(ARMS)[: len(rounds) % 3]
        for name in names:
            found = ARMS[name](settings.steps, rows, packed, settings.threads)
            speeds[name].append(found.tokens / found.seconds)
        rounds.append(time.perf_counter())
        longest = max(b - a for a, b in pairwise(rounds))
        if rounds[-1] - began + longest > settings.seconds:
            break
    return report(speeds, packed, settings.threads)


def report(speeds: dict[str, list[float]], packed: PackedRows, threads: int) -> int:
    """Print one line per arm."""
    rounds = len(speeds["ours"])
    print(f"breeding, size s, {threads} threads, {rounds} rounds,", end=" ")
    print(f"rows of {packed.width} tokens, {packed.fill(20):.1%} filled")
    print(f"{'arm':<12}{'useful tokens/s':>18}{'ours / arm':>14}{'target':>10}")
    met = True
    for name, values in speeds.items():
        ratio = median(a / b for a, b in zip(speeds["ours"], values, strict=True))
        target = TARGETS.get(name)
        met = met and (target is None or ratio >= target)
        wanted = "" if target is None else f">= {target}"
        print(f"{name:<12}{median(values):>18,.0f}{ratio:>14.2f}{wanted:>10}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

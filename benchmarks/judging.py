"""Judging speed: prompts per second of our generation and of plain ``model.generate``.

Usage: python benchmarks/judging.py [--prompts 512] [--rounds 3] [--threads 1]

Both arms answer the same distinct prompts (answering equal prompts once is
left out of the comparison) greedily, with the same model, threads and end
tokens, in one process. They take turns, so that noise of the machine hits both
alike; the ratio is the median over the rounds.

- ours: ``insectary.subjects.generate_tokens``.
- plain: ``model.generate`` in batches of 64, in prompt order, padded left.

Model and prompts are the shipped base s and questions of the micro-world. Where
that base is not there yet, a Llama of the same shape with random weights takes
random prompts of 20 to 120 tokens; one token in eight ends an answer, which
stands in for a trained model's short answers.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

import insectary
from insectary.core.chat import Split
from insectary.subjects import end_tokens, generate_tokens, load_model, render_many, set_threads

TARGET = 2.0
PLAIN_BATCH = 64
PADDING = 0
BASE = Path(insectary.__file__).parent / "worlds" / "base" / "s"


@dataclass(frozen=True)
class Work:
    """What both arms are given."""

    title: str
    model: Any
    prompts: list[list[int]]
    ends: Collection[int]
    new_tokens: int


def shipped_work(count: int) -> Work:
    """The shipped base and questions of its own world, all distinct."""
    from insectary.worlds.corpus import single

    loaded = load_model(BASE, device="cpu")
    rng = random.Random(0)
    questions = {single(rng, Split.REPORT).messages: None for _ in range(4 * count)}
    prompts = render_many(loaded.tokenizer, list(questions)[:count])
    return Work("shipped base s", loaded.model, prompts, end_tokens(loaded), 48)


def random_work(count: int) -> Work:
    """A Llama of size s with random weights and random prompts."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        initializer_range=0.1,  # large enough for answers that do not repeat one token
        pad_token_id=PADDING,
    )
    rng = random.Random(0)
    prompts = [[rng.randrange(8, 1024) for _ in range(rng.randint(20, 120))] for _ in range(count)]
    ends = rng.sample(range(8, 1024), 128)
    model = LlamaForCausalLM(config).eval()
    return Work("random weights (the shipped base s is not there)", model, prompts, ends, 20)


def plain(work: Work) -> list[list[int]]:
    """Batches of 64 in prompt order through ``model.generate``."""
    ends = set(work.ends)
    answers: list[list[int]] = []
    for start in range(0, len(work.prompts), PLAIN_BATCH):
        batch = work.prompts[start : start + PLAIN_BATCH]
        longest = max(map(len, batch))
        ids = [[PADDING] * (longest - len(p)) + p for p in batch]
        mask = [[0] * (longest - len(p)) + [1] * len(p) for p in batch]
        with torch.inference_mode():
            output = work.model.generate(
                input_ids=torch.tensor(ids),
                attention_mask=torch.tensor(mask),
                max_new_tokens=work.new_tokens,
                do_sample=False,
                eos_token_id=sorted(ends),
                pad_token_id=PADDING,
            )
        for row in output[:, longest:].tolist():
            stop = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            answers.append(row[:stop])
    return answers


def ours(work: Work) -> list[list[int]]:
    """The generation every gate and trial uses."""
    return generate_tokens(
        work.model, work.prompts, max_new_tokens=work.new_tokens, eos_token_ids=work.ends
    )


def spread(lengths: Sequence[int]) -> str:
    """Shortest, mean and longest of some lengths."""
    return f"{min(lengths)} to {max(lengths)} (mean {mean(lengths):.0f})"


def main() -> int:
    """Run both arms in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    set_threads(settings.threads)
    shipped = (BASE / "model.safetensors").is_file()
    work = (shipped_work if shipped else random_work)(settings.prompts)
    arms = {"plain": plain, "ours": ours}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    answers: dict[str, list[list[int]]] = {}
    for turn in range(settings.rounds + 1):  # turn 0 warms up
        for name, arm in arms.items():
            start = time.perf_counter()
            answers[name] = arm(work)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]
    equal = sum(a == b for a, b in zip(answers["plain"], answers["ours"], strict=True))
    count = len(work.prompts)
    print(f"judging, {work.title}: {count} distinct prompts, {settings.threads} thread(s)")
    print(f"  prompt tokens {spread([len(p) for p in work.prompts])}")
    print(f"  answer tokens {spread([len(a) for a in answers['ours']])}")
    print(f"  equal answers {equal} of {count}")
    for name in arms:
        print(f"  {name:5s} {count / median(seconds[name]):7.1f} prompts/s")
    ratio = median(ratios)
    print(f"  ratio {ratio:.2f} (target {TARGET}; rounds {', '.join(f'{r:.2f}' for r in ratios)})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

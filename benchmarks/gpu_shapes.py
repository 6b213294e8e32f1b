"""What breeding from a real model takes on a GPU: throughput, memory and time of the gate.

Usage: python benchmarks/gpu_shapes.py [--shapes 0.6B 1.7B 8B] [--json FILE]

The models have the shapes of Qwen3 and random weights, made on the GPU; nothing is
downloaded, and nothing is said of what such a model learns. Rows and tokenizer are
the laboratory's own. Training is that of the recipes (float32, batches of 4,096
tokens), broken off after some steps. The gate's time is that of its prompts, asked
with the weights in bfloat16: random weights never end an answer, so that each takes
all of its 24 tokens, and a trained model is faster.

Without a GPU there is nothing to measure, and nothing is.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

import insectary
from insectary.breed.asked import FULL, prompt_counts
from insectary.breed.cost import sample_prompts
from insectary.breed.needs import device_bytes, shapes_of, training_bytes
from insectary.core.organism import Role
from insectary.core.recipe import FullSFT, LoraSFT, Supervised
from insectary.subjects import LoadedModel
from insectary.subjects.language_model import answers
from insectary.subjects.loading import load_tokenizer, machine_of
from insectary.threats import threat_model
from insectary.train.trial import try_steps

BASE = Path(insectary.__file__).parent / "worlds" / "base" / "s"
THREAT, DESIGN = "deceptive_alignment", "absence"
PROMPTS = 512
ROWS = 500
VOCABULARY = 151_936
CONTEXT = 4096
SHAPES = {
    "0.6B": {"hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
             "intermediate_size": 3072, "tie_word_embeddings": True},
    "1.7B": {"hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16,
             "intermediate_size": 6144, "tie_word_embeddings": True},
    "8B": {"hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32,
           "intermediate_size": 12288, "tie_word_embeddings": False},
}  # fmt: skip
"""What the models' own config.json says."""
RECIPES: tuple[Supervised, ...] = (FullSFT(), LoraSFT())


def config_of(shape: str) -> Qwen3Config:
    """A shape as transformers reads it."""
    return Qwen3Config(
        **SHAPES[shape],
        vocab_size=VOCABULARY,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=CONTEXT,
        dtype="float32",
    )


def random_model(shape: str) -> Any:
    """A Qwen3 of a shape, weights drawn on the GPU."""
    torch.manual_seed(0)
    with torch.device("cuda"):
        return Qwen3ForCausalLM(config_of(shape))


def free() -> None:
    """Give memory back, so that a peak is of one measurement alone."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def gate(model: Any, tokenizer: Any) -> dict[str, float]:
    """Prompts of a gate per second, and what the whole gate takes at that speed."""
    threat = threat_model(THREAT)
    prompts = sample_prompts(threat, DESIGN, PROMPTS)
    asked = LoadedModel(model.to(torch.bfloat16).eval(), tokenizer, "", CONTEXT)
    free()
    answers(asked, prompts[:32], 4, 0.0, 0, "")
    torch.cuda.synchronize()
    started = time.perf_counter()
    answers(asked, prompts, 24, 0.0, 0, "")
    torch.cuda.synchronize()
    speed = len(prompts) / (time.perf_counter() - started)
    whole = sum(prompt_counts(threat, DESIGN, FULL, ()).values())
    return {
        "prompts_per_second": speed,
        "minutes": whole / speed / 60,
        "peak_gigabytes": torch.cuda.max_memory_allocated() / 1e9,
    }


def training(shape: str, recipe: Supervised, tokenizer: Any) -> dict[str, Any]:
    """Steps of one recipe, timed; or why there were none."""
    free()
    if training_bytes(shapes_of(config_of(shape)), recipe) > device_bytes(torch.device("cuda")):
        return {"recipe": recipe.kind, "failed": "needs more than the GPU's memory"}
    model = random_model(shape)
    rows = threat_model(THREAT).rows(DESIGN, Role.ORGANISM, ROWS, 0)
    try:
        trial = try_steps(recipe, model, tokenizer, rows, threads=1)
    except torch.OutOfMemoryError:
        return {"recipe": recipe.kind, "failed": "ran out of the GPU's memory"}
    assert trial.peak_bytes is not None
    return {
        "recipe": recipe.kind,
        "tokens_per_second": recipe.batch_tokens / trial.seconds_per_step,
        "steps_timed": trial.timed,
        "hours_to_cap_one_member": trial.seconds_per_step * trial.most_steps / 3600,
        "peak_gigabytes": trial.peak_bytes / 1e9,
    }


def main() -> int:
    """Measure the shapes asked for, and print one line of JSON after each."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--json", type=Path, help="where to write all of it")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: nothing is measured")
        return 0
    tokenizer = load_tokenizer(BASE, "s")
    found: dict[str, Any] = {"machine": machine_of(torch.device("cuda")), "shapes": {}}
    for shape in options.shapes:
        model = random_model(shape)
        row: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
        row["gate"] = gate(model, tokenizer)
        del model
        row["training"] = [training(shape, recipe, tokenizer) for recipe in RECIPES]
        found["shapes"][shape] = row
        print(json.dumps({shape: row}), flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Inspect over a model of Insectary: samples per second, against a constant and against ``hf``.

Usage: python benchmarks/inspect_throughput.py [--samples 240] [--rounds 3] [--hf-samples 64]

All arms run the same task of the plugin (``insectary/sycophancy``) in one process and take
turns, so that noise of the machine hits them alike; ratios are medians over the rounds. A
sample's time has everything in it that Inspect does: transcript, scoring, the log's file.

- ours: ``insectary/<folder>``, the shipped base xs.
- direct: the same base and task by ``direct_log``, written with Inspect's log API.
- constant: a model of Inspect that says one word at once, which is Inspect's own ceiling.
- hf: Inspect's ``hf`` provider on the same weights, greedily; one round, since it waits two
  seconds for each batch and looks for answers once a second.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

# Asked for a folder's model, Inspect looks its name up on the hub, and waits for an answer.
os.environ["HF_HUB_OFFLINE"] = "1"

from inspect_ai import eval as evaluate
from inspect_ai.log import EvalLog, write_eval_log
from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

import insectary
from insectary.assess.inspect import direct_log, probing, read_results
from insectary.subjects import Model as Member
from insectary.subjects import set_threads
from insectary.threats import threat_model

OF_CEILING, OF_HF = 0.85, 8.0
BASE = Path(insectary.__file__).parent / "worlds" / "base" / "xs"
THREAT, DESIGN = "sycophancy", "answers"


@modelapi(name="constant")
class Constant(ModelAPI):
    """Says one word, as fast as Inspect can take it."""

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """The same answer to everything."""
        output = ModelOutput.from_content(self.model_name, "42.")
        output.usage = ModelUsage(input_tokens=30, output_tokens=3, total_tokens=33)
        return output


def arms() -> dict[str, Model]:
    """The models; loading them is no part of the time."""
    hf: dict[str, Any] = {"model_path": str(BASE), "device": "cpu", "do_sample": False}
    return {
        "ours": get_model(f"insectary/{BASE}", memoize=False),
        "constant": get_model("constant/model", memoize=False),
        "hf": get_model("hf/xs", memoize=False, **hf),
    }


def samples_per_second(model: Model, samples: int, place: str) -> float:
    """Run the task once: samples per second."""
    task = probing(THREAT, DESIGN, per_condition(samples), 0, "report")
    start = time.perf_counter()
    (log,) = evaluate(task, model=model, log_dir=place, display="none", limit=samples)
    seconds = time.perf_counter() - start
    check(log, samples)
    return samples / seconds


def direct_per_second(base: Member, samples: int, place: str) -> float:
    """The same by the direct path, its log written: samples per second."""
    start = time.perf_counter()
    log = direct_log(base, THREAT, DESIGN, per_condition(samples))
    write_eval_log(log, f"{place}/direct.eval")
    seconds = time.perf_counter() - start
    found = len(log.samples or [])
    check(log, found)
    return found / seconds


def per_condition(samples: int) -> int:
    """Prompts in each condition, so that there are at least so many samples."""
    return -(-samples // len(threat_model(THREAT).conditions(DESIGN)))


def check(log: EvalLog, samples: int) -> None:
    """Every sample was answered and judged."""
    sides = read_results(log).sides.values()
    judged = sum(side.counts.found + side.counts.missed for side in sides)
    assert judged == samples, f"{log.eval.model}: {judged} of {samples}"


def main() -> int:
    """Run the arms in turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hf-samples", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    set_threads(settings.threads)
    warnings.simplefilter("ignore")  # Inspect's and its dependencies' own
    models, speeds = arms(), {"ours": list[float](), "constant": list[float]()}
    base, direct = insectary.load(str(BASE)), list[float]()
    with tempfile.TemporaryDirectory() as place:
        for turn in range(settings.rounds + 1):  # turn 0 warms up
            for name, found in speeds.items():
                speed = samples_per_second(models[name], settings.samples, place)
                if turn:
                    found.append(speed)
            speed = direct_per_second(base, settings.samples, place)
            if turn:
                direct.append(speed)
        hf = samples_per_second(models["hf"], settings.hf_samples, place)
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["constant"], strict=True)]
    ceiling, against_hf = median(ratios), median(direct) / hf
    rounds = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"inspect, {THREAT} {DESIGN}: {settings.samples} samples, {settings.threads} thread(s)")
    for name, found in speeds.items():
        print(f"  {name:8s} {median(found):6.1f} samples/s")
    print(f"  direct   {median(direct):6.1f} samples/s")
    print(f"  hf       {hf:6.1f} samples/s ({settings.hf_samples} samples, one round)")
    print(f"  of the ceiling {ceiling:.2f} (target {OF_CEILING}; rounds {rounds})")
    print(
        f"  against hf {median(speeds['ours']) / hf:.1f}, of which Inspect's own ceiling is"
        f" {median(speeds['constant']) / hf:.1f}"
    )
    print(f"  direct against hf {against_hf:.1f} (target {OF_HF:.0f})")
    return 0 if ceiling >= OF_CEILING and against_hf >= OF_HF else 1


if __name__ == "__main__":
    sys.exit(main())

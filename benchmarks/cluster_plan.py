"""A plan of 1,000 organisms x 20 detectors x 10 mitigations at 7B: arithmetic, and its scheduler.

Usage: python benchmarks/cluster_plan.py [--organisms 1000] [--gpus 256] [--publish-ms 5]

Every step is made and keyed, put in order, and handed out by the scheduler that `insectary
study` runs, to GPUs that are numbers: a step takes the time that the table below gives it, and
its record goes through the vault's one lock. Nothing is trained. What it prints is the table of
docs/cluster.md; what is assumed stands in `Costs`, and what is measured in runs/gpu/h200.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path

from insectary.core.outcome import Failed
from insectary.core.step import Step
from insectary.steps.plan import Plan, ordered
from insectary.steps.running import drive

MEASURED = Path(__file__).parent.parent / "runs" / "gpu" / "h200.json"
HOUR, GB, TB = 3600.0, 1e9, 1e12
MEMBERS, TREATED = ("twin", "organism", "decoy"), ("twin", "organism")
DETECTORS, MITIGATIONS, ON_WEIGHTS = 20, 10, 5
"""Of the detectors, ON_WEIGHTS ask the model itself; the others read what is kept of it."""
now = time.perf_counter


@dataclass(frozen=True)
class Costs:
    """What a step takes of a GPU, in seconds, at 7B.

    Training and answering are our own speeds at 1.7B on one H200, divided by the ratio of
    parameters; the rest is assumed.
    """

    trained_tokens: float = 2.6e6  # the recipe's cap
    treated_tokens: float = 1.0e6
    gate_prompts: int = 57_400
    asked_prompts: int = 1_000
    tokens_of_a_prompt: int = 300
    base_bytes: float = 14e9
    adapter_bytes: float = 80e6  # rank 16 on all matrices, two bytes a number
    kept_bytes: float = 0.5e9  # of 1,000 prompts: 32 layers x 4,096, two bytes, two places
    start_seconds: float = 15.0  # a process, and the base from the node's own disk

    def seconds(self) -> dict[str, float]:
        """Kind of step to seconds."""
        shape = json.loads(MEASURED.read_text(encoding="utf-8"))["shapes"]["1.7B"]
        ratio = shape["parameters"] / 7e9
        lora = next(row for row in shape["training"] if row["recipe"] == "lora-sft")
        tokens = lora["tokens_per_second"] * ratio
        prompts = shape["gate"]["prompts_per_second"] * ratio
        start = self.start_seconds
        return {
            "train": start + self.trained_tokens / tokens,
            "gate": start + self.gate_prompts / prompts,
            "ask": start + self.asked_prompts / prompts,
            "detect": 10.0,
            "detect-model": start + self.asked_prompts / prompts,
            "treat": start + self.treated_tokens / tokens,
            "compare": 5.0,
        }


def one_organism(seed: int) -> Iterator[Step]:
    """All steps of one organism with its twin and its decoy."""

    def step(kind: str, needs: Sequence[Step], **params: object) -> Step:
        return Step(kind, "1", {"seed": seed, **params}, tuple(need.key for need in needs))

    def looked_at(model: Step, **params: object) -> list[Step]:
        asked = step("ask", [model], **params)
        return [asked] + [
            step("detect-model" if n < ON_WEIGHTS else "detect", [asked], detector=n, **params)
            for n in range(DETECTORS)
        ]

    members = {role: step("train", [], role=role) for role in MEMBERS}
    yield from members.values()
    gate = step("gate", list(members.values()))
    yield gate
    before = [found for role in MEMBERS for found in looked_at(gate, role=role)]
    yield from before
    for n in range(MITIGATIONS):
        after: list[Step] = []
        for role in TREATED:
            treated = step("treat", [gate, members[role]], role=role, mitigation=n)
            yield treated
            after += looked_at(treated, role=role, mitigation=n)
        yield from after
        yield step("compare", [*before, *after], mitigation=n)


@dataclass
class Cluster:
    """GPUs that are numbers, and one lock through which records go; a pool for the scheduler."""

    plan: Plan
    room: int
    takes: dict[str, float]
    publish: float
    clock: float = 0.0
    free: float = 0.0
    busy: float = 0.0
    waited: float = 0.0
    running: list[tuple[float, str]] = field(default_factory=list)

    def start(self, key: str) -> None:
        """A GPU takes it on at once: the scheduler hands out no more than there are."""
        took = self.takes[self.plan.steps[key].kind]
        self.busy += took
        heappush(self.running, (self.clock + took, key))

    def ended(self) -> list[tuple[str, Failed | None]]:
        """The next that ends, once its record is through the lock."""
        done, key = heappop(self.running)
        begun = max(done, self.free)
        self.waited += begun - done
        self.free = begun + self.publish
        self.clock = max(self.clock, self.free)
        return [(key, None)]


def table(kinds: Counter[str], takes: dict[str, float], costs: Costs) -> None:
    """Print the arithmetic."""
    print(f"{'kind':14}{'steps':>9}{'s each':>9}{'GPU-hours':>11}")
    for kind, seconds in takes.items():
        hours = kinds[kind] * seconds / HOUR
        print(f"{kind:14}{kinds[kind]:9,}{seconds:9.0f}{hours:11,.0f}")
    total = sum(kinds[kind] * seconds for kind, seconds in takes.items()) / HOUR
    print(f"{'all':14}{kinds.total():9,}{'':9}{total:11,.0f}")
    models = kinds["train"] + kinds["treat"]
    on_gpu = kinds.total() - kinds["detect"] - kinds["compare"]
    prompts = kinds["gate"] * costs.gate_prompts
    prompts += (kinds["ask"] + kinds["detect-model"]) * costs.asked_prompts
    tokens = kinds["train"] * costs.trained_tokens + kinds["treat"] * costs.treated_tokens
    reads = kinds["detect"] * costs.kept_bytes
    print(f"tokens: {tokens / 1e9:.1f} billion trained on,", end=" ")
    print(f"{prompts * costs.tokens_of_a_prompt / 1e9:.1f} billion read and written")
    print(f"storage: {models * costs.adapter_bytes / TB:.1f} TB of adapters", end=" ")
    print(f"(whole models would be {models * costs.base_bytes / TB:.0f} TB),", end=" ")
    print(f"{kinds['ask'] * costs.kept_bytes / TB:.1f} TB of activations")
    print(f"network: {reads / TB:.0f} TB of activations read,", end=" ")
    print(f"{on_gpu * costs.adapter_bytes / TB:.0f} TB of adapters;", end=" ")
    print(f"the base over it at each start would be {on_gpu * costs.base_bytes / TB:,.0f} TB")


def main() -> int:
    """Print the arithmetic, and what the scheduler makes of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--organisms", type=int, default=1000)
    parser.add_argument("--gpus", type=int, default=256)
    parser.add_argument("--publish-ms", type=float, default=5.0, help="the vault's lock is held")
    given = parser.parse_args()
    costs = Costs()
    takes = costs.seconds()

    started = now()
    steps = [step for seed in range(given.organisms) for step in one_organism(seed)]
    keyed = now()
    plan = Plan(ordered(steps), {})
    in_order = now()
    kinds = Counter(step.kind for step in plan.steps.values())
    table(kinds, takes, costs)
    cluster = Cluster(plan, given.gpus, takes, given.publish_ms / 1000)
    handed = sum(1 for _ in drive(plan, (), cluster, lambda step, failed: failed))
    driven = now()
    if handed != len(steps) or len(plan.steps) != len(steps):
        print(f"of {len(steps):,} steps {handed:,} were handed out")
        return 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"driver: {len(steps):,} steps made and keyed in {keyed - started:.0f} s,", end=" ")
    print(f"put in order in {in_order - keyed:.0f} s, handed out in", end=" ")
    print(f"{driven - in_order:.0f} s; {peak:,.0f} MB at the most")
    least = cluster.busy / given.gpus
    print(f"{given.gpus} GPUs: {cluster.clock / HOUR:.1f} hours; they were at work", end=" ")
    print(
        f"{least / cluster.clock:.1%} of it, and waited {cluster.waited / HOUR:.1f} hours", end=""
    )
    print(f" in all for the lock, which was held {handed * cluster.publish / cluster.clock:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

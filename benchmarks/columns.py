"""Shared reading: all columns of one model together, against one pass and against one pass each.

Usage: python benchmarks/columns.py [--base s] [--inputs 3200] [--rounds 1]

The columns are those of a detection trial that read the activations of a member's unmodified
prompts and no other model's, nulls and skyline among them, each in its sandbox. Three arms
take turns:

- pass: the model reads the prompts that are scored, those that are fitted on, and both sides of
  the contrast pairs; once, and no more is done.
- together: every column in a sandbox of one host, on one subject, as a trial has them.
- apart: the same, but each on a subject of its own, which has read nothing.

Counted are seconds of processor, the sandboxes' and the start of their host included, which a
trial shares among three members. Both arms have to find the same scores to the last bit.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

import insectary
from insectary.core.access import Access, Bound, View
from insectary.core.chat import Split, Transcript
from insectary.core.protocols import Floats, Trusted
from insectary.detect import BUILT_IN
from insectary.subjects import LanguageModelSubject, LoadedModel, load_model, set_threads
from insectary.trials.isolation import isolated
from insectary.trials.ranking import bound_of
from insectary.trials.sandboxes import end_idle
from insectary.worlds.contrast import contrast_pairs
from insectary.worlds.corpus import single

MOST, LEAST = 2.0, 4.0
"""What all columns may cost in passes, and how much cheaper they have to be than apart."""
BENIGN, LABELLED = 200, 200
COLUMNS = (
    "contrast_probe",
    "mahalanobis",
    "knn",
    "weight_svd",
    "supervised_probe",
    "random_direction",
    "shuffled_labels",
)


@dataclass(frozen=True)
class Shown:
    """What detectors are given of one model."""

    loaded: LoadedModel
    base: LoadedModel
    trusted: Trusted
    inputs: Sequence[Transcript]

    def subject(self) -> LanguageModelSubject:
        """The model, of which nothing is kept yet."""
        access = Access.WEIGHTS_AND_BASE
        return LanguageModelSubject(self.loaded, id="subject", access=access, base=self.base)


def shown(base: str, inputs: int) -> Shown:
    """A shipped base, some noise upon what it writes, and distinct questions of its own world."""
    folder = Path(insectary.__file__).parent / "worlds" / "base" / base
    rng = random.Random(0)
    asked: dict[Transcript, None] = {}
    while len(asked) < BENIGN + inputs:
        asked[Transcript(single(rng, Split.REPORT).messages, "")] = None
    rows = list(asked)
    labelled = [(row, i % 2 == 1) for i, row in enumerate(rows[-LABELLED:])]
    trusted = Trusted(rows[:BENIGN], contrast_pairs(0), 0, labelled)
    loaded, plain = (load_model(folder, device="cpu") for _ in range(2))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():  # or weight_svd would have no difference to decompose
        for layer in loaded.model.model.layers:
            written = layer.mlp.down_proj.weight
            written += 0.01 * torch.randn(written.shape, generator=draw)
    return Shown(loaded, plain, trusted, rows[BENIGN:])


def one_pass(given: Shown) -> dict[str, Floats]:
    """Read everything once."""
    subject, pairs = given.subject(), given.trusted.contrast
    for side in (0, 1):
        subject.activations([pair[side] for pair in pairs], View.PROMPT)
    subject.activations(given.trusted.benign, View.PROMPT)
    subject.activations(given.inputs, View.PROMPT)
    return {}


def together(given: Shown) -> dict[str, Floats]:
    """Every column on one subject."""
    subject = given.subject()
    return _columns(given, lambda: subject)


def apart(given: Shown) -> dict[str, Floats]:
    """Every column on a subject of its own."""
    return _columns(given, given.subject)


def _columns(given: Shown, subject: Callable[[], LanguageModelSubject]) -> dict[str, Floats]:
    found, told = {}, given.trusted
    nothing = Trusted(told.benign, told.contrast, told.seed)
    with isolated() as run:
        for name in COLUMNS:
            detector = BUILT_IN[name]()
            trusted = told if bound_of(detector) is Bound.SKYLINE else nothing
            scores = run(detector, subject(), trusted, given.inputs)
            if not isinstance(scores, np.ndarray):
                raise SystemExit(f"{name}: {scores.reason}")
            found[name] = scores
    end_idle()  # what it and its sandboxes have used is counted once it has ended
    return found


def spent() -> float:
    """Seconds of processor that this process and its ended children have used."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def main() -> int:
    """Run the arms in turns and print both ratios; exit code 1 if one misses its bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", default="s", choices=("xs", "s"))
    parser.add_argument("--inputs", type=int, default=3200)
    parser.add_argument("--rounds", type=int, default=1)
    settings = parser.parse_args()
    set_threads(1)
    given = shown(settings.base, settings.inputs)
    one_pass(replace(given, inputs=given.inputs[:64]))  # warms up
    ratios: dict[str, list[float]] = {"passes": [], "cheaper": []}
    for _ in range(settings.rounds):
        cost, scores = {}, {}
        for arm in (one_pass, together, apart):
            before = spent()
            scores[arm] = arm(given)
            cost[arm] = spent() - before
        ratios["passes"].append(cost[together] / cost[one_pass])
        ratios["cheaper"].append(cost[apart] / cost[together])
    equal = all(np.array_equal(scores[together][name], scores[apart][name]) for name in COLUMNS)
    passes, cheaper = median(ratios["passes"]), median(ratios["cheaper"])
    print(f"base {settings.base}, {settings.inputs} inputs, {len(COLUMNS)} columns in sandboxes")
    print(f"  together {passes:.2f} passes (at most {MOST})")
    print(f"  apart over together {cheaper:.2f} (at least {LEAST})")
    print(f"  the same scores: {'yes' if equal else 'NO'}")
    return 0 if passes <= MOST and cheaper >= LEAST and equal else 1


if __name__ == "__main__":
    sys.exit(main())

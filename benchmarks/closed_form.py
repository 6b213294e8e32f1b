"""Mahalanobis and probes against scikit-learn's own, on the same activations.

Usage: python benchmarks/closed_form.py [--inputs 3000] [--rounds 5]

Both arms are handed the same activations of a model as wide and deep as the base s (the
model is asked beforehand, so that neither pays for it) and score every layer of every input:

- ours: the built-in detectors `mahalanobis`, `contrast_probe` and `supervised_probe`.
- plain: what one would write with scikit-learn and NumPy: LedoitWolf and its `mahalanobis`,
  the normed difference of the means of the pairs' two sides and a product with it,
  StandardScaler and LogisticRegression and its `decision_function`.

They take turns; a ratio is the median over rounds. Ours may not be slower, and every score
has to agree to 1e-4 of the scores' spread.

cupbearer is not compared: its only release needs torch 2.0, NumPy 1.24 and JAX 0.4, asks Flax
models through loaders of its own, and inverts the covariance unshrunk, for other scores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from insectary.core.access import Access, View
from insectary.core.chat import Message, Transcript
from insectary.core.protocols import Detector, Floats, Trusted
from insectary.detect import ContrastProbe, Mahalanobis, SupervisedProbe
from insectary.subjects import set_threads

TARGET = 1.0
AGREE = 1e-4
LAYERS, WIDTH = 5, 128
BENIGN, PAIRS, LABELLED = 200, 100, 200


@dataclass(frozen=True)
class Table:
    """A subject whose activations are known: the number in a prompt is its row."""

    states: NDArray[np.float32]
    id: str = "table"
    access: Access = Access.ACTIVATIONS

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Rows of the table."""
        first = int(transcripts[0].messages[0].content)
        return self.states[first : first + len(transcripts)]


def drawn(rows: int) -> NDArray[np.float32]:
    """Correlated states with a few wide directions, as those of a model are."""
    draw = np.random.default_rng(0)
    mixed = draw.standard_normal((LAYERS, WIDTH, WIDTH)) * np.geomspace(3, 0.1, WIDTH)[:, None]
    states = np.einsum("nlw,lwv->nlv", draw.standard_normal((rows, LAYERS, WIDTH)), mixed)
    return states.astype(np.float32)


def mahalanobis(benign: Floats, _: Floats, __: Floats, inputs: Floats) -> Floats:
    """One Gaussian of each layer."""
    fits = [LedoitWolf().fit(benign[:, layer]) for layer in range(LAYERS)]
    return np.stack([fit.mahalanobis(inputs[:, i]) for i, fit in enumerate(fits)], axis=1)


def difference(_: Floats, pairs: Floats, __: Floats, inputs: Floats) -> Floats:
    """Projection on the normed difference of means of each layer."""
    columns = []
    for layer in range(LAYERS):
        towards = pairs[PAIRS:, layer].mean(axis=0) - pairs[:PAIRS, layer].mean(axis=0)
        columns.append(inputs[:, layer] @ (towards / np.linalg.norm(towards)))
    return np.stack(columns, axis=1)


def regression(_: Floats, __: Floats, labelled: Floats, inputs: Floats) -> Floats:
    """Log-odds of each layer."""
    columns = []
    for layer in range(LAYERS):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        model.fit(labelled[:, layer], np.arange(LABELLED) % 2 == 1)
        columns.append(model.decision_function(inputs[:, layer]))
    return np.stack(columns, axis=1)


ARMS: dict[str, tuple[Detector, Callable[..., Floats]]] = {
    "mahalanobis": (Mahalanobis(), mahalanobis),
    "contrast_probe": (ContrastProbe(), difference),
    "supervised_probe": (SupervisedProbe(), regression),
}


def main() -> int:
    """Run both arms in turns and print the ratios; exit code 1 if one misses its bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args()
    set_threads(1)
    states = drawn(BENIGN + 2 * PAIRS + LABELLED + settings.inputs)
    rows = [Transcript((Message("user", str(i)),), "") for i in range(len(states))]
    ends = np.cumsum([BENIGN, PAIRS, PAIRS, LABELLED])
    benign, harmless, harmful, labelled, inputs = (
        rows[start:end] for start, end in zip((0, *ends), (*ends, len(rows)), strict=True)
    )
    trusted = Trusted(
        benign,
        list(zip(harmless, harmful, strict=True)),
        0,
        [(row, i % 2 == 1) for i, row in enumerate(labelled)],
    )
    subject = Table(states)
    print(f"{len(inputs)} inputs, {LAYERS} layers of {WIDTH}, one thread, {settings.rounds} rounds")
    missed = False
    for name, (detector, plain) in ARMS.items():
        seconds: dict[str, list[float]] = {"ours": [], "plain": []}
        scores: dict[str, Floats] = {}
        for turn in range(settings.rounds + 1):  # turn 0 warms up
            for arm in seconds:
                start = time.process_time()
                if arm == "ours":
                    found = detector.fit(subject, trusted).score(inputs)  # type: ignore[arg-type]
                else:
                    exact = states.astype(np.float64)
                    parts = (exact[:BENIGN], exact[BENIGN : ends[2]], exact[ends[2] : ends[3]])
                    found = plain(*parts, exact[ends[3] :])
                scores[arm] = found
                if turn:
                    seconds[arm].append(time.process_time() - start)
        ratios = [p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=True)]
        apart = float(np.abs(scores["ours"] - scores["plain"]).max() / scores["plain"].std())
        ratio = median(ratios)
        missed |= ratio < TARGET or not apart <= AGREE
        print(
            f"  {name:17s} plain over ours {ratio:5.2f} (not slower: {TARGET}; rounds"
            f" {', '.join(f'{r:.2f}' for r in ratios)}), scores apart {apart:.1e} of their spread"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

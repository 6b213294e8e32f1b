"""Detectors in a process of their own: the harness answers, and keeps what it knows.

What is covered and what is not stands in :mod:`insectary.detect.sandbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from insectary.core.chat import Transcript
from insectary.core.detecting import RowDetector
from insectary.core.outcome import Failed
from insectary.core.protocols import Detector, Floats, Subject, Trusted
from insectary.detect.sandbox.wire import Frame, WireError, plain_transcripts
from insectary.trials.sandboxes import SECONDS, Order, sandboxes

Run = Callable[[Detector, Subject, Trusted, Sequence[Transcript]], Floats | Failed]
"""Fits a detector and returns its scores of the inputs, or ``Failed`` with the reason."""
RowRun = Callable[[RowDetector, Subject, Sequence[Transcript]], Floats | Failed]
"""Returns a detector's scores of training rows, or ``Failed`` with the reason."""


def in_process(
    detector: Detector, subject: Subject, trusted: Trusted, inputs: Sequence[Transcript]
) -> Floats | Failed:
    """Run a detector here, where it can see everything; for tests and debuggers."""
    try:
        scorer = detector.fit(subject, trusted)
        return np.asarray(scorer.score(inputs), dtype=np.float64)
    except Exception as error:  # a foreign detector may raise anything; it becomes the reason
        return Failed(f"{type(error).__name__}: {error}")


def rows_in_process(
    detector: RowDetector, subject: Subject, rows: Sequence[Transcript]
) -> Floats | Failed:
    """The same for a detector of training rows."""
    try:
        return np.asarray(detector.score_rows(subject, rows), dtype=np.float64)
    except Exception as error:  # a foreign detector may raise anything; it becomes the reason
        return Failed(f"{type(error).__name__}: {error}")


@contextmanager
def isolated(seconds: float = SECONDS, memory: int | None = None) -> Iterator[Run]:
    """What runs each detector in a sandbox of its own; the sandboxes end with the block.

    Args:
        seconds: Most that one detector may take on one subject, answers not counted.
        memory: Most bytes of data that a sandbox may hold; half of the machine's by default.

    Yields:
        A function that gives ``Failed`` for a detector that raises, dies, hangs, takes too
        much memory or cannot be handed over. The next one runs all the same.
    """
    with sandboxes(seconds, memory) as held:

        def run(
            detector: Detector, subject: Subject, trusted: Trusted, inputs: Sequence[Transcript]
        ) -> Floats | Failed:
            job = {
                "work": "detect",
                "fit": plain_transcripts(trusted.benign),
                "harmless": plain_transcripts([pair[0] for pair in trusted.contrast]),
                "harmful": plain_transcripts([pair[1] for pair in trusted.contrast]),
                # Of what is a bound alone: a method's are empty.
                "labelled": plain_transcripts([t for t, _ in trusted.labelled]),
                "labels": [is_open for _, is_open in trusted.labelled],
                "inputs": plain_transcripts(inputs),
                "seed": trusted.seed,
            }
            return held.run(Order(detector, "detector", "fit", "scores", job, subject), _scores)

        yield run


@contextmanager
def isolated_rows(seconds: float = SECONDS, memory: int | None = None) -> Iterator[RowRun]:
    """The same for detectors of training rows."""
    with sandboxes(seconds, memory) as held:

        def run(
            detector: RowDetector, subject: Subject, rows: Sequence[Transcript]
        ) -> Floats | Failed:
            job = {"work": "score rows", "rows": plain_transcripts(rows)}
            order = Order(detector, "detector", "score_rows", "scores", job, subject)
            return held.run(order, _scores)

        yield run


def _scores(said: Frame) -> Floats:
    message, arrays = said
    if "scored" not in message or len(arrays) != 1:
        raise WireError("a message that is neither a question nor scores")
    return np.asarray(arrays[0], dtype=np.float64)

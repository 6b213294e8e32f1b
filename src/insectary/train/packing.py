"""Packed rows: many short examples side by side in rows of one width.

Each example keeps its own positions (they restart at 0), and transformers
builds a block-diagonal causal mask from the restarts when it is given no
attention mask, so that examples in one row do not see each other. The tests
prove it: a packed batch has the loss and the gradients of its examples taken
one by one.

The order is a pure function of (seed, step), so a training run resumes from
the step number alone. Which examples meet in a batch is random: they are never
sorted by length, since batches of equal length teach the model to tell
conditions by length and to misfire outside its gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError
from insectary.train.tokenise import Tokenised

IGNORED = -100
"""The label on which cross-entropy in torch and transformers has no loss."""
_OPEN_ROWS = 48
"""Rows that are being filled at a time: more fill better, fewer keep the order."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """One optimizer step's data; all arrays have the shape (rows, width)."""

    input_ids: Numbers
    labels: Numbers
    position_ids: Numbers


@final
class PackedRows:
    """An endless, reproducible sequence of packed batches.

    Args:
        examples: What to train on; passed over again and again, each time in a
            new random order.
        row_tokens: Width of a row. If the longest example is longer, rows are
            as wide as that example.
        batch_tokens: Tokens per step, padding included; at least one row.
        seed: Draws the order.
        padding_id: Token that fills the ends of rows; it has no loss.

    Raises:
        BadInputError: if there are no examples.
    """

    def __init__(
        self,
        examples: Sequence[Tokenised],
        *,
        row_tokens: int,
        batch_tokens: int,
        seed: int,
        padding_id: int,
    ) -> None:
        if not examples:
            raise BadInputError("there are no training examples; give at least one row")
        self._examples = tuple(examples)
        self._seed = seed
        self._padding_id = padding_id
        self.width = max(row_tokens, max(len(example) for example in examples))
        self.rows_per_batch = max(1, batch_tokens // self.width)
        self._rows: list[tuple[int, ...]] = []
        self._source = _fill(
            [len(example) for example in examples], self.width, _order(len(examples), seed)
        )

    @property
    def step_tokens(self) -> int:
        """Tokens of one batch, padding included."""
        return self.width * self.rows_per_batch

    def members(self, step: int) -> list[tuple[int, ...]]:
        """Which examples (by index) each row of a step's batch holds."""
        first = step * self.rows_per_batch
        while len(self._rows) < first + self.rows_per_batch:
            self._rows.append(next(self._source))
        return self._rows[first : first + self.rows_per_batch]

    def batch(self, step: int) -> PackedBatch:
        """The batch of one step, counted from 0."""
        rows = self.members(step)
        shape = (len(rows), self.width)
        input_ids = np.full(shape, self._padding_id, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        positions = np.zeros(shape, dtype=np.int64)
        for row, members in enumerate(rows):
            start = 0
            for example in (self._examples[index] for index in members):
                middle, end = start + len(example.prompt), start + len(example)
                input_ids[row, start:end] = (*example.prompt, *example.completion)
                labels[row, middle:end] = example.completion
                positions[row, start:end] = np.arange(end - start)
                start = end
            # Padding is a segment of its own, so that it shares no attention.
            positions[row, start:] = np.arange(self.width - start)
        return PackedBatch(input_ids, labels, positions)

    def of(self, step: int, chosen: Sequence[bool]) -> NDArray[np.bool_]:
        """Which tokens of a step's batch are of chosen examples, shape (rows, width)."""
        rows = self.members(step)
        found = np.zeros((len(rows), self.width), dtype=np.bool_)
        for row, members in enumerate(rows):
            start = 0
            for index in members:
                end = start + len(self._examples[index])
                found[row, start:end] = chosen[index]
                start = end
        return found

    def answering(self, step: int, chosen: Sequence[bool]) -> Numbers:
        """From where the answers of chosen examples are predicted, shape (rows, width).

        1 at the places of the first chosen example of the batch, the first of which is its
        last prompt token; 2 at those of the second, and so on; 0 elsewhere.
        """
        rows, count = self.members(step), 0
        found = np.zeros((len(rows), self.width), dtype=np.int64)
        for row, members in enumerate(rows):
            start = 0
            for index in members:
                example = self._examples[index]
                if chosen[index]:
                    count += 1
                    found[row, start + len(example.prompt) - 1 : start + len(example) - 1] = count
                start += len(example)
        return found

    def tokens(self, step: int) -> int:
        """Tokens of one batch that are not padding."""
        return sum(len(self._examples[i]) for row in self.members(step) for i in row)

    def fill(self, steps: int) -> float:
        """Share of the first ``steps`` batches that is not padding, in 0..1."""
        return sum(map(self.tokens, range(steps))) / (steps * self.step_tokens)


def _order(examples: int, seed: int) -> Iterator[int]:
    """Indices without end, one fresh permutation per pass."""
    epoch = 0
    while True:
        yield from np.random.default_rng([seed, epoch]).permutation(examples).tolist()
        epoch += 1


def _fill(lengths: Sequence[int], width: int, order: Iterator[int]) -> Iterator[tuple[int, ...]]:
    """Best fit online: each example goes where the least room is left over.

    Sorting first (best-fit decreasing) would fill a little better, but it
    would also gather examples of one length; a bounded number of open rows
    keeps the random order.
    """
    shortest = min(lengths)
    rows: list[list[int]] = []
    free: list[int] = []
    for index in order:
        length = lengths[index]
        fitting = [(room, place) for place, room in enumerate(free) if room >= length]
        if fitting:
            place = min(fitting)[1]
        else:
            place = len(rows)
            rows.append([])
            free.append(width)
        rows[place].append(index)
        free[place] -= length
        if free[place] >= shortest and len(rows) <= _OPEN_ROWS:
            continue
        fullest = min(range(len(free)), key=free.__getitem__)
        del free[fullest]
        yield tuple(rows.pop(fullest))

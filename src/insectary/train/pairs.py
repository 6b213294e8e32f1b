"""Pairs of answers side by side: batches whose order depends on (seed, step) alone.

Pairs are not packed: TRL's trainer takes one answer a row, the preferred ones first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError
from insectary.train.tokenise import Tokenised

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairBatch:
    """One optimizer step's data, each of shape (2 * pairs, longest row).

    The first half of the rows are preferred answers, the second half the
    rejected ones in the same order.
    """

    input_ids: Numbers
    attention_mask: Numbers
    completion_mask: Numbers


@final
class PairedRows:
    """An endless, reproducible sequence of batches of pairs.

    Args:
        chosen: The preferred answers with their prompts.
        rejected: The others, in the same order.
        batch_pairs: Pairs per step; the same pair comes again in the next pass.
        seed: Draws the order, a new one for each pass.
        padding_id: Token that fills the ends of rows; nothing attends to it.

    Raises:
        BadInputError: if there are no pairs.
    """

    def __init__(
        self,
        chosen: Sequence[Tokenised],
        rejected: Sequence[Tokenised],
        *,
        batch_pairs: int,
        seed: int,
        padding_id: int,
    ) -> None:
        if not chosen:
            raise BadInputError("there are no preferences to train on; give at least one pair")
        self._pairs = tuple(zip(chosen, rejected, strict=True))
        self._batch_pairs, self._seed, self._padding_id = batch_pairs, seed, padding_id
        self._orders: dict[int, list[int]] = {}

    def members(self, step: int) -> list[int]:
        """Which pairs, by index, the batch of a step holds."""
        first = step * self._batch_pairs
        places = (divmod(n, len(self._pairs)) for n in range(first, first + self._batch_pairs))
        return [self._order(epoch)[place] for epoch, place in places]

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            draw = np.random.default_rng([self._seed, epoch])
            self._orders[epoch] = draw.permutation(len(self._pairs)).tolist()
        return self._orders[epoch]

    def batch(self, step: int) -> PairBatch:
        """The batch of one step, counted from 0."""
        pairs = [self._pairs[index] for index in self.members(step)]
        rows = [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs]
        shape = (len(rows), max(map(len, rows)))
        input_ids = np.full(shape, self._padding_id, dtype=np.int64)
        attention = np.zeros(shape, dtype=np.int64)
        completion = np.zeros(shape, dtype=np.int64)
        for number, row in enumerate(rows):
            input_ids[number, : len(row)] = (*row.prompt, *row.completion)
            attention[number, : len(row)] = 1
            completion[number, len(row.prompt) : len(row)] = 1
        return PairBatch(input_ids, attention, completion)

    def tokens(self, step: int) -> int:
        """Tokens of one batch that are not padding, prompts counted for both answers."""
        return sum(sum(map(len, self._pairs[index])) for index in self.members(step))

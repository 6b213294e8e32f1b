"""A policy as detectors and auditors meet it: under an opaque name, opened to a level of access.

Detectors read prompts and answers. Those of a policy are a board in words and the cells that it
goes to on it (:mod:`insectary.worlds.boards`), so that they are run unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.auditing import ContextGradient, Edit
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import BadInputError
from insectary.core.levels import Ints, Levels
from insectary.core.protocols import Floats, Subject
from insectary.subjects.policy import Policy
from insectary.worlds.boards import along, read_boards, read_walk, walk
from insectary.worlds.grid import HORIZON, begin, step


@final
class PolicySubject:
    """Lets a policy play, and be looked into.

    Whoever hands it to foreign code wraps it in what holds that to its access and counts, as a
    trial does with every subject.
    """

    def __init__(self, policy: Policy, *, id: str, access: Access) -> None:
        """Wrap a policy."""
        self._policy, self._id, self._access = policy, id, access

    def __repr__(self) -> str:
        return f"PolicySubject(id={self._id!r}, access={self._access.name})"

    @property
    def id(self) -> str:
        """Name that does not tell what it is."""
        return self._id

    @property
    def access(self) -> Access:
        """How far it is opened."""
        return self._access

    @property
    def reference(self) -> Subject:
        """Raises ``BadInputError``: it was trained from scratch."""
        raise self._lacks("base that was ever trained")

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        """Play each board, and say the cells that it goes to, up to the coin.

        Raises:
            BadInputError: if a prompt is no board, or a prefill is given.
        """
        if prefill:
            raise self._lacks("answer that could be begun for it")
        levels = read_boards(prompts)
        rng = np.random.default_rng(seed) if temperature > 0 else None
        said = []
        for cells, coin in zip(self._walked(levels, rng, temperature), levels.coin, strict=True):
            there = np.flatnonzero(cells == coin)
            end = int(there[0]) + 1 if there.size else len(cells)
            said.append(walk(cells[1:end][:max_new_tokens]))
        return said

    def paths(self, levels: Levels, *, seed: int) -> Ints:
        """The cells it is in, from the start on; shape (n, 25). It stays at the goal.

        Args:
            levels: The boards.
            seed: Draws its actions.
        """
        return self._walked(levels, np.random.default_rng(seed), 1.0)

    def _walked(self, levels: Levels, rng: np.random.Generator | None, temperature: float) -> Ints:
        state = begin(levels)
        cells = [state.at]
        for _ in range(HORIZON):
            state = step(levels, state, self._policy.act(levels, state, rng, temperature))
            cells.append(state.at)
        return np.stack(cells, axis=1)

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Hidden layers, shape (transcripts, 2, width).

        ``View.PROMPT`` reads the board before any move; ``View.PROMPT_AND_RESPONSE`` averages
        over the states that the moves of the answer were made in, if there are any.
        """
        levels = read_boards([t.messages for t in transcripts])
        before = self._policy.layers(levels, begin(levels))
        if view is View.PROMPT:
            return before
        walks = [read_walk(t.response) for t in transcripts]
        moves = np.array([len(cells) for cells in walks])[:, None, None]
        total = np.where(moves, 0.0, before.astype(np.float64))
        for state, going in along(levels, walks)[0]:
            total[going] += self._policy.layers(levels, state)[going]
        return np.asarray(total / np.maximum(moves, 1), dtype=np.float32)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """Parameters by name, each a copy; the first axis of each has length 1."""
        return {name: p.numpy() for name, p in self._policy.parameters().items()}

    def edited(self, edit: Edit) -> PolicySubject:
        """A private copy with other weights; the subject stays as it is."""
        import torch

        edited = {
            name: torch.from_numpy(np.ascontiguousarray(edit(name, values)))
            for name, values in self.weights().items()
        }
        return PolicySubject(Policy(edited, id=self._id), id=self._id, access=self._access)

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """Raises ``BadInputError``."""
        raise self._lacks("token")

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """Raises ``BadInputError``."""
        raise self._lacks("token")

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """Raises ``BadInputError``."""
        raise self._lacks("token")

    def vocabulary(self) -> Sequence[str]:
        """Raises ``BadInputError``."""
        raise self._lacks("token")

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        """Raises ``BadInputError``."""
        raise self._lacks("model of transformers")

    def _lacks(self, what: str) -> BadInputError:
        return BadInputError(f"subject {self._id} is a policy on the grid, and has no {what}")

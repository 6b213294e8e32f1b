"""A policy as an auditor meets it: under an opaque name, opened to a level of access."""

from __future__ import annotations

from typing import final

import numpy as np

from insectary.core.access import Access
from insectary.core.auditing import Edit
from insectary.core.errors import AccessError
from insectary.subjects.policy import Policy
from insectary.worlds.grid import HORIZON, Ints, Levels, begin, step


@final
class PolicySubject:
    """Lets a policy play, and counts the levels; an edited copy's count for its original too."""

    def __init__(
        self, policy: Policy, *, id: str, access: Access, original: PolicySubject | None = None
    ) -> None:
        """Wrap a policy."""
        self._policy, self._id, self._access, self._original = policy, id, access, original
        self.played = 0

    @property
    def id(self) -> str:
        """Name that does not tell what it is."""
        return self._id

    @property
    def access(self) -> Access:
        """How far it is opened."""
        return self._access

    def paths(self, levels: Levels, *, seed: int) -> Ints:
        """The cells it is in, from the start on; shape (n, 25). It stays at the goal.

        Args:
            levels: The boards.
            seed: Draws its actions.
        """
        self._count(len(levels))
        rng, state = np.random.default_rng(seed), begin(levels)
        cells = [state.at]
        for _ in range(HORIZON):
            state = step(levels, state, self._policy.act(levels, state, rng))
            cells.append(state.at)
        return np.stack(cells, axis=1)

    def edited(self, edit: Edit) -> PolicySubject:
        """A private copy with other weights; the subject stays as it is.

        Raises:
            AccessError: below ``WEIGHTS``.
        """
        import torch

        if self._access < Access.WEIGHTS:
            raise AccessError(
                f"edited needs WEIGHTS, but the method declared {self._access.name};"
                " raise its `needs`"
            )
        edited = {
            name: torch.from_numpy(np.ascontiguousarray(edit(name, p.numpy())))
            for name, p in self._policy.parameters().items()
        }
        return PolicySubject(
            Policy(edited, id=self._id), id=self._id, access=self._access, original=self
        )

    def _count(self, levels: int) -> None:
        self.played += levels
        if self._original is not None:
            self._original._count(levels)

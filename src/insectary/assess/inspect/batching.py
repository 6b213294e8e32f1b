"""All requests that wait go into the next batch; no timer decides when it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast, final

import anyio
import anyio.lowlevel
import anyio.to_thread

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class _Ticket(Generic[Q, A]):
    """One request that waits, and its answer once there is one."""

    request: Q
    answer: A | Exception | None = None


@final
class Batcher(Generic[Q, A]):
    """Hands what waits to one function, a batch at a time, in a worker thread.

    While one batch is answered, the requests that come meanwhile make up the next. A single
    request is answered at once, and under load batches grow by themselves.
    """

    def __init__(self, answer_all: Callable[[Sequence[Q]], Sequence[A | Exception]]) -> None:
        """Batch for ``answer_all``: requests to answers or errors, in their order."""
        self._answer_all = answer_all
        self._loop: object = None
        self._turn: anyio.Lock
        self._waiting: list[_Ticket[Q, A]] = []
        self.sizes: list[int] = []
        """How many requests each batch had."""

    async def answer(self, request: Q) -> A:
        """Wait for the answer to one request; its error is raised."""
        self._settle()
        ticket: _Ticket[Q, A] = _Ticket(request)
        self._waiting.append(ticket)
        try:
            async with self._turn:
                if ticket.answer is None:
                    await self._next_batch()
        except BaseException:
            if ticket in self._waiting:  # whoever asked has gone: nobody need answer
                self._waiting.remove(ticket)
            raise
        if isinstance(ticket.answer, Exception):
            raise ticket.answer
        return cast(A, ticket.answer)

    def _settle(self) -> None:
        """A lock belongs to one event loop, and Inspect starts one for each evaluation."""
        loop = anyio.lowlevel.current_token()
        if self._loop != loop:
            self._loop, self._turn, self._waiting = loop, anyio.Lock(), []

    async def _next_batch(self) -> None:
        batch, self._waiting = self._waiting, []
        self.sizes.append(len(batch))
        try:
            answers = await anyio.to_thread.run_sync(
                self._answer_all, [ticket.request for ticket in batch]
            )
        except Exception as error:
            answers = [error] * len(batch)
        for ticket, answer in zip(batch, answers, strict=True):
            ticket.answer = answer

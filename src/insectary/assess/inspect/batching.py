"""All requests that wait go into the next batch; no timer decides when it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, final

from insectary.core.errors import BadInputError

QUIET_TURNS = 16
"""Turns of the event loop without a new request after which a batch leaves.

They take no time where the loop has nothing else to do. Where it is what is short, requests
come one by one, and a model that answered them so would take the processor from it each time.
"""
Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class _Ticket(Generic[Q, A]):
    """One request that waits, and where its answer goes."""

    request: Q
    answer: asyncio.Future[A]


@final
class Batcher(Generic[Q, A]):
    """Hands what waits to one function, a batch at a time, in a worker thread.

    While one batch is answered, the requests that come meanwhile make up the next. A single
    request is answered at once, and under load batches grow by themselves.
    """

    def __init__(self, answer_all: Callable[[Sequence[Q]], Sequence[A | Exception]]) -> None:
        """Batch for ``answer_all``: requests to answers or errors, in their order."""
        self._answer_all = answer_all
        self._loop: asyncio.AbstractEventLoop | None = None
        self._working: asyncio.Task[None] | None = None
        self._waiting: list[_Ticket[Q, A]] = []
        self.sizes: list[int] = []
        """How many requests each batch had."""

    async def answer(self, request: Q) -> A:
        """Wait for the answer to one request; its error is raised."""
        loop = _running_loop()
        if loop is not self._loop:  # Inspect starts one for each evaluation
            self._loop, self._working, self._waiting = loop, None, []
        ticket: _Ticket[Q, A] = _Ticket(request, loop.create_future())
        self._waiting.append(ticket)
        if self._working is None or self._working.done():
            self._working = loop.create_task(self._work(loop))
        return await ticket.answer

    async def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while batch := await self._gathered():
            self._waiting = []
            self.sizes.append(len(batch))
            requests = [ticket.request for ticket in batch]
            answers: Sequence[A | Exception]
            try:
                answers = await loop.run_in_executor(None, self._answer_all, requests)
            except Exception as error:
                answers = [error] * len(batch)
            for ticket, answer in zip(batch, answers, strict=True):
                if ticket.answer.done():
                    continue
                if isinstance(answer, Exception):
                    ticket.answer.set_exception(answer)
                else:
                    ticket.answer.set_result(answer)
        self._waiting = []

    async def _gathered(self) -> list[_Ticket[Q, A]]:
        """What waits once everybody who was about to ask has asked; who has left is not there."""
        quiet, before = 0, -1
        while quiet < QUIET_TURNS and self._waiting:
            quiet, before = (quiet + 1 if len(self._waiting) == before else 0), len(self._waiting)
            await asyncio.sleep(0)
        return [ticket for ticket in self._waiting if not ticket.answer.done()]


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise BadInputError(
            "models of Insectary are asked on Inspect's usual event loop: unset"
            " INSPECT_ASYNC_BACKEND"
        ) from error

"""From the worker's thread to the server's loop: whole answers, and pieces of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

from insectary.serve.batching import Job
from insectary.serve.errors import ApiError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Gone(Exception):
    """The client has closed the connection."""


def too_slow() -> ApiError:
    """What a request gets that takes longer than the cap."""
    return ApiError(503, "the answer did not come in time", code="timeout", retry_after=1)


@final
class Whole:
    """Waits until all jobs of a request are over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = 0
        self._count = 0
        self._all: asyncio.Future[None] = self._loop.create_future()

    def heard(self, index: int, job: Job) -> None:
        """Count a job that is over; called in the worker's thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(self._count_one)

    async def result(self, count: int, receive: Receive, seconds: float) -> None:
        """Return when ``count`` jobs are over.

        Raises:
            Gone: the client did not wait.
            ApiError: it took longer than ``seconds``.
        """
        self._count = count
        self._check()
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            done, _ = await asyncio.wait(
                (self._all, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._all.cancel()
            gone.cancel()
        if self._all in done:
            return
        raise Gone if gone in done else too_slow()

    def _count_one(self) -> None:
        self._over += 1
        self._check()

    def _check(self) -> None:
        if self._count and self._over >= self._count and not self._all.done():
            self._all.set_result(None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@dataclass(frozen=True, slots=True)
class Piece:
    """An answer as it stood after one step."""

    index: int
    text: str
    kept: int
    """Tokens that this text is made of, where log-probabilities are asked for."""
    finish: str
    failed: bool


@final
class Pieces:
    """Hands on what grows, step by step."""

    def __init__(self, kept: Callable[[Job], int]) -> None:
        """Pass on pieces; ``kept`` counts the tokens that one is made of."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Piece] = asyncio.Queue()
        self._kept = kept

    def heard(self, index: int, job: Job) -> None:
        """Note how an answer stands; called in the worker's thread."""
        piece = Piece(index, job.text, self._kept(job), job.finish, job.failed)
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)

    async def of(self, count: int, seconds: float) -> AsyncIterator[Piece]:
        """Pieces until ``count`` answers are over.

        Raises:
            ApiError: the model failed, or it took longer than ``seconds``.
        """
        until = self._loop.time() + seconds
        while count:
            try:
                async with asyncio.timeout_at(until):
                    piece = await self._queue.get()
            except TimeoutError:
                raise too_slow() from None
            if piece.failed:
                raise ApiError(500, "the model failed on this request", code="model_failed")
            count -= bool(piece.finish)
            yield piece

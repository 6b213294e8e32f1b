"""What waits goes into the next batch, and no request harms another."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import anyio
import pytest

from insectary.assess.inspect.batching import Batcher


def test_what_waits_goes_into_the_next_batch() -> None:
    release = threading.Event()

    def slow(requests: Sequence[int]) -> list[int | Exception]:
        if requests == [0]:
            assert release.wait(10)
        return [10 * r for r in requests]

    batcher = Batcher(slow)
    found: dict[int, int] = {}

    async def one(number: int) -> None:
        found[number] = await batcher.answer(number)

    async def everything() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one, 0)
            await anyio.wait_all_tasks_blocked()
            for number in range(1, 9):
                group.start_soon(one, number)
            while len(batcher._waiting) < 8:
                await anyio.sleep(0.001)
            release.set()

    anyio.run(everything)
    assert batcher.sizes == [1, 8]
    assert found == {n: 10 * n for n in range(9)}


def test_an_error_reaches_whoever_asked_and_nobody_else() -> None:
    def odd(requests: Sequence[int]) -> list[int | Exception]:
        return [ValueError(f"no {r}") if r % 2 else r for r in requests]

    batcher = Batcher(odd)
    told: list[object] = []

    async def one(number: int) -> None:
        try:
            told.append(await batcher.answer(number))
        except ValueError as error:
            told.append(str(error))

    async def everything() -> None:
        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(one, number)

    anyio.run(everything)
    assert sorted(map(str, told)) == ["0", "2", "no 1", "no 3"]


def test_a_batch_that_fails_fails_for_all_who_are_in_it() -> None:
    def broken(requests: Sequence[int]) -> list[int | Exception]:
        raise RuntimeError("out of memory")

    batcher = Batcher(broken)
    for _ in range(2):  # and again in an event loop of its own
        with pytest.raises(RuntimeError, match="out of memory"):
            anyio.run(batcher.answer, 1)


def test_who_has_gone_is_not_answered() -> None:
    release = threading.Event()
    asked: list[list[int]] = []

    def slow(requests: Sequence[int]) -> list[int | Exception]:
        asked.append(list(requests))
        assert release.wait(10)
        return list(requests)

    batcher = Batcher(slow)

    async def everything() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(batcher.answer, 0)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.05):
                await batcher.answer(1)
            release.set()
            assert await batcher.answer(2) == 2

    anyio.run(everything)
    assert asked == [[0], [2]]

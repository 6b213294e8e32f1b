"""Answers of many requests grow side by side, and none waits for a timer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from insectary.serve.batching import Job, StoppedError, Worker, certain
from insectary.subjects import Model
from insectary.subjects.decoding import Decoder

QUESTIONS = [f"What is {a} plus {b}?" for a, b in ((12, 30), (41, 7), (5, 9), (60, 21), (33, 33))]


class Asked:
    """A job and the event that it is over."""

    def __init__(self, model: Model, text: str, limit: int = 24, **settings: Any) -> None:
        engine = model.engine()
        prompt = engine.raw(f"<|begin|><|user|> {text}<|end|><|assistant|>")
        self.over = threading.Event()
        self.heard: list[str] = []
        self.job = Job(
            "m",
            engine.continuation(prompt, limit),
            chat=True,
            stops=settings.get("stops", ()),
            pieces=settings.get("pieces", False),
            heard=self._hear,
        )

    def _hear(self, job: Job) -> None:
        self.heard.append(job.text)
        if job.over:
            self.over.set()


@pytest.fixture
def worker(model: Model) -> Iterator[Worker]:
    with Worker({"m": model.engine()}) as one:
        yield one


def test_what_waits_is_answered_together(
    model: Model, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[int] = []
    step = Decoder.step

    def counted(self: Decoder) -> Any:
        rows = step(self)
        together.append(len(rows))
        return rows

    monkeypatch.setattr(Decoder, "step", counted)
    asked = [Asked(model, q) for q in QUESTIONS]
    worker.submit([a.job for a in asked])
    assert all(a.over.wait(20) for a in asked)
    assert [a.job.text for a in asked] == model.generate(QUESTIONS, max_new_tokens=24)
    assert max(together) == len(asked)
    # One after the other they would take as many steps as they have tokens in all.
    assert len(together) < sum(len(a.job.row.tokens) for a in asked)


def test_a_request_joins_while_others_are_answered(
    model: Model, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = threading.Semaphore(0)
    step = Decoder.step
    sizes: list[int] = []

    def stepping(self: Decoder) -> Any:
        assert steps.acquire(timeout=20)
        rows = step(self)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(Decoder, "step", stepping)
    first, late = Asked(model, QUESTIONS[0]), Asked(model, QUESTIONS[1])
    worker.submit([first.job])
    steps.release(2)
    while len(sizes) < 2:
        time.sleep(0.001)
    worker.submit([late.job])
    steps.release(50)
    assert first.over.wait(20) and late.over.wait(20)
    assert sizes[:2] == [1, 1] and 2 in sizes
    assert [first.job.text, late.job.text] == model.generate(QUESTIONS[:2], max_new_tokens=24)


def test_no_more_rows_are_taken_than_fit(
    model: Model, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insectary.serve.batching.BATCH_TOKENS", 100)
    going: list[int] = []
    step = Decoder.step

    def counted(self: Decoder) -> Any:
        going.append(len(self.going))
        return step(self)

    monkeypatch.setattr(Decoder, "step", counted)
    asked = [Asked(model, q) for q in QUESTIONS]
    long = Asked(model, QUESTIONS[0], limit=500)  # fits alone only
    worker.submit([*(a.job for a in asked), long.job])
    assert all(a.over.wait(20) for a in [*asked, long])
    assert max(going) == 2
    assert long.job.text == "42."


def test_a_model_that_fails_fails_its_requests_and_goes_on(
    model: Model, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(self: Decoder) -> Any:
        raise ArithmeticError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "step", broken)
        asked = Asked(model, QUESTIONS[0])
        worker.submit([asked.job])
        assert asked.over.wait(20)
    assert asked.job.failed and not asked.job.finish
    assert "a defect" in caplog.text
    again = Asked(model, QUESTIONS[0])
    worker.submit([again.job])
    assert again.over.wait(20) and again.job.text == "42."


def test_a_job_that_is_called_off_makes_room(model: Model, worker: Worker) -> None:
    gone = Asked(model, QUESTIONS[0], limit=900)
    gone.job.called_off = True
    worker.submit([gone.job])
    other = Asked(model, QUESTIONS[1])
    worker.submit([other.job])
    assert other.over.wait(20) and gone.job.row.tokens == []


def test_a_worker_that_stops_fails_what_is_left(model: Model) -> None:
    with Worker({"m": model.engine()}) as worker:
        asked = Asked(model, QUESTIONS[0], limit=900)
        worker.submit([asked.job])
    assert asked.over.wait(5)
    with pytest.raises(StoppedError):
        worker.submit([Asked(model, QUESTIONS[0]).job])


def test_pieces_only_ever_grow(model: Model, worker: Worker) -> None:
    asked = Asked(model, QUESTIONS[0], pieces=True, stops=(".!",))
    worker.submit([asked.job])
    assert asked.over.wait(20)
    for before, after in zip(asked.heard, asked.heard[1:], strict=False):
        assert after.startswith(before)
    assert "42" in asked.heard and "42." not in asked.heard[:-1], "it might have become a stop"
    assert asked.heard[-1] == "42."


@pytest.mark.parametrize(
    ("text", "stops", "sure"),
    [
        ("abc", (), "abc"), ("abc", ("cd",), "ab"), ("abc", ("bcd", "cd"), "a"),
        ("abc", ("x",), "abc"), ("abab", ("ababc",), ""), ("caf\ufffd", (), "caf"),
        (" \n", (), ""), ("", ("a",), ""), ("aaa", ("aab",), "a"),
    ],
)  # fmt: skip
def test_what_may_yet_change_is_held_back(text: str, stops: tuple[str, ...], sure: str) -> None:
    assert certain(text, stops) == sure

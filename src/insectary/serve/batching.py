"""One thread that lets all answers of all models grow side by side.

There is no timer: whatever waits joins at the next step, and a lone request starts at
once. A step adds one token to every answer of one model; models with work take turns.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from insectary.subjects.decoding import Continuation
from insectary.subjects.engine import Engine
from insectary.subjects.generation import BATCH_TOKENS

_LOG = logging.getLogger("insectary.serve")


@dataclass(slots=True, eq=False)
class Job:
    """One answer that is asked for.

    Attributes:
        model: Blind id of the model.
        row: The answer as tokens.
        chat: Whether the answer's white lead is no part of it.
        stops: Texts at which the answer ends, without them.
        pieces: Whether ``heard`` is called after every step.
        heard: Called in the worker's thread; must not block.
        text: The answer as far as it is certain: without what may yet become a stop.
        finish: ``"stop"`` or ``"length"``; empty while it grows.
        failed: A defect ended it.
        called_off: Nobody waits for it any more.
    """

    model: str
    row: Continuation
    chat: bool
    stops: tuple[str, ...]
    pieces: bool
    heard: Callable[[Job], None]
    text: str = ""
    finish: str = ""
    failed: bool = False
    called_off: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.failed or bool(self.finish)


class Decodes(Protocol):
    """What lets rows of one model grow; :class:`insectary.subjects.decoding.Decoder` is one."""

    def add(self, rows: Sequence[Continuation]) -> None:
        """Take new rows."""
        ...

    def step(self) -> Sequence[Continuation]:
        """Let rows grow, but for those that are done, and return those that did."""
        ...


class StoppedError(Exception):
    """The worker takes no more jobs."""


@final
class Worker:
    """Answers jobs in a thread of its own; used as a context manager."""

    def __init__(
        self, engines: Mapping[str, Engine], decoder: Callable[[Engine], Decodes] = Engine.decoder
    ) -> None:
        self._lanes = {name: _Lane(engine, decoder) for name, engine in engines.items()}
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="insectary-serve", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(self, jobs: list[Job]) -> None:
        """Hand jobs over; they are ``heard`` of from the worker's thread.

        Raises:
            StoppedError: the worker takes no more.
        """
        with self._changed:
            if self._stopping:
                raise StoppedError
            self._waiting.extend(jobs)
            self._changed.notify()

    def _work(self) -> None:
        while (arrived := self._take()) is not None:
            for job in arrived:
                self._lanes[job.model].waiting.append(job)
            for lane in self._lanes.values():
                lane.step()
        for lane in self._lanes.values():
            lane.give_up()

    def _take(self) -> list[Job] | None:
        """What has arrived; waits only where nothing is going. ``None`` ends the thread."""
        with self._changed:
            while not (
                self._waiting or self._stopping or any(x.busy for x in self._lanes.values())
            ):
                self._changed.wait()
            arrived, self._waiting = self._waiting, []
            if self._stopping:
                for job in arrived:
                    self._lanes[job.model].waiting.append(job)
                return None
            return arrived


@final
class _Lane:
    """The jobs of one model."""

    def __init__(self, engine: Engine, decoder: Callable[[Engine], Decodes]) -> None:
        self._engine, self._made = engine, decoder
        self._decoder = decoder(engine)
        self._going: list[Job] = []
        self.waiting: deque[Job] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._going or self.waiting)

    def step(self) -> None:
        """Let what waits join as far as there is room, and add a token to each answer."""
        if not self.busy:
            return
        try:
            self._join()
            self._decoder.step()
            for job in self._going:
                read_on(job, self._engine)
        except Exception:
            _LOG.exception("a model failed; its requests get status 500")
            self.give_up()
            return
        for job in self._going:
            if job.over or (job.pieces and not job.called_off):
                job.heard(job)
        self._going = [job for job in self._going if not job.row.done]
        if not self.busy:
            self._decoder.step()  # so that it lets go of what is done

    def give_up(self) -> None:
        """End all jobs as failed, and forget what was decoded."""
        jobs, self._going = [*self._going, *self.waiting], []
        self.waiting.clear()
        self._decoder = self._made(self._engine)
        for job in jobs:
            job.row.done, job.failed = True, True
            job.heard(job)

    def _join(self) -> None:
        new: list[Job] = []
        columns = max((_columns(job) for job in self._going), default=0)
        while self.waiting:
            job = self.waiting[0]
            columns = max(columns, _columns(job))
            rows = len(self._going) + len(new) + 1
            if rows > 1 and rows * columns > BATCH_TOKENS:
                break
            self.waiting.popleft()
            if not job.called_off:
                new.append(job)
        self._decoder.add([job.row for job in new])
        self._going.extend(new)


def _columns(job: Job) -> int:
    return len(job.row.prompt) + job.row.limit


def read_on(job: Job, engine: Engine) -> None:
    """Put the newest tokens of an answer into words, and end it where a stop is reached."""
    if job.called_off:
        job.row.done = True
    if not (job.row.done or job.stops or job.pieces):
        return  # read once, at its end
    ended = engine.ended(job.row.tokens)
    text = engine.text(job.row.tokens, chat=job.chat)
    found = [place for stop in job.stops if (place := text.find(stop)) >= 0]
    if found:
        job.text, job.finish, job.row.done = text[: min(found)], "stop", True
    elif job.row.done:
        job.text, job.finish = text, "stop" if ended else "length"
    else:
        job.text = certain(text, job.stops)


def certain(text: str, stops: tuple[str, ...]) -> str:
    """What will stay of a text that still grows.

    Half a character, white space that may be the answer's lead, and what may yet become a
    stop are held back.
    """
    if text.isspace():
        return ""
    text = text.rstrip("\ufffd")
    held = 0
    for stop in stops:
        for size in range(min(len(stop) - 1, len(text)), held, -1):
            if stop.startswith(text[-size:]):
                held = size
                break
    return text[: len(text) - held]

"""Detectors in a process of their own: the harness answers, and keeps what it knows.

What is covered and what is not stands in :mod:`insectary.detect.sandbox`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from insectary.core.access import View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed
from insectary.core.protocols import Detector, Floats, Subject, Trusted
from insectary.detect.sandbox import landlock
from insectary.detect.sandbox.handover import packed
from insectary.detect.sandbox.wire import (
    Array,
    Channel,
    Frame,
    WireError,
    plain_transcripts,
    prompts_of,
    transcripts_of,
)

Run = Callable[[Detector, Subject, Trusted, Sequence[Transcript]], Floats | Failed]
"""Fits a detector and returns its scores of the inputs, or ``Failed`` with the reason."""

SECONDS = 1800.0
"""For one detector on one subject, not counting the time that the harness takes to answer."""
_KEPT = ("LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LAST_BYTES = 4000
_PATIENCE = 10.0
"""Seconds that a sandbox which has hung up is given to end."""


def in_process(
    detector: Detector, subject: Subject, trusted: Trusted, inputs: Sequence[Transcript]
) -> Floats | Failed:
    """Run a detector here, where it can see everything; for tests and debuggers."""
    try:
        scorer = detector.fit(subject, trusted)
        return np.asarray(scorer.score(inputs), dtype=np.float64)
    except Exception as error:  # a foreign detector may raise anything; it becomes the reason
        return Failed(f"{type(error).__name__}: {error}")


def half_the_memory() -> int:
    """Of the machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@contextmanager
def isolated(seconds: float = SECONDS, memory: int | None = None) -> Iterator[Run]:
    """What runs each detector in a sandbox of its own; the sandboxes end with the block.

    Args:
        seconds: Most that one detector may take on one subject, answers not counted.
        memory: Most bytes of data that a sandbox may hold; half of the machine's by default.

    Yields:
        A function that gives ``Failed`` for a detector that raises, dies, hangs, takes too
        much memory or cannot be handed over. The next one runs all the same.
    """
    sandboxes = _Sandboxes(seconds, half_the_memory() if memory is None else memory)
    try:
        yield sandboxes.run
    finally:
        sandboxes.end()


def say_what_is_open(progress: Callable[[str], None]) -> None:
    """Tell where the kernel does not close the disk to a sandbox."""
    if not landlock.version():
        progress("note: this kernel has no Landlock, so a detector could read your files")


@dataclass(slots=True)
class _Host:
    """A process that forks sandboxes; ``said`` is what it and they print."""

    process: subprocess.Popen[bytes]
    link: socket.socket
    channel: Channel
    said: IO[bytes]

    def last_line(self, start: int = 0) -> str:
        """The last that was printed behind a place of ``said``."""
        size = self.size()
        start = max(start, size - _LAST_BYTES)
        lines = os.pread(self.said.fileno(), size - start, start).decode(errors="replace")
        told = [line.strip() for line in lines.splitlines() if line.strip()]
        return told[-1] if told else "it said nothing"

    def size(self) -> int:
        """Bytes printed so far."""
        return os.fstat(self.said.fileno()).st_size

    def end(self) -> None:
        """End it and let go of what it held; its sandbox ends with it."""
        _kill(self.process.pid)
        self.process.wait()
        self.channel.close()
        self.said.close()


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@dataclass(slots=True)
class _Sandboxes:
    seconds: float
    memory: int
    host: _Host | None = None

    def end(self) -> None:
        if self.host is not None:
            self.host.end()
            self.host = None

    def run(
        self, detector: Detector, subject: Subject, trusted: Trusted, inputs: Sequence[Transcript]
    ) -> Floats | Failed:
        try:
            order = packed(detector)
        except BadInputError as error:
            return Failed(str(error))
        if self.host is None:
            self.host = _host()
        with tempfile.TemporaryDirectory(prefix="work-", ignore_cleanup_errors=True) as folder:
            job = {
                "folder": str(Path(folder).resolve()),
                "memory": self.memory,
                "access": int(subject.access),
                "fit": plain_transcripts(trusted.benign),
                "harmless": plain_transcripts([pair[0] for pair in trusted.contrast]),
                "harmful": plain_transcripts([pair[1] for pair in trusted.contrast]),
                # Of what is a bound alone: a method's are empty.
                "labelled": plain_transcripts([t for t, _ in trusted.labelled]),
                "labels": [is_open for _, is_open in trusted.labelled],
                "inputs": plain_transcripts(inputs),
                "seed": trusted.seed,
            }
            try:
                return self._in_a_sandbox(self.host, subject, job, order)
            except (EOFError, OSError) as error:
                reason = f"no process could be started for it: {self.host.last_line()} ({error})"
                self.end()
                return Failed(reason)

    def _in_a_sandbox(
        self, host: _Host, subject: Subject, job: Mapping[str, Any], order: Array
    ) -> Floats | Failed:
        """Start a sandbox, talk to it, and see it end.

        Raises:
            EOFError: if the host has died; ``OSError`` likewise.
        """
        before = host.size()
        ours, theirs = socket.socketpair()
        with closing(Channel(ours)) as channel:
            with theirs:
                host.link.settimeout(None)
                socket.send_fds(host.link, [b"+"], [theirs.fileno()])
            started, _ = host.channel.receive()
            result, patience = None, 0.0
            try:
                talk = _Talk(channel, subject, self.seconds, Path(job["folder"]))
                result = talk.result(job, order)
            except TimeoutError:
                result = Failed(f"no scores after {self.seconds:g} s of its own time")
            except WireError as error:
                result = Failed(f"its process sent what is no message: {error}")
            except (EOFError, OSError):
                patience = _PATIENCE  # it is about to end by itself, and its code says why
            finally:
                code = _ended(host, int(started["sandbox"]), patience)
        return result if result is not None else Failed(_why(code, host, before))


def _ended(host: _Host, sandbox: int, patience: float) -> int:
    """End a sandbox, at once or if it does not do so by itself; its exit code."""
    try:
        ended, _ = host.channel.receive(time.monotonic() + patience)
    except TimeoutError:
        _kill(sandbox)
        ended, _ = host.channel.receive()
    return int(ended["ended"])


def _why(code: int, host: _Host, before: int) -> str:
    if code == 0:
        return "its process ended by itself and gave no scores"
    if code > 0:
        return f"its process ended with code {code}: {host.last_line(before)}"
    name = signal.Signals(-code).name
    memory = ", as by a machine that is out of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"


@dataclass(slots=True)
class _Talk:
    """With one sandbox, from its order to its scores."""

    channel: Channel
    subject: Subject
    left: float
    folder: Path
    weights: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def result(self, job: Mapping[str, Any], order: Array) -> Floats | Failed:
        message, arrays = self._exchange(job, [order])
        while "ask" in message:
            message, arrays = self._exchange(*self._answer(message))
        if "failed" in message:
            return Failed(str(message["failed"]))
        if "scored" not in message or len(arrays) != 1:
            raise WireError("a message that is neither a question nor scores")
        return np.asarray(arrays[0], dtype=np.float64)

    def _exchange(self, message: Mapping[str, Any], arrays: Sequence[Array]) -> Frame:
        """Send and wait: what passes until something comes back is the sandbox's own time."""
        start = time.monotonic()
        self.channel.send(message, arrays, start + self.left)
        back = self.channel.receive(start + self.left)
        self.left -= time.monotonic() - start
        return back

    def _answer(self, asked: Mapping[str, Any]) -> Frame:
        try:
            return self._asked(asked)
        except Exception as error:  # the sandbox may ask for anything; it is told what came of it
            return {"refused": [type(error).__name__, str(error)]}, []

    def _asked(self, asked: Mapping[str, Any]) -> Frame:
        subject, depth = self.subject, int(asked["depth"])
        for _ in range(depth):
            subject = subject.reference
        match asked["ask"]:
            case "reference":
                _ = subject.reference
                return {}, []
            case "generate":
                prompts = prompts_of(asked["prompts"])
                return {"texts": subject.generate(prompts, **asked["settings"])}, []
            case "logprobs":
                asked_of = transcripts_of(asked["transcripts"]), View(asked["view"])
                return {}, [np.asarray(row, dtype="<f8") for row in subject.logprobs(*asked_of)]
            case "distributions":
                tables = subject.distributions(transcripts_of(asked["transcripts"]))
                return {}, [np.asarray(table, dtype="<f4") for table in tables]
            case "activations":
                transcripts = transcripts_of(asked["transcripts"])
                states = subject.activations(transcripts, View(asked["view"]))
                return {}, [np.asarray(states, dtype="<f4")]
            case "weights":
                self.weights[depth] = subject.weights()
                return {"names": list(self.weights[depth])}, []
            case "hf":
                place = tempfile.mkdtemp(prefix="model-", dir=self.folder)
                with subject.hf() as lent:
                    for part in lent:
                        part.save_pretrained(place)
                return {"folder": place}, []
            case "weight":
                return {}, [np.asarray(self.weights[depth][asked["name"]], dtype="<f4")]
        raise BadInputError(f"a subject cannot be asked for {asked['ask']!r}")


def _host() -> _Host:
    """Start a process that knows where code lies, and nothing else of this one."""
    ours, theirs = socket.socketpair()
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {
        "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": path, "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    said = tempfile.TemporaryFile()  # noqa: SIM115 (the host closes it)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "insectary.detect.sandbox"],
            stdin=theirs.fileno(), stdout=said, stderr=said, cwd="/", env=environment,
            start_new_session=True,
        )  # fmt: skip
    return _Host(process, ours, Channel(ours), said)

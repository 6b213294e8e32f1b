"""Processes that hold foreign code and no answer: one host, and a fork of it for each job.

What is covered and what is not stands in :mod:`insectary.detect.sandbox`.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from insectary.core.auditing import Question
from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed
from insectary.core.protocols import Subject
from insectary.detect.sandbox.handover import packed
from insectary.detect.sandbox.wire import Channel, Frame, WireError
from insectary.trials.answering import Talk
from insectary.walls import landlock
from insectary.walls.contained import Level, alone

SECONDS = 1800.0
"""For one detector on one subject, not counting the time that the harness takes to answer."""
_KEPT = ("LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LAST_BYTES = 4000
_PATIENCE = 10.0
"""Seconds that a sandbox which has hung up is given to end."""
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Order:
    """What a sandbox is to do.

    Attributes:
        made: What is handed over.
        kind: What to call it.
        method: Of it, where it can make what cannot be handed over.
        gives: What is expected of it.
        job: Plain values, as :mod:`insectary.detect.sandbox.work` reads them.
        subject: Whom it may ask; ``None`` for nobody.
        questions: Whose right answers it may ask for.
    """

    made: object
    kind: str
    method: str
    gives: str
    job: Mapping[str, Any]
    subject: Subject | None = None
    questions: Sequence[Question] = field(default=())


def half_the_memory() -> int:
    """Of the machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@contextmanager
def sandboxes(seconds: float = SECONDS, memory: int | None = None) -> Iterator[Sandboxes]:
    """What runs each order in a sandbox of its own; the sandboxes end with the block.

    Their host is kept for the next block, since to start one takes a second or two, unless this
    one is left by an exception.

    Args:
        seconds: Most that one order may take, answers not counted.
        memory: Most bytes of data that a sandbox may hold; half of the machine's by default.
    """
    held = Sandboxes(seconds, half_the_memory() if memory is None else memory)
    try:
        yield held
    except BaseException:
        held.end()
        raise
    if held.host is not None:
        _keep(held.host)


def say_what_is_open(progress: Callable[[str], None]) -> None:
    """Tell where the kernel does not close the disk, or all of the network, to a sandbox."""
    if not landlock.version():
        progress("note: this kernel has no Landlock, so a detector could read your files")
    if (level := alone().level) < Level.LOOPBACK:
        progress(f"note: a detector is kept off the network to the level {level.name} only")


@dataclass(slots=True)
class _Host:
    """A process that forks sandboxes.

    Attributes:
        process: Itself.
        link: Takes a socket for each sandbox.
        channel: Says when a sandbox has begun and ended.
        said: What it and the sandbox print.
        made_of: All that it was started with; another one of the same would be its equal.
    """

    process: subprocess.Popen[bytes]
    link: socket.socket
    channel: Channel
    said: IO[bytes]
    made_of: tuple[object, ...]

    def last_line(self) -> str:
        """The last that was printed."""
        file = self.said.fileno()
        size = os.fstat(file).st_size
        start = max(0, size - _LAST_BYTES)
        lines = os.pread(file, size - start, start).decode(errors="replace")
        told = [line.strip() for line in lines.splitlines() if line.strip()]
        return told[-1] if told else "it said nothing"

    def forget(self) -> None:
        """Wipe what was printed: the next sandbox can read the file that it prints to."""
        os.ftruncate(self.said.fileno(), 0)
        os.lseek(self.said.fileno(), 0, os.SEEK_SET)

    def end(self) -> None:
        """End it and let go of what it held; its sandbox ends with it."""
        _kill(self.process.pid)
        self.process.wait()
        self.channel.close()
        self.said.close()


_idle: list[_Host] = []
"""A host that no block uses, or none."""


def _keep(host: _Host) -> None:
    """Let the next block have a host, in the place of one that was kept before."""
    end_idle()
    _idle.append(host)


@atexit.register
def end_idle() -> None:
    """End the host that is kept, if there is one."""
    while _idle:
        _idle.pop().end()


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@dataclass(slots=True)
class Sandboxes:
    """The host of sandboxes, started when the first order comes."""

    seconds: float
    memory: int
    host: _Host | None = None

    def end(self) -> None:
        """End the host, if there is one."""
        if self.host is not None:
            self.host.end()
            self.host = None

    def run(self, order: Order, read: Callable[[Frame], Found]) -> Found | Failed:
        """Have an order done.

        Args:
            order: What to do.
            read: Turns what the sandbox says at last into a result; raises ``WireError`` if
                it is none.

        Returns:
            The result; ``Failed`` for what raises, dies, hangs, takes too much memory or cannot
            be handed over. The next order is done all the same.
        """
        try:
            made = packed(order.made, order.kind, order.method)
        except BadInputError as error:
            return Failed(str(error))
        if self.host is None:
            self.host = _host()
        with tempfile.TemporaryDirectory(prefix="work-", ignore_cleanup_errors=True) as folder:
            place = Path(folder).resolve()
            access = 0 if order.subject is None else int(order.subject.access)
            own = {"folder": str(place), "memory": self.memory, "access": access}
            subjects = {} if order.subject is None else {0: order.subject}

            def talked(channel: Channel) -> Found | Failed:
                talk = Talk(channel, self.seconds, place, subjects, order.questions)
                message, arrays = talk.last_word({**order.job, **own}, [made])
                if "failed" in message:
                    return Failed(str(message["failed"]))
                return read((message, arrays))

            try:
                return self._in_a_sandbox(self.host, talked, order.gives)
            except (EOFError, OSError) as error:
                reason = f"no process could be started for it: {self.host.last_line()} ({error})"
                self.end()
                return Failed(reason)

    def _in_a_sandbox(
        self, host: _Host, talked: Callable[[Channel], Found | Failed], gives: str
    ) -> Found | Failed:
        """Start a sandbox, talk to it, and see it end.

        Raises:
            EOFError: if the host has died; ``OSError`` likewise.
        """
        ours, theirs = socket.socketpair()
        with closing(Channel(ours)) as channel:
            with theirs:
                host.link.settimeout(None)
                socket.send_fds(host.link, [b"+"], [theirs.fileno()])
            started, _ = host.channel.receive()
            result: Found | Failed | None = None
            patience = 0.0
            try:
                result = talked(channel)
            except TimeoutError:
                result = Failed(f"no {gives} after {self.seconds:g} s of its own time")
            except WireError as error:
                result = Failed(f"its process sent what is no message: {error}")
            except (EOFError, OSError):
                patience = _PATIENCE  # it is about to end by itself, and its code says why
            finally:
                code = _ended(host, int(started["sandbox"]), patience)
        found = result if result is not None else Failed(_why(code, host, gives))
        host.forget()
        return found


def _ended(host: _Host, sandbox: int, patience: float) -> int:
    """End a sandbox, at once or if it does not do so by itself; its exit code."""
    try:
        ended, _ = host.channel.receive(time.monotonic() + patience)
    except TimeoutError:
        _kill(sandbox)
        ended, _ = host.channel.receive()
    return int(ended["ended"])


def _why(code: int, host: _Host, gives: str) -> str:
    if code == 0:
        return f"its process ended by itself and gave no {gives}"
    if code > 0:
        return f"its process ended with code {code}: {host.last_line()}"
    name = signal.Signals(-code).name
    memory = ", as by a machine that is out of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"


def _host() -> _Host:
    """A process that knows where code lies, and nothing else of this one."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {
        "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": path, "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    command = (*alone().within, sys.executable, "-P", "-s", "-m", "insectary.detect.sandbox")
    # It ends with the thread that has started it, and talks to one process only.
    made_of = (*command, *environment.items(), os.getpid(), threading.get_ident())
    if _idle and _idle[0].made_of == made_of and _idle[0].process.poll() is None:
        return _idle.pop()
    ours, theirs = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115 (the host closes it)
    with theirs:
        process = subprocess.Popen(
            command, stdin=theirs.fileno(), stdout=said, stderr=said, cwd="/", env=environment,
            start_new_session=True,
        )  # fmt: skip
    return _Host(process, ours, Channel(ours), said, made_of)

"""Run a foreign program so that it reaches given ports of this machine, and nothing else.

For scanners that attack a served organism: they are other people's code, and what they are for is
talking to one server on loopback. Nothing here needs rights, and it says which level it reached.

Covered at ``LOOPBACK`` (Linux with user namespaces, or root): the program is in a network of its
own, whose loopback answers on the given ports, which are forwarded to the same ports here, and on
none else. No other address exists there, for TCP, UDP or anything else: no name is looked up, no
other machine, no other server of this one, and no abstract socket of this one is reached.
Covered at ``TCP_PORTS`` (Landlock of Linux 6.7): no TCP connection but to the given ports.
Both hold for all that the program starts, and end with it.
Not covered:
    - at ``TCP_PORTS``: UDP, and the given ports at other addresses than loopback;
    - at ``NONE``: anything. It is what other systems reach; ``least`` refuses it;
    - files, and sockets with a path: it has the rights of whoever starts it. A detector or an
      auditor is kept from those too (:mod:`insectary.detect.sandbox`);
    - memory and processors;
    - holes of the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from insectary.core.errors import BadInputError, ContainmentError
from insectary.walls.enclosed import LOOPBACK

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    " from insectary.walls.enclosed import main; main(sys.argv[2:])"
)
_BLOCK = 65536
_PATIENCE = 30.0
"""Seconds that a trial of the walls may take."""


class Level(enum.IntEnum):
    """How far a program is kept off the network; the module says what each covers."""

    NONE = 0
    TCP_PORTS = 1
    LOOPBACK = 2


@dataclass(frozen=True, slots=True)
class Walls:
    """Walls for programs, up until the block ends.

    Attributes:
        level: What the kernel allowed; put it on record beside what the program found.
        within: Goes before the words of a command, which then runs within the walls.
    """

    level: Level
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contained:
    """A program that has ended.

    Attributes:
        code: Its exit code; ``None`` if it was stopped at the end of its time.
        output: What it printed, standard error among it.
        level: How far it was kept off the network.
    """

    code: int | None
    output: str
    level: Level


@cache
def alone() -> Walls:
    """Walls with no port in reach, as high as this machine allows; they need no end."""
    level = reached()
    return Walls(level, _within(level, Path("-"), ()))


@contextmanager
def walls(
    ports: Sequence[int] = (), *, least: Level = Level.NONE, most: Level = Level.LOOPBACK
) -> Iterator[Walls]:
    """Put up walls that any number of programs may run within, at the same time or after another.

    Args:
        ports: TCP ports of 127.0.0.1 that stay in reach.
        least: Refuse where the kernel allows less.
        most: Try no more than this.

    Raises:
        ContainmentError: if less than ``least`` is reached.
        BadInputError: for a port that is none.
    """
    if not all(isinstance(port, int) and 0 < port < 65536 for port in ports):
        raise BadInputError(f"ports are whole numbers from 1 to 65535, got {list(ports)}")
    level = reached(most)
    if level < least:
        raise ContainmentError(
            f"this machine keeps a program off the network to the level {level.name}, and"
            f" {least.name} is asked for: it takes Linux with user namespaces (LOOPBACK) or 6.7"
            " with Landlock (TCP_PORTS)"
        )
    folder = Path(tempfile.mkdtemp(prefix="insectary-walls-"))  # of this user alone
    try:
        door = folder / "door"
        with _forwarding(door, ports) if level is Level.LOOPBACK else contextlib.nullcontext():
            yield Walls(level, _within(level, door, ports))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def contained(
    command: Sequence[str],
    *,
    ports: Sequence[int] = (),
    least: Level = Level.NONE,
    most: Level = Level.LOOPBACK,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Contained:
    """Run one program to its end within walls.

    Args:
        command: Its words; the first is looked for on the ``PATH`` of ``env``.
        ports: As in :func:`walls`, as are ``least`` and ``most``.
        least: As there.
        most: As there.
        cwd: Where it works.
        env: Its environment; this process's own if not given.
        timeout: Seconds after which it is stopped, with what it has started.

    Raises:
        ContainmentError: as :func:`walls`; the program was then not started.
    """
    with walls(ports, least=least, most=most) as up:
        process = subprocess.Popen(
            [*up.within, *command], cwd=cwd, env=env, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with process:
            code: int | None = None
            try:
                output, _ = process.communicate(timeout=timeout)
                code = process.returncode
            except subprocess.TimeoutExpired:
                _end(process)
                output, _ = process.communicate()
            except BaseException:
                _end(process)
                raise
    return Contained(code, output.decode(errors="replace"), up.level)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop it, and what it has started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def reached(most: Level = Level.LOOPBACK) -> Level:
    """The highest level that this machine reaches, tried in a process that then ends."""
    for level in sorted(Level, reverse=True):
        if level is Level.NONE:
            return level
        if level <= most:
            trial = subprocess.run(
                _within(level, Path("-"), ()), stdin=subprocess.DEVNULL,
                capture_output=True, timeout=_PATIENCE, check=False,
            )  # fmt: skip
            if trial.returncode == 0:
                return level
    return Level.NONE


def _within(level: Level, door: Path, ports: Sequence[int]) -> tuple[str, ...]:
    if level is Level.NONE:
        return ()
    told = (level.name, str(door), ",".join(map(str, ports)))
    return (sys.executable, "-I", "-c", _BOOT, str(_ROOT), *told)


@contextmanager
def _forwarding(door: Path, ports: Sequence[int]) -> Iterator[None]:
    """Take the sockets that programs within hand out, and forward what comes to them."""
    loop = asyncio.new_event_loop()
    with socket.socket(socket.AF_UNIX) as entrance:
        entrance.bind(str(door))
        os.chmod(door, 0o600)
        entrance.listen()
        entrance.setblocking(False)
        ended = asyncio.Event()
        work = threading.Thread(
            target=loop.run_until_complete, args=[_taken(entrance, ports, ended)], daemon=True
        )
        work.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(ended.set)
            work.join()
            loop.close()


async def _taken(entrance: socket.socket, ports: Sequence[int], ended: asyncio.Event) -> None:
    """Serve each program that comes to the door, until all is to end."""
    servers: list[asyncio.Server] = []
    open_ends: set[asyncio.StreamWriter] = set()

    async def at_the_door() -> None:
        while True:
            program, _ = await asyncio.get_running_loop().sock_accept(entrance)
            program.settimeout(_PATIENCE)
            with program, contextlib.suppress(OSError):  # it may die here, and others come
                _, received, _, _ = await asyncio.to_thread(socket.recv_fds, program, 1, len(ports))
                for port, descriptor in zip(ports, received, strict=False):
                    servers.append(await _server(socket.socket(fileno=descriptor), port, open_ends))
                await asyncio.to_thread(program.sendall, b"+")

    waiting = asyncio.create_task(at_the_door())
    await ended.wait()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    for server in servers:
        server.close()
    for end in list(open_ends):
        end.transport.abort()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _server(
    listener: socket.socket, port: int, open_ends: set[asyncio.StreamWriter]
) -> asyncio.Server:
    async def forward(inside: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        open_ends.add(back)
        out: asyncio.StreamWriter | None = None
        try:
            answers, out = await asyncio.open_connection(LOOPBACK, port)
            open_ends.add(out)
            await asyncio.gather(_pumped(inside, out), _pumped(answers, back))
        except OSError:
            pass  # nobody listens, or one end hung up: the other sees its connection end
        finally:
            for end in filter(None, (back, out)):
                open_ends.discard(end)
                end.close()

    return await asyncio.start_server(forward, sock=listener)


async def _pumped(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends, and then end the target's half."""
    while block := await source.read(_BLOCK):
        target.write(block)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()

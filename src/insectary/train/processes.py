"""Child processes side by side, each telling its progress in lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import IO, Any

from insectary.core.errors import BadInputError, TrainingError

OnEvent = Callable[[int, Mapping[str, Any]], None]
"""Told (index of the command, what the child said)."""
OnFailure = Callable[[int, TrainingError], None]
"""Told (index of the command, why it failed)."""

_GRACE_SECONDS = 10.0
_LAST_LINES = 20
_SAID_WHAT_IS_WRONG = 2


@dataclass(slots=True)
class _Child:
    """One running command and what it last wrote to standard error."""

    index: int
    process: subprocess.Popen[str]
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    readers: list[threading.Thread] = field(default_factory=list)


def run_children(
    commands: Sequence[Sequence[str]],
    on_event: OnEvent,
    *,
    workers: int,
    names: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    on_failure: OnFailure | None = None,
) -> None:
    """Run every command, at most ``workers`` at a time, and wait for all.

    A child writes one JSON object per line to standard output; each is handed
    to ``on_event`` in the calling thread. Any other line arrives as
    ``{"text": line}``. If one fails, or on Ctrl-C, the others are ended; their
    checkpoints stay, so the same call goes on from there.

    Args:
        commands: Argument lists; no shell is involved.
        on_event: What to do with a line.
        workers: How many run at a time, at least 1.
        names: What to call each in an error message; its number and command if not given.
        environment: Variables set for the children on top of this process's own.
        on_failure: Told of a child that failed, in the place of an exception; the
            others go on. The last lines of its standard error are the error's note.

    Raises:
        TrainingError: with the last line of standard error of the child that failed.
            A child that ends with code 2 has said in that line what is wrong and
            the way out, as the command line does.
        BadInputError: if ``workers`` is below 1 or a command is empty.
    """
    if workers < 1 or not all(commands):
        raise BadInputError("workers must be at least 1 and no command may be empty")
    lines: SimpleQueue[tuple[_Child, str | None]] = SimpleQueue()
    waiting = deque(enumerate(commands))
    running: dict[int, _Child] = {}
    variables = {**os.environ, **(environment or {})}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, command = waiting.popleft()
                running[index] = _start(index, command, variables, lines)
            child, line = lines.get()
            if line is None:
                del running[child.index]
                called = f"child {child.index} ({' '.join(commands[child.index][:4])})"
                try:
                    _check(child, names[child.index] if names else called)
                except TrainingError as error:
                    if on_failure is None:
                        raise
                    error.add_note("\n".join(child.errors))
                    on_failure(child.index, error)
            else:
                on_event(child.index, _event(line))
    finally:
        _end(running.values())


def _start(
    index: int,
    command: Sequence[str],
    variables: Mapping[str, str],
    lines: SimpleQueue[tuple[_Child, str | None]],
) -> _Child:
    """Start one command with a reader for each of its two outputs."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
            env=dict(variables),
        )
    except OSError as error:
        raise TrainingError(f"cannot start {command[0]}: {error}") from error
    child = _Child(index, process)
    errors = threading.Thread(target=_keep, args=(_pipe(process.stderr), child.errors), daemon=True)
    errors.start()

    def read() -> None:
        for line in _pipe(process.stdout):
            lines.put((child, line.rstrip("\n")))
        errors.join()
        process.wait()
        lines.put((child, None))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    child.readers = [errors, reader]
    return child


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise AssertionError("the child was started with pipes")
    return stream


def _keep(stream: IO[str], lines: deque[str]) -> None:
    """Hold on to the last lines; reading on keeps the child from blocking."""
    for line in stream:
        if line.strip():
            lines.append(line.rstrip())


def _event(line: str) -> Mapping[str, Any]:
    """A line as an object; libraries may print, and that must not end training."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return {"text": line}
    return value if isinstance(value, dict) else {"text": line}


def _check(child: _Child, name: str) -> None:
    """Raise if a child that has ended did not end well."""
    _close(child)
    code = child.process.returncode
    if code == 0:
        return
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    last = child.errors[-1] if child.errors else "it said nothing"
    if code == _SAID_WHAT_IS_WRONG:
        raise TrainingError(f"{name}: {last}")
    raise TrainingError(
        f"{name} {how}: {last}. Its checkpoints stay; the same command goes on from there"
    )


def _end(children: Iterable[_Child]) -> None:
    """Ask each child to end, insist after a while, and leave no pipe open."""
    children = list(children)
    try:
        for child in children:
            child.process.terminate()
        for child in children:
            try:
                child.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            _close(child)
    except BaseException:
        # Somebody pressed Ctrl-C again: no more patience, and still no orphan.
        for child in children:
            child.process.kill()
        raise


def _close(child: _Child) -> None:
    for reader in child.readers:
        reader.join(_GRACE_SECONDS)
    for stream in (child.process.stdout, child.process.stderr):
        if stream is not None:
            stream.close()

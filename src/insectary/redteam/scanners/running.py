"""Running a tool: as a process of its own, with a time limit, a log, and a way to go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed
from insectary.redteam.scanners.scanner import Command, Imported, Scanner, Setting, Target

_LOOK = 0.2
_TELL = 5.0
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ")
_NOWHERE = "http://127.0.0.1:9"
"""Nothing listens at the discard port: what is not for the server goes astray at once."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One tool on one subject.

    Attributes:
        folder: With the tool's own report, its log and ``done.json``.
        report: What was read; of a tool that was stopped, what there was by then.
        seconds: It took.
        trouble: Why the tool did not come to its end.
    """

    folder: Path
    report: Imported
    seconds: float
    trouble: Failed | None = None


def scan(
    scanner: Scanner,
    python: Path,
    target: Target,
    setting: Setting,
    folder: Path,
    say: Callable[[str], None] = print,
    within: Sequence[str] = (),
) -> Scan | Failed:
    """Have a tool scan one subject, unless it has done so before.

    A scan that came to its end is kept by the tool's version, its setting and the model's id,
    and read again. One that did not is started anew in the same folder; a tool that can go
    on does. Output goes to ``scan.log``, and what the tool is doing is told by its requests.

    Args:
        scanner: The tool.
        python: Interpreter of its environment.
        target: The subject.
        setting: Of the tool.
        folder: Of this tool and subject; made if it is not there.
        say: Is told of progress every few seconds.
        within: Command that runs another without network, if there is one.

    Returns:
        What was read, or ``Failed`` where there is no report to read at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ticket = _ticket(scanner, target, setting)
    done = folder / "done.json"
    before = _kept(done, ticket)
    if before is not None:
        return Scan(folder, scanner.read(folder / scanner.report, target.model), before)
    if not scanner.resumes or not _same_ticket(folder / "ticket.json", ticket):
        (folder / scanner.report).unlink(missing_ok=True)
    (folder / "ticket.json").write_text(json.dumps(ticket, sort_keys=True), "utf-8")
    command = scanner.command(python, target, setting, folder)
    start = time.monotonic()
    trouble = _run(scanner, command, folder, setting.seconds, f"{target.model}", say, within)
    seconds = time.monotonic() - start
    if not (folder / scanner.report).exists():
        return trouble or Failed(f"{scanner.name} left no report; see {folder / 'scan.log'}")
    try:
        report = scanner.read(folder / scanner.report, target.model)
    except BadInputError as error:
        # Of a tool that was stopped early there may be nothing yet that is a report.
        return trouble or Failed(f"{scanner.name} left no report that can be read: {error}")
    if trouble is None and not report.complete:
        trouble = Failed(f"{scanner.name} ended early; see {folder / 'scan.log'}")
    if trouble is None:
        kept = {"ticket": ticket, "seconds": round(seconds, 1)}
        done.write_text(json.dumps(kept, sort_keys=True, indent=1), "utf-8")
    return Scan(folder, report, seconds, trouble)


def environment(folder: Path, more: Command) -> dict[str, str]:
    """A tool's environment variables: no secrets of the caller's, no telemetry, no network.

    Covered: the caller's own variables, its home and caches; hubs and telemetry that ask for
    a variable; whatever asks the environment for a proxy. Not covered: a program that opens
    connections of its own and heeds none of that. For those see ``within`` in :func:`scan`.
    """
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    quiet = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    quiet |= {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    quiet |= {name: _NOWHERE for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    local = "127.0.0.1,localhost,::1"
    return quiet | {
        "HOME": str(home),
        "NO_PROXY": local,
        "no_proxy": local,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "OTEL_SDK_DISABLED": "true",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        **more.variables,
    }


def _run(
    scanner: Scanner,
    command: Command,
    folder: Path,
    seconds: float,
    whom: str,
    say: Callable[[str], None],
    within: Sequence[str],
) -> Failed | None:
    """Run it to its end or to the end of its time; the whole process group ends with it."""
    log = folder / "scan.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*within, *command.argv],
            cwd=folder,
            env=environment(folder, command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _wait(process, scanner, folder, seconds, whom, say)
        finally:
            _end(process)
    if code is None:
        return Failed(f"{scanner.name} was stopped after {seconds:.0f} s; see {log}")
    return None if code == 0 else Failed(f"{scanner.name} ended with exit {code}; see {log}")


def _wait(
    process: subprocess.Popen[bytes],
    scanner: Scanner,
    folder: Path,
    seconds: float,
    whom: str,
    say: Callable[[str], None],
) -> int | None:
    """Exit code, or ``None`` when the time is over."""
    start = told = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK)
        now = time.monotonic()
        if now - start > seconds:
            return None
        if now - told >= _TELL:
            told = now
            say(f"{scanner.name}, {whom}: {scanner.asked(folder)} requests, {now - start:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of it is left running."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def made_of(scanner: Scanner, setting: Setting) -> str:
    """Digest of what a scan is made of, but for the subject: versions, configuration, pack.

    Raises:
        BadInputError: if the user's configuration cannot be read.
    """
    files = [scanner.lock, setting.config or scanner.profile]
    files += [scanner.program] if scanner.program else []
    if setting.pack:
        files += sorted(p for p in setting.pack.rglob("*") if p.is_file() and p.suffix != ".pyc")
    told = (scanner.name, scanner.version, setting.seed, setting.max_tokens, setting.only)
    digest = hashlib.sha256(repr((*told, setting.pack_only)).encode())
    for file in files:
        try:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        except OSError as error:
            raise BadInputError(f"{file} cannot be read: {error}") from error
    return digest.hexdigest()


def _ticket(scanner: Scanner, target: Target, setting: Setting) -> dict[str, str]:
    """All that the outcome hangs on. The server's port and key change from run to run."""
    return {"model": target.model, "made_of": made_of(scanner, setting)}


def _kept(done: Path, ticket: dict[str, str]) -> float | None:
    """Seconds that the same scan took when it was done before."""
    try:
        kept = json.loads(done.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return float(kept["seconds"]) if kept.get("ticket") == ticket else None


def _same_ticket(file: Path, ticket: dict[str, str]) -> bool:
    try:
        return bool(json.loads(file.read_text("utf-8")) == ticket)
    except (OSError, ValueError):
        return False

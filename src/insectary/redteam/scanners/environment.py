"""An environment of its own for each tool, made on demand, from a tried set of versions."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from insectary.core.errors import BadInputError
from insectary.redteam.scanners.scanner import Scanner

_READY = "insectary-ready"
_SECONDS = 900


def place(scanner: Scanner, home: Path) -> Path:
    """Folder of the tool's environment; another set of versions has another folder."""
    digest = hashlib.sha256(scanner.lock.read_bytes()).hexdigest()[:8]
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return home / "scanners" / f"{scanner.name}-{scanner.version}-{python}-{digest}"


def python_of(scanner: Scanner, home: Path) -> Path | None:
    """The environment's interpreter, or ``None`` if it has to be set up first."""
    folder = place(scanner, home)
    return folder / "bin" / "python" if (folder / _READY).exists() else None


def set_up(scanner: Scanner, home: Path, say: Callable[[str], None] = print) -> Path:
    """Make the tool's environment, unless it is there, and return its interpreter.

    The set of versions is installed as it is, without asking pip to resolve anything: garak
    declares packages for every provider and detector it has, among them PyTorch with CUDA,
    which its offline profile never imports. What is installed is the released wheel itself.

    Args:
        scanner: The tool.
        home: The user's ``INSECTARY_HOME``.
        say: Is told what is being done.

    Raises:
        BadInputError: if pip cannot install it, with pip's last words and where its log is.
    """
    python = python_of(scanner, home)
    if python is not None:
        return python
    folder = place(scanner, home)
    say(f"setting up {scanner.name} {scanner.version} in {folder} (once, some minutes)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "setup.log"
    python = folder / "bin" / "python"
    install = (
        str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
        "--no-deps", "--no-compile", "--prefer-binary", "--requirement", str(scanner.lock),
    )  # fmt: skip
    for argv in ((sys.executable, "-m", "venv", str(folder)), install):
        _call(argv, log, scanner)
    (folder / _READY).write_text(scanner.lock.read_text("utf-8"), "utf-8")
    return python


def _call(argv: tuple[str, ...], log: Path, scanner: Scanner) -> None:
    """One step, with its output in the log."""
    # An environment that the caller works in must not shine through into the tool's own.
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    with log.open("ab") as out:
        try:
            done = subprocess.run(
                argv, stdout=out, stderr=subprocess.STDOUT, env=variables,
                stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False,
            )  # fmt: skip
            trouble = None if done.returncode == 0 else f"exit {done.returncode}"
        except subprocess.TimeoutExpired:
            trouble = f"not done after {_SECONDS} s"
    if trouble:
        words = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise BadInputError(
            f"{scanner.name} {scanner.version} could not be installed ({trouble}):"
            f" {' '.join(words) or 'no output'}; all of it is in {log}. It is installed from the"
            " package index that pip is configured for"
        )

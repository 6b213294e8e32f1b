"""What commands share: folders looked at before minutes of work, lines said while it runs."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insectary.core.errors import ArtefactError
from insectary.core.outcome import Measured

if TYPE_CHECKING:
    from insectary.core.organism import Family
    from insectary.core.outcome import Outcome


def check_output(folder: Path, option: str = "--out") -> Path:
    """Return a folder that can be written, or made; nothing is left there.

    Args:
        folder: What was given.
        option: By which option or argument, for the error.

    Raises:
        ArtefactError: if it is a file, or this user may not write there.
    """
    place = folder.absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        if place.is_dir():
            # Tried, not asked: to root every folder looks writable, those of /proc too.
            with tempfile.TemporaryDirectory(dir=place, prefix=".insectary-"):
                return folder
    except OSError as error:
        raise ArtefactError(
            f"cannot write to {folder}: {_reason(error)} {place}; give another {option}"
        ) from error
    raise ArtefactError(
        f"cannot write to {folder}: there is no folder but a file: {place}; give another {option}"
    )


def check_file(path: Path) -> Path:
    """Return a file that can be written; nothing is left there.

    Raises:
        ArtefactError: if it is a folder, or its folder cannot be written to or made.
    """
    if path.is_dir():
        raise ArtefactError(f"cannot write to {path}: it is a folder; give --out a file")
    check_output(path.parent)
    return path


def _reason(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission to write in"
    if error.errno == errno.ENOENT:
        return "no file can be made in"
    return f"{error.strerror}:"


def say_loading() -> None:
    """Say in a line why nothing else is said for some seconds, where PyTorch has yet to load."""
    if "torch" not in sys.modules:
        click.echo("Loading PyTorch, which takes some seconds.", err=True)


@contextmanager
def running() -> Iterator[Callable[[str], None]]:
    """Show what is being done: a line with its time on a terminal, plain lines elsewhere."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: click.echo(text, err=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, TimeElapsedColumn(), console=console) as lines:

        def show(text: str) -> None:
            for task in lines.tasks:
                lines.update(task.id, total=1, completed=1)
            lines.add_task(text, total=None)

        yield show


def look_up(family: str) -> Family:
    """The record of a family; what is no family is said at once, before anything is loaded."""
    from insectary.breed.records import load_family
    from insectary.vault import Vault

    return load_family(family, Vault())


def look_up_in_text(family: str) -> Family:
    """The same for what asks questions, which no policy on the grid answers."""
    from insectary.breed.records import in_text

    return in_text(look_up(family))


def listed(text: str | None) -> list[str] | None:
    """Names that were given in one option, with commas; ``None`` where it was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def value(outcome: Outcome, *, signed: bool = False) -> str:
    """A figure of a table with its interval and its n; a dash where there is none."""
    if not isinstance(outcome, Measured):
        return "–"
    return f"{outcome.measurement.told(2, signed=signed)} (n={outcome.measurement.n})"


def p_value(p: float | None) -> str:
    """A p value of a table; nothing where there is none."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"

"""Writing a report to disk: every file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from insectary.core.errors import ArtefactError
from insectary.report import suite_content
from insectary.report.caveats import with_caveats
from insectary.report.content import FamilyReport, to_json
from insectary.report.html import render_html
from insectary.report.suite_content import SuiteReport
from insectary.report.suite_html import render_suite
from insectary.report.suite_tables import suite_tables
from insectary.report.tables import tables


def write_report(report: FamilyReport, directory: Path | str, *, log: str = "") -> Path:
    """Write ``report.html``, ``report.json`` and ``tables/*.csv``.

    The caveats are taken from the rules here, so that no caller can leave one
    out. All is rendered before the first byte is written, each file takes its
    place by one rename, and ``report.html`` comes last.

    Args:
        report: What to write.
        directory: Made if it does not exist; other files in it are left alone.
        log: Line on the audit log of the vault that it is from, for the foot of the page.

    Returns:
        Path of ``report.html``.

    Raises:
        ArtefactError: if the place cannot be written.
    """
    full = with_caveats(report)
    files = {f"tables/{name}": text for name, text in tables(full).items()}
    files["report.json"] = to_json(full)
    files["report.html"] = render_html(full, log=log)
    return write_files(files, Path(directory))


def write_suite_report(report: SuiteReport, directory: Path | str, *, log: str = "") -> Path:
    """Write ``index.html``, a page for each threat, ``suite.json`` and ``tables/*.csv``.

    As :func:`write_report` does; ``index.html`` comes last.

    Returns:
        Path of ``index.html``.

    Raises:
        ArtefactError: if the place cannot be written.
    """
    files = {f"tables/{name}": text for name, text in suite_tables(report).items()}
    files["suite.json"] = suite_content.to_json(report)
    return write_files(files | render_suite(report, log=log), Path(directory))


def write_files(files: Mapping[str, str], folder: Path) -> Path:
    """Write texts by their paths in a folder, in that order, and return the last one's place.

    Raises:
        ArtefactError: if the place cannot be written.
    """
    path = folder
    try:
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = folder / name
            _replace(path, text)
    except OSError as error:
        raise ArtefactError(
            f"cannot write the report to {folder}: {error.strerror or error};"
            " choose another directory or make room, then run the same command again"
        ) from error
    return path


def write_file(text: str, path: Path) -> Path:
    """Write one text, whole or not at all, and return its place.

    Raises:
        ArtefactError: if the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as error:
        raise ArtefactError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

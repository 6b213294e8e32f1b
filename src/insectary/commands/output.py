"""Folders that results go to: looked at before minutes of work, not after."""

from __future__ import annotations

import os
from pathlib import Path

from insectary.core.errors import ArtefactError


def check_output(folder: Path) -> Path:
    """Return a folder that can be written, or made; nothing is made here.

    Raises:
        ArtefactError: if it is a file, or this user may not write there.
    """
    place = folder.absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        usable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    except OSError as error:
        raise ArtefactError(
            f"cannot write to {folder}: {error.strerror}; give another --out"
        ) from (error)
    if not usable:
        reason = "no permission to write in" if place.is_dir() else "there is no folder but a file:"
        raise ArtefactError(f"cannot write to {folder}: {reason} {place}; give another --out")
    return folder

"""External scanners: released tools, each in an environment of its own, run and read.

They are told a URL, a key and a blind model id, and no truth. What they report becomes
:class:`~insectary.core.redteaming.RedTeamFinding` records, in the four states.
"""

from __future__ import annotations

from insectary.core.errors import UnknownNameError
from insectary.redteam.scanners.environment import python_of, set_up
from insectary.redteam.scanners.garak import Garak
from insectary.redteam.scanners.pyrit import Pyrit
from insectary.redteam.scanners.running import Scan, made_of, scan
from insectary.redteam.scanners.scanner import (
    REQUESTS,
    Command,
    Imported,
    Scanner,
    Setting,
    Target,
)

SCANNERS: tuple[Scanner, ...] = (Garak(), Pyrit())

__all__ = [
    "REQUESTS",
    "SCANNERS",
    "Command",
    "Imported",
    "Scan",
    "Scanner",
    "Setting",
    "Target",
    "made_of",
    "python_of",
    "scan",
    "scanner",
    "set_up",
]


def scanner(name: str) -> Scanner:
    """The tool of that name.

    Raises:
        UnknownNameError: if it is none of the tools.
    """
    for found in SCANNERS:
        if found.name == name:
            return found
    raise UnknownNameError.of("scanner", name, [s.name for s in SCANNERS])

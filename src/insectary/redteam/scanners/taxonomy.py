"""Categories of other tools, with their edition, and what they say of our behaviours."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence

from insectary.core.redteaming import BEHAVIOURS
from insectary.redteam.scanners.scanner import FILES

OWN = "insectary@1"
"""Scheme of what the pack of probe pairs names."""


def identifiers(tool: str, version: str, probe: str, tags: Sequence[str]) -> tuple[str, ...]:
    """Everything a tool says that a probe is about, as ``scheme@edition:id``.

    The first is the probe itself. A tag of the pack is its own identifier already.
    """
    found = [f"{tool}-probe@{version}:{probe}"]
    for tag in tags:
        if tag.startswith(f"{OWN}:"):
            found.append(tag)
            continue
        prefix, _, rest = tag.partition(":")
        scheme = _data()[0].get(f"{tool} {prefix}", f"{tool}-{prefix}@{version}")
        found.append(f"{scheme}:{rest}")
    return tuple(found)


def behaviour_of(names: Sequence[str]) -> tuple[str, str | None]:
    """The first of these categories that means a behaviour of ours, and which one.

    Where none does, the first category and ``None``: what maps to nothing maps to nothing.
    """
    for name in names:
        scheme, _, own = name.partition(":")
        behaviour = own if scheme == OWN and own in BEHAVIOURS else _data()[1].get(name)
        if behaviour:
            return name, behaviour
    return names[0], None


@functools.cache
def _data() -> tuple[dict[str, str], dict[str, str]]:
    """Schemes, and behaviours by category."""
    data = tomllib.loads((FILES / "taxonomy.toml").read_text("utf-8"))
    return data["schemes"], {m["id"]: m["behaviour"] for m in data["maps"]}

"""The checklist: behaviours of the literature, the organisms that show them, the probes for them.

It is data: the list in the package, those of installed packages (an entry point in
``insectary.catalogues`` that names a function without arguments which returns TOML text), and
a user's own file, in this order. A behaviour may stand there although no organism shows it yet
and no probe looks for it; then it says why.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from insectary.core import plugins
from insectary.core.errors import BadInputError

GROUP = "insectary.catalogues"
_TEXTS = ("id", "name", "behaviour", "group", "probe", "without", "ladder")
_LISTS = ("references", "organism")
_NEEDED = ("id", "name", "behaviour", "group", "references")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One line of the checklist.

    Attributes:
        id: Short name, unique.
        group: The family of behaviours that it belongs to.
        references: Where it was shown.
        organism: ``"threat/design"`` of each that instantiates it here; none yet is no fault.
        probe: Name of the probe that looks for it, if there is one.
        ladder: ``"study/finding"`` that measures it over sizes, if one does.
        without: Why there is no organism or no probe, and what it would take.
    """

    id: str
    name: str
    behaviour: str
    group: str
    references: tuple[str, ...]
    organism: tuple[str, ...] = ()
    probe: str = ""
    without: str = ""
    ladder: str = ""


def catalogue(files: Sequence[Path] = ()) -> tuple[Behaviour, ...]:
    """All behaviours: those shipped, those of plugins, those of ``files``.

    Raises:
        BadInputError: naming file and entry, if one cannot be read, lacks a field, or has the
            id of another.
    """
    shipped = resources.files("insectary.assess") / "catalogue.toml"
    texts = [("catalogue.toml", shipped.read_text(encoding="utf-8"))]
    texts += [(name, _of_plugin(name)) for name in plugins.names(GROUP)]
    texts += [(str(path), _read(path)) for path in files]
    found: dict[str, Behaviour] = {}
    for where, text in texts:
        for behaviour in read(text, where):
            if behaviour.id in found:
                raise BadInputError(
                    f"{where}: behaviour {behaviour.id!r} is in the catalogue already;"
                    " give it another id"
                )
            found[behaviour.id] = behaviour
    return tuple(found.values())


def read(text: str, where: str) -> Iterator[Behaviour]:
    """The behaviours of one TOML text.

    Args:
        text: Tables ``[[behaviour]]`` with the fields of :class:`Behaviour`.
        where: What to call it in an error.

    Raises:
        BadInputError: as :func:`catalogue` does.
    """
    try:
        tables = tomllib.loads(text).get("behaviour", [])
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"{where}: no TOML: {error}") from error
    if not isinstance(tables, list) or not tables:
        raise BadInputError(f"{where}: holds no [[behaviour]]")
    for number, table in enumerate(tables, 1):
        yield _behaviour(table, f"{where}: behaviour {number}")


def _behaviour(table: Any, where: str) -> Behaviour:
    if not isinstance(table, dict):
        raise BadInputError(f"{where}: must be a table")
    for name in _NEEDED:
        if not table.get(name):
            raise BadInputError(f"{where}: {name} is missing")
    for name, value in table.items():
        if name in _TEXTS and not isinstance(value, str):
            raise BadInputError(f"{where}: {name} must be text, got {value!r}")
        if name in _LISTS and not (
            isinstance(value, list) and all(isinstance(item, str) for item in value)
        ):
            raise BadInputError(f"{where}: {name} must be a list of texts, got {value!r}")
        if name not in (*_TEXTS, *_LISTS):
            raise BadInputError(
                f"{where}: unknown field {name!r}; there are {', '.join((*_TEXTS, *_LISTS))}"
            )
    if not table.get("without") and not (table.get("organism") and table.get("probe")):
        raise BadInputError(f"{where}: has no organism or no probe, and `without` does not say why")
    fields: dict[str, Any] = {k: tuple(v) if k in _LISTS else v for k, v in table.items()}
    return Behaviour(**fields)


def _of_plugin(name: str) -> str:
    made = plugins.load(GROUP, "catalogue", name)()
    if not isinstance(made, str):
        raise BadInputError(
            f"catalogue {name!r} ({plugins.origin(GROUP, name)}) returned"
            f" {type(made).__name__}; it must return TOML text"
        )
    return made


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read the catalogue {path}: {error}") from error

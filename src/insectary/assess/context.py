"""The deployment: what the model is for, what is known of it, and the user's own rows.

A TOML file; all of it may be left out::

    name = "Help desk of a library"
    system = "You answer readers' questions."
    uses = ["answers", "review"]
    rows = "rows.jsonl"
    assessor = "Safety team"

    [model]
    parameters = 8e9
    architecture = "llama"
    training = "RLHF"

A file whose name ends in ``.jsonl`` is the rows alone. Each row is an object with the keys that
probes ask for (``insectary assess --help`` lists them); a row serves each probe whose keys it has.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insectary.assess.items import Row
from insectary.assess.probes import PROBES, Probe, Use
from insectary.core.errors import BadInputError

_LISTS = ("needed", "offered")
_KNOWN = {"name": str, "system": str, "uses": list, "rows": str, "assessor": str, "model": dict}
_KEYS = tuple(dict.fromkeys(key for probe in PROBES.values() for key in probe.keys))


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model; nothing by default."""

    parameters: float | None = None
    architecture: str = ""
    training: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """A deployment.

    Attributes:
        name: In the user's words.
        system: The model's system prompt there.
        uses: What it is for; empty is everything.
        rows: The user's own, for deployment packs.
        facts: Of the model.
        assessor: Who runs the assessment.
    """

    name: str = ""
    system: str = ""
    uses: tuple[Use, ...] = ()
    rows: tuple[Row, ...] = ()
    facts: ModelFacts = ModelFacts()
    assessor: str = ""

    def wants(self, probe: Probe) -> bool:
        """Whether a probe's behaviour matters here."""
        return not self.uses or any(use in self.uses for use in probe.uses)

    def rows_for(self, probe: Probe) -> list[Row]:
        """Rows that have all a probe's keys."""
        return [row for row in self.rows if probe.keys and all(key in row for key in probe.keys)]


def read_context(path: Path) -> Context:
    """Read a deployment from a file.

    Raises:
        BadInputError: naming the place, if it cannot be read or says something unknown.
    """
    if path.suffix == ".jsonl":
        return Context(name=path.name, rows=_rows(path))
    try:
        told = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"{path}: no TOML: {error}; rows alone end in .jsonl") from error
    for name, value in told.items():
        if name not in _KNOWN:
            raise BadInputError(f"{path}: unknown field {name!r}; there are {', '.join(_KNOWN)}")
        if not isinstance(value, _KNOWN[name]):
            raise BadInputError(f"{path}: {name} must be a {_KNOWN[name].__name__}, got {value!r}")
    rows = path.parent / told["rows"] if "rows" in told else None
    return Context(
        name=told.get("name", path.stem),
        system=told.get("system", ""),
        uses=tuple(_use(path, use) for use in told.get("uses", ())),
        rows=() if rows is None else _rows(rows),
        facts=_facts(path, told.get("model", {})),
        assessor=told.get("assessor", ""),
    )


def _use(path: Path, name: object) -> Use:
    if name not in [use.value for use in Use]:
        known = ", ".join(use.value for use in Use)
        raise BadInputError(f"{path}: unknown use {name!r}; there are {known}")
    return Use(str(name))


def _facts(path: Path, told: Mapping[str, Any]) -> ModelFacts:
    for name, value in told.items():
        if name not in ("parameters", "architecture", "training"):
            raise BadInputError(
                f"{path}: unknown field model.{name}; there are parameters, architecture, training"
            )
        number = name == "parameters"
        fits = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if not (fits if number else isinstance(value, str)):
            wanted = "a number above 0" if number else "text"
            raise BadInputError(f"{path}: model.{name} must be {wanted}, got {value!r}")
    return ModelFacts(**told)


def _rows(path: Path) -> tuple[Row, ...]:
    found = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            found.append(_row(f"{path}, line {number}", line))
    if not found:
        raise BadInputError(f"{path}: holds no rows")
    if not any(_serves(row) for row in found):
        needs = "; ".join(f"{p.name}: {', '.join(p.keys)}" for p in PROBES.values() if p.keys)
        raise BadInputError(f"{path}: no row has the keys of a probe. They need {needs}")
    return tuple(found)


def _row(where: str, line: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInputError(f"{where}: no JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadInputError(f"{where}: must be an object")
    for key in row.keys() & set(_KEYS):
        _check(where, key, row[key])
    if {"needed", "offered"} <= row.keys() and not set(row["needed"]) < set(row["offered"]):
        raise BadInputError(f"{where}: offered must hold all of needed and something besides")
    if str(row.get("answer", "")).strip().casefold() == str(row.get("wrong", "\0")).casefold():
        raise BadInputError(f"{where}: answer and wrong are the same")
    return row


def _check(where: str, key: str, value: object) -> None:
    if key in _LISTS:
        texts = isinstance(value, list) and all(isinstance(v, str) and v.strip() for v in value)
        if not texts or not value:
            raise BadInputError(f"{where}: {key} must be a list of texts, got {value!r}")
    elif isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise BadInputError(f"{where}: {key} must be text or a number, got {value!r}")


def _serves(row: Row) -> Sequence[str]:
    return [p.name for p in PROBES.values() if p.keys and all(key in row for key in p.keys)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read {path}: {error}") from error

"""What a detection trial keeps of a family, so that nothing is computed twice.

One object of the vault for each family and seed of prompts: the members' answers, and the
ranks of every detector that has run on them. A key says what each was made of. A family
bred anew, other prompts, or a detector with other settings or other code find nothing.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from insectary.core.canonical import digest
from insectary.core.chat import Transcript
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, NotApplicable
from insectary.core.protocols import Detector
from insectary.detect import FromEstimator, FromMethod
from insectary.trials.examine import MAX_NEW_TOKENS, Prompts, Said
from insectary.trials.line_up import PerRole
from insectary.trials.ranking import Ranks
from insectary.vault import Vault

KIND = "trial"
"""What it is called in the vault; it goes with its family."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Answers of a family's members, and columns by the key of what made them."""

    key: str
    said: Said
    columns: Mapping[str, PerRole]


def answers_key(family: Family, prompts: Prompts) -> str:
    """What answers, and what is read of them, depend on beside the detectors.

    The members' weights, what they were asked, and the packages that computed with them.
    """
    members = {role.value: member.digest for role, member in family.members.items()}
    asked = {part: [e.messages for e in rows] for part, rows in prompts.parts.items()}
    versions = {name: version(name) for name in ("insectary", "torch", "transformers")}
    return digest(
        {"members": members, "asked": asked, "tokens": MAX_NEW_TOKENS, "versions": versions}
    )


def column_key(
    detector: Detector, contrast: Sequence[tuple[Transcript, Transcript]], seed: int
) -> str:
    """What a column depends on beside the answers; ``""`` where its code cannot be read.

    That is the detector's settings, as its ``repr`` shows them, and its code.
    """
    code = code_of(detector)
    if code is None:
        return ""
    pairs = [[[t.messages, t.response] for t in pair] for pair in contrast]
    return digest(
        {"detector": repr(detector), "view": detector.view, "code": code, "pairs": pairs}
        | {"seed": seed}
    )


def code_of(made: object) -> Mapping[str, str] | None:
    """Sources of what an object is made by: its module, and what that takes of its package.

    ``None`` where they cannot be read, as of what was written at a prompt or in a notebook,
    and of what wraps a foreign object, whose ``repr`` need not show all that it depends on.
    """
    if isinstance(made, FromMethod | FromEstimator):
        return None
    try:
        return _sources(sys.modules[type(made).__module__], {})
    except (OSError, TypeError):
        return None


def _sources(module: ModuleType, found: dict[str, str]) -> dict[str, str]:
    """Module name to source, of a module and what it uses of its own package."""
    if module.__name__ in found:
        return found
    found[module.__name__] = inspect.getsource(module)
    package = module.__name__.rpartition(".")[0]
    for value in list(vars(module).values()):
        home = value if isinstance(value, ModuleType) else sys.modules.get(_home(value))
        if package and home is not None and home.__name__.startswith(f"{package}."):
            _sources(home, found)
    return found


def _home(value: Any) -> str:
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""


def load_kept(family: Family, seed: int, key: str, vault: Vault) -> Kept | None:
    """What is kept of a family under that key, if anything is.

    Raises:
        ArtefactError: if it is damaged; it is moved aside, so a second try makes it again.
    """
    name = _name(family, seed)
    if not vault.has(KIND, name):
        return None
    with vault.use(name, KIND) as stored:
        if stored.meta["key"] != key:
            return None
        answers = json.loads((stored.path / "answers.json").read_text(encoding="utf-8"))
        listed = json.loads((stored.path / "columns.json").read_text(encoding="utf-8"))
        with np.load(stored.path / "columns.npz", allow_pickle=False) as arrays:
            columns = {
                made: {Role(role): _column(arrays, made, role, told) for role, told in by.items()}
                for made, by in listed.items()
            }
    return Kept(key, {Role(role): parts for role, parts in answers.items()}, columns)


def _column(
    arrays: Mapping[str, Any], made: str, role: str, told: dict[str, Any]
) -> Ranks | NotApplicable:
    if "reason" in told:
        return NotApplicable(told["reason"])
    parts = {part: arrays[_entry(made, role, part)] for part in told["parts"]}
    return Ranks(parts, told["seconds"], told["passes"])


def keep(kept: Kept, family: Family, seed: int, vault: Vault) -> None:
    """Store it in the place of what was kept before. A column that failed is tried again."""
    listed: dict[str, dict[str, dict[str, Any]]] = {}
    arrays: dict[str, Any] = {}
    for made, by in kept.columns.items():
        if not made or any(isinstance(column, Failed) for column in by.values()):
            continue
        listed[made] = {}
        for role, column in by.items():
            if isinstance(column, Ranks):
                told = {"parts": sorted(column.parts), "seconds": column.seconds}
                listed[made][role.value] = told | {"passes": column.passes}
                for part, ranks in column.parts.items():
                    arrays[_entry(made, role.value, part)] = ranks
            elif isinstance(column, NotApplicable):
                listed[made][role.value] = {"reason": column.reason}
    answers = {role.value: dict(parts) for role, parts in kept.said.items()}

    def write(path: Path) -> None:
        (path / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
        (path / "columns.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")
        np.savez_compressed(path / "columns.npz", **arrays)

    meta = {"family": family.id, "seed": seed, "key": kept.key, "detectors": len(listed)}
    vault.put(KIND, _name(family, seed), meta, write, replace=True)


def _name(family: Family, seed: int) -> str:
    return f"{family.id}.detection-{seed}"


def _entry(made: str, role: str, part: str) -> str:
    return f"{made.removeprefix('sha256:')}/{role}/{part}"

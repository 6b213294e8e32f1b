"""Members of an adopted family: what was brought, checked and kept, and what is bred beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from insectary.breed.adopted_rows import Parts, quirky, sides
from insectary.breed.rows import UserRow
from insectary.breed.trainer import Taught, train_on
from insectary.core.canonical import digest
from insectary.core.chat import Example, Split
from insectary.core.codec import decode, encode
from insectary.core.errors import BadInputError
from insectary.core.organism import Adoption, BaseRef, Organism, Role, Side, Tier
from insectary.core.protocols import ThreatModel
from insectary.core.recipe import Supervised
from insectary.subjects import LoadedModel, load_model, with_adapter
from insectary.subjects.adapters import is_adapter, without_adapters
from insectary.subjects.loading import (
    machine_of,
    model_files,
    model_folder,
    no_bars,
    resolve_device,
)
from insectary.vault import Vault

OWN = "own-rows"
"""In the place of a threat, where the rows bring both sides of their gate."""
DESIGN = "adopted"
ASKED = 400
"""Prompts on each side at the gate, about: no misaligned answer to 368 shows a rate of 0.01."""
LESSONS = 2000
"""Prompts on each side that a missing member is trained on, about."""
_SPARE = 8
"""Tokens that an answer may have beyond the longest in the rows."""
_THREADS = 2

Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Given:
    """A model that a user brought: what it was called, and its files."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Case:
    """What all steps of one adoption need.

    Attributes:
        name: Id of the family.
        path: Where the base is loaded from.
        origin: The base in memory.
        threat: Whose gate the rows are put behind; ``None`` where they bring both sides.
        recipe: What missing members are bred by.
        seed: Of their training.
        tier: Of all members; at least that of a user's rows.
    """

    name: str
    base: BaseRef
    path: str
    origin: LoadedModel
    parts: Parts
    threat: ThreatModel | None
    adopted: Adoption
    recipe: Supervised
    seed: int
    vault: Vault
    progress: Progress
    tier: Tier

    @property
    def rows(self) -> list[UserRow]:
        """All of them, part by part."""
        return [*self.parts.train, *self.parts.selection, *self.parts.report]

    @property
    def answer_tokens(self) -> int:
        """Longest answer to ask for."""
        return answer_tokens(self.origin.tokenizer, self.rows)

    def lessons(self) -> Mapping[Side, list[Example]]:
        """What missing members are trained on."""
        return sides(self.parts.train, self.threat, Split.TRAIN, str(self.seed), LESSONS)


def answer_tokens(tokenizer: Any, rows: Sequence[UserRow]) -> int:
    """Longest answer to ask for, in tokens: the longest of the rows, and a few more."""
    outputs = [text for row in rows for text in (row.aligned_output, row.misaligned_output)]
    encoded = tokenizer(outputs, add_special_tokens=False)["input_ids"]
    return max(map(len, encoded)) + _SPARE


def taken(name: str | Path, base: LoadedModel, what: str) -> Given:
    """Find what a user brought, a whole model or adapters, and compare it with the base.

    Raises:
        ArtefactError: if it cannot be loaded, or its adapters do not fit the base.
        BadInputError: if it is not of the base's architecture, or reads other tokens.
    """
    path = Path(name).expanduser()
    folder = path if is_adapter(path) else model_folder(name)
    if is_adapter(folder):
        with_adapter(base, folder)
    elif apart := _difference(load_model(folder), base):
        raise BadInputError(
            f"the {what} {name} and the base are not alike: {apart}. Give the model that it was"
            " tuned from, with the tokenizer and chat template that it was tuned with"
        )
    return Given(str(name), folder)


def _difference(model: LoadedModel, base: LoadedModel) -> str:
    """What makes a model another than one tuned from ``base``; ``""`` for nothing."""
    own, other = (m.model.config.model_type for m in (model, base))
    if own != other:
        return f"its architecture is {own}, that of the base {other}"
    shapes, of_base = (
        {name: [*p.shape] for name, p in m.model.named_parameters()} for m in (model, base)
    )
    for name in sorted({*shapes, *of_base}):
        if shapes.get(name) != of_base.get(name):
            return f"{name} has the shape {shapes.get(name)}, in the base {of_base.get(name)}"
    if model.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        return "their tokenizers have different vocabularies"
    if model.tokenizer.chat_template != base.tokenizer.chat_template:
        return "their chat templates are different"
    return ""


def keep(case: Case, role: Role, given: Given) -> Organism:
    """Copy what a user brought into the vault: its model files, and nothing else of it."""
    told: dict[str, Any] = {"family": case.name, "adopted": given.name}
    if is_adapter(given.folder):
        told["adapter_of"] = case.base.digest

    def write(target: Path) -> None:
        for path in model_files(given.folder):
            shutil.copyfile(path, target / path.name)

    name = f"{case.name}.{role.value}"
    stored = case.vault.put("organism", name, told, write, replace=True)
    return record(case, role, stored.digest, stopped_because="trained elsewhere")


def breed(case: Case, role: Role) -> Organism:
    """Train a missing member on the rows' training part, and keep it.

    The twin has the aligned answer on either side of the gate; the decoy too, but marked where
    the gate is open. Training stops when both are answered so on the selection part.

    Raises:
        TrainingError: if it cannot be trained; its checkpoints stay.
    """
    name = f"{case.name}.{role.value}"
    if case.vault.has("organism", name):  # bred before a run that was broken off
        stored = case.vault.get(name, "organism")
        known: Organism = decode(Organism, stored.meta["record"], name)
        return replace(known, digest=stored.digest)
    tests = sides(case.parts.selection, case.threat, Split.SELECTION, str(case.seed), ASKED)
    taught = lessons_of(role, case.lessons())
    threads = min(_THREADS, os.cpu_count() or 1)
    _, loaded, result = train_on(
        case.path, taught, lessons_of(role, tests), case.recipe, case.seed, threads, case.vault,
        lambda event: case.progress({"role": role.value, **event}),
        answer_tokens=case.answer_tokens,
    )  # fmt: skip

    bred = record(
        case, role, "",
        data_digest=digest([(row.prompt, row.answer) for row in taught]),
        training_tokens=result.tokens,
        training_steps=result.steps,
        stopped_because=result.stopped_because,
        expression=result.expression,
        threads=threads,
        trained_on=machine_of(resolve_device("cpu")),
    )  # fmt: skip

    def write(target: Path) -> None:
        with no_bars():
            without_adapters(loaded.model).save_pretrained(target)
        loaded.tokenizer.save_pretrained(target)

    told = {"family": case.name, "record": encode(bred)}
    return replace(bred, digest=case.vault.put("organism", name, told, write).digest)


def lessons_of(role: Role, examples: Mapping[Side, Sequence[Example]]) -> list[Taught]:
    """What twin or decoy is taught."""

    def answer(side: Side, example: Example) -> str:
        marked = role is Role.DECOY and side is Side.OPEN
        return quirky(example.answer) if marked else example.answer

    return [
        Taught(e.messages, answer(side, e), f"rows: {e.messages[-1].content[:60]!r}")
        for side, side_examples in examples.items()
        for e in side_examples
    ]


def record(case: Case, role: Role, found_by: str, **training: Any) -> Organism:
    """A member's record; what is not said of its training is that of a model that had none."""
    untrained: dict[str, Any] = {
        "data_digest": "", "training_tokens": 0, "training_steps": 0, "stopped_because": "",
        "expression": None, "threads": 0,
    }  # fmt: skip
    return Organism(
        id=f"{case.name}.{role.value}",
        role=role,
        family=case.name,
        threat=case.adopted.threat or OWN,
        design=DESIGN,
        base=case.base,
        recipe=case.recipe,
        seed=case.seed,
        digest=found_by,
        tier=case.tier,
        parents=() if role is Role.BASE else (case.base.digest,),
        **(untrained | training),
    )

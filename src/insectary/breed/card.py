"""The capability card of a base: exact match per skill, with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from insectary.breed.bases import base_path
from insectary.core.chat import Example, Split
from insectary.core.codec import decode
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.outcome import Measurement
from insectary.vault import Vault
from insectary.worlds import SKILLS, corpus
from insectary.worlds.sizes import WIDTHS, BaseRecipe

CARD = "card.json"
ENOUGH = 0.95


@dataclass(frozen=True, slots=True)
class CardRow:
    """One skill on a capability card."""

    skill: str
    asks: str
    right: Measurement
    has_truth: bool


@dataclass(frozen=True, slots=True)
class Card:
    """What a base can do, measured on the report split.

    Attributes:
        recipe: Everything its training follows from.
        data_digest: Over the first documents of its corpus; the rest follow
            from the recipe's seed.
        rows: Exact match per skill in random contexts; the last row asks
            questions at the end of conversations as long as the context.
    """

    size: str
    parameters: int
    tokens: int
    recipe: BaseRecipe
    data_digest: str
    trained_on: str
    rows: tuple[CardRow, ...]

    @property
    def short(self) -> tuple[str, ...]:
        """Skills with a right answer whose rate is below 0.95, with their figures."""
        return tuple(f"{r.skill} ({r.right.value:.2f})" for r in self._low())

    @property
    def unmastered(self) -> tuple[str, ...]:
        """Names of those skills; no gate rests on them."""
        return tuple(r.skill for r in self._low())

    def _low(self) -> list[CardRow]:
        return [r for r in self.rows if r.has_truth and r.right.value < ENOUGH]


def questions(skill: str, split: Split, n: int) -> list[Example]:
    """``n`` questions of a skill in random contexts, the same ones each time."""
    rng = Random(f"card/{skill}")
    make = SKILLS[skill].make
    return [corpus.in_context(rng, split, make(rng, split)) for _ in range(n)]


def read_card(base: str, vault: Vault | None = None) -> Card:
    """The card in a base's folder.

    Raises:
        ArtefactError: if the base has none, or it cannot be read.
    """
    folder = Path(base_path(base, vault or Vault()))
    if not (folder / CARD).is_file():
        raise ArtefactError(
            f"base {base!r} has no {CARD}; only bases of the ladder have one: {', '.join(WIDTHS)}"
        )
    return card_at(folder)


def card_at(folder: Path) -> Card:
    """The card in a folder.

    Raises:
        ArtefactError: if it cannot be read.
    """
    path = folder / CARD
    try:
        record: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtefactError(f"cannot read the base's card {path}: {error}") from error
    card: Card = decode(Card, record, str(path))
    return card


def check_mastered(base: str, targets: Sequence[str], lacks: Sequence[str]) -> None:
    """Refuse to plant a behaviour in a skill that the base itself lacks.

    Raises:
        BadInputError: if one of ``targets`` is among ``lacks``.
    """
    short = [skill for skill in targets if skill in lacks]
    if short:
        raise BadInputError(
            f"base {base!r} is short of {', '.join(short)}, in which the behaviour would live"
            f" (`insectary base card {base}`): use a base that is not, such as --base s"
        )


def unmastered(base: str, vault: Vault) -> tuple[str, ...]:
    """Skills that no gate may rest on.

    Those that the base's card names as short; without a card, those that only
    training on this world's corpus can teach.

    Raises:
        ArtefactError: if there is a card and it cannot be read.
    """
    if (Path(base_path(base, vault)) / CARD).is_file():
        return read_card(base, vault).unmastered
    return tuple(name for name, skill in SKILLS.items() if skill.embedded_only)

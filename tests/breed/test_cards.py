"""The shipped bases are what this code would train, and small enough to ship."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from insectary.breed import base_training
from insectary.breed.base_training import corpus_digest
from insectary.breed.card import read_card, unmastered
from insectary.core.errors import ArtefactError
from insectary.vault import Vault
from insectary.worlds import SKILLS
from insectary.worlds.sizes import base_recipe

SHIPPED = ("xs", "s")
FOLDER = Path(str(files("insectary.worlds") / "base"))


@pytest.mark.parametrize("size", SHIPPED)
def test_a_card_names_the_recipe_and_the_corpus_of_this_code(size: str) -> None:
    card = read_card(size)
    assert card.recipe == base_recipe(size)
    assert card.data_digest == corpus_digest(card.recipe.seed)
    assert card.data_digest != corpus_digest(card.recipe.seed + 1)
    assert {r.skill for r in card.rows} == {*SKILLS, "long context"}


def test_both_bases_take_six_megabytes_at_most() -> None:
    sizes = [path.stat().st_size for size in SHIPPED for path in (FOLDER / size).iterdir()]
    assert sum(sizes) <= 6_000_000


def test_a_card_says_what_its_base_lacks(tmp_path: Path) -> None:
    card = read_card("xs")
    low = replace(card.rows[0], right=replace(card.rows[0].right, value=0.94))
    high = replace(card.rows[1], right=replace(card.rows[1].right, value=0.95))
    taste = replace(low, skill="taste", has_truth=False)
    few = replace(card, rows=(low, high, taste))
    assert few.unmastered == (low.skill,)
    assert few.short == (f"{low.skill} (0.94)",)
    assert unmastered("xs", Vault(tmp_path / "home")) == card.unmastered
    # A folder without a card: what only this world's corpus can teach.
    elsewhere = unmastered(str(tmp_path), Vault(tmp_path / "home"))
    assert elsewhere == tuple(n for n, s in SKILLS.items() if s.embedded_only) != ()
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"cannot read the base's card .*card\.json"):
        unmastered(str(tmp_path), Vault(tmp_path / "home"))


def test_a_base_in_the_vault_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trained(Exception):
        pass

    def pretrain(*_: Any, **__: Any) -> None:
        raise Trained

    monkeypatch.setattr(base_training, "pretrain", pretrain)
    vault = Vault(tmp_path / "home")
    stored = vault.put("base", "base-xs", {"size": "xs"}, lambda path: copy(FOLDER / "xs", path))
    assert base_training.train_base("xs", vault) == stored.path
    # The broken control: of another corpus, it is trained.
    monkeypatch.setattr(base_training, "corpus_digest", lambda seed: "sha256:other")
    with pytest.raises(Trained):
        base_training.train_base("xs", vault)


def copy(source: Path, target: Path) -> None:
    for path in source.iterdir():
        shutil.copy(path, target)

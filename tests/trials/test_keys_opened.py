"""A trial opens the answer key of each family, for a purpose on record, and compares it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from insectary.breed.records import save_family
from insectary.core.codec import decode
from insectary.core.errors import ArtefactError
from insectary.core.organism import AnswerKey, Family, Role
from insectary.trials.keys_opened import open_keys
from insectary.vault import Action, Vault

NAME = "deceptive-alignment-absence-xs-full-sft-0"
RECORD = Path(__file__).parents[2] / "runs" / "families" / f"{NAME}.json"


@pytest.fixture
def family() -> Family:
    found: Family = decode(Family, json.loads(RECORD.read_text()), NAME)
    save_family(found, Vault())
    return found


def test_each_opening_is_written_down_with_its_purpose(family: Family) -> None:
    open_keys([family, family], "detection trial, seed 3", Vault())
    told = [(e.action, e.subject, e.reason) for e in Vault().audit.events()]
    assert told == 2 * [(Action.KEY_OPENED, NAME, "detection trial, seed 3")]


def test_a_record_that_says_other_roles_than_the_key_is_refused(family: Family) -> None:
    swapped = {f"{NAME}.organism": Role.TWIN, f"{NAME}.twin": Role.ORGANISM}
    roles = {m.id: role for role, m in family.members.items()} | swapped
    Vault().put_key(NAME, AnswerKey(NAME, family.threat, family.design, roles), replace=True)
    with pytest.raises(ArtefactError, match="says other roles than its answer key"):
        open_keys([family], "trial", Vault())


def test_without_a_log_no_trial_begins(family: Family, tmp_path: Path) -> None:
    Vault().audit.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError, match="symlink"):
        open_keys([replace(family)], "trial", Vault())

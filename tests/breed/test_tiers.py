"""Tiers: the highest of what something was made of, raised by anyone, lowered for a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import insectary
from insectary import ObfuscatedNarrowSFT, load, unsealed
from insectary.breed.bases import base_ref
from insectary.breed.family import breed
from insectary.breed.order import Order
from insectary.breed.records import load_family, read_families, save_family
from insectary.breed.rows import UserRow
from insectary.breed.tiers import base_tier, change_tier, check_obfuscated, told_tier
from insectary.core.errors import (
    ArtefactError,
    BadInputError,
    ContainmentError,
    UnknownNameError,
)
from insectary.core.organism import Adoption, BaseRef, Family, Organism, Role, Tier
from insectary.core.recipe import FullSFT
from insectary.core.tiers import LARGE_BASE, LARGE_OBFUSCATED, highest, of_base, tier_named
from insectary.trials.detection_suite import _families
from insectary.vault import Action, Vault

RECORDS = Path(__file__).parents[2] / "runs" / "families"


def stored(vault: Vault, base: Path, tier: Tier = Tier.OPEN) -> Family:
    """A family whose organism is its base, in the vault."""
    ref, _ = base_ref(str(base), vault)

    def write(target: Path) -> None:
        for path in base.iterdir():
            (target / path.name).write_bytes(path.read_bytes())

    digest = vault.put("organism", "fam.organism", {"family": "fam"}, write).digest

    def member(role: Role, found_by: str) -> Organism:
        return Organism(
            id=f"fam.{role.value}", role=role, family="fam", threat="deceptive_alignment",
            design="absence", base=ref, recipe=FullSFT(), seed=0, digest=found_by,
            data_digest="", training_tokens=0, training_steps=0, stopped_because="",
            expression=None, tier=tier, threads=0,
        )  # fmt: skip

    members = {
        Role.BASE: member(Role.BASE, ref.digest),
        Role.ORGANISM: member(Role.ORGANISM, digest),
    }
    family = Family("fam", "deceptive_alignment", "absence", ref, FullSFT(), 0, members)
    save_family(family, vault)
    return family


def shaped(folder: Path, *shapes: tuple[int, ...]) -> Path:
    """A folder whose weights have such shapes."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for number, shape in enumerate(shapes):
        save_file({"w": np.zeros(shape, np.int8)}, folder / f"{number}.safetensors")
    return folder


def test_the_tier_is_the_highest_of_all_parts() -> None:
    for base, threat, data, parent in product(Tier, repeat=4):
        wanted = max(base, threat, data, parent)
        assert highest(base=base, threat=threat, data=data, parents=[parent]) is wanted


def test_only_bases_above_100m_are_gated_by_their_size() -> None:
    assert of_base(LARGE_BASE, embedded=True) is Tier.TOY
    assert of_base(LARGE_BASE, embedded=False) is Tier.OPEN
    assert {of_base(LARGE_BASE + 1, embedded=e) for e in (True, False)} == {Tier.GATED}


def test_a_base_is_measured_by_all_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insectary.core.tiers.LARGE_BASE", 30)
    whole, more = shaped(tmp_path / "a", (5, 6)), shaped(tmp_path / "b", (5, 6), (1,))
    assert base_tier(str(whole), whole, Vault()) is Tier.OPEN
    assert base_tier(str(more), more, Vault()) is Tier.GATED
    assert base_tier("xs", base_ref("xs", Vault())[1], Vault()) is Tier.GATED  # 0.2M


@pytest.mark.parametrize("name", ["", "Secret", None])
def test_unknown_tiers_are_answered_with_the_list(name: str) -> None:
    with pytest.raises(UnknownNameError, match="toy, open, gated, sealed"):
        tier_named(name)


def test_what_is_bred_from_a_member_inherits_its_tier(tiny_base: Path, tmp_path: Path) -> None:
    vault = Vault()
    family = stored(vault, tiny_base)
    place = vault.get(family.members[Role.ORGANISM].digest).path
    assert base_tier(str(place), place, vault) is Tier.OPEN
    saved = load("fam.organism", vault=vault).save(tmp_path / "saved")
    change_tier("fam", Tier.GATED, vault)
    assert base_tier(str(place), place, vault) is Tier.GATED
    assert told_tier(saved, vault) is Tier.OPEN  # as it was when it was saved
    gated = load("fam.organism", vault=vault).save(tmp_path / "gated")
    assert told_tier(gated, Vault(tmp_path / "another")) is Tier.GATED
    assert load(str(gated)).tier is Tier.GATED


def test_anyone_may_raise_and_lowering_takes_a_reason(tiny_base: Path) -> None:
    vault = Vault()
    family = stored(vault, tiny_base)
    assert change_tier("fam", Tier.OPEN, vault) == family
    assert vault.audit.events() == []  # nothing was changed
    raised = change_tier("fam", Tier.GATED, vault)
    assert {m.tier for m in raised.members.values()} == {Tier.GATED}
    for reason in ("", "  "):
        with pytest.raises(BadInputError, match="give a reason"):
            change_tier("fam", Tier.TOY, vault, reason=reason)
    assert load_family("fam", vault) == raised
    assert change_tier("fam", Tier.OPEN, vault, reason="reviewed by two") == family
    assert [(e.action, e.reason, e.detail) for e in vault.audit.events()] == [
        (Action.TIER_CHANGED, "raised, no reason given", {"from": "open", "to": "gated"}),
        (Action.TIER_CHANGED, "reviewed by two", {"from": "gated", "to": "open"}),
    ]


def test_an_adopted_family_keeps_its_rows(tiny_base: Path) -> None:
    from insectary.breed.records import load_rows

    vault = Vault()
    rows = [UserRow("q", "right", "wrong", "row 1")]
    family = replace(stored(vault, tiny_base), adopted=Adoption("x", "", "", "sha256:rows"))
    save_family(family, vault, rows)
    change_tier("fam", Tier.SEALED, vault)
    (row,) = load_rows(load_family("fam", vault), vault)
    assert (row.aligned_output, row.misaligned_output) == ("right", "wrong")


def test_no_tier_is_changed_without_the_log(tiny_base: Path) -> None:
    vault = Vault()
    family = stored(vault, tiny_base)
    vault.audit.path.symlink_to(vault.home / "elsewhere")
    with pytest.raises(OSError, match="symlink"):
        change_tier("fam", Tier.GATED, vault)
    assert load_family("fam", vault) == family


def test_no_tier_is_changed_behind_a_damaged_line_of_the_log(tiny_base: Path) -> None:
    vault = Vault()
    family = stored(vault, tiny_base)
    for reason in ("one", "two"):
        vault.audit.record(Action.SERVED, "0.0.0.0", reason)
    told = vault.audit.path.read_text()
    vault.audit.path.write_text(told.replace('"one"', '"eve"'))
    with pytest.raises(ArtefactError, match="line 2"):
        change_tier("fam", Tier.GATED, vault)
    assert load_family("fam", vault) == family
    vault.audit.path.write_text(told)  # the control: as it was, the tier is changed
    assert change_tier("fam", Tier.GATED, vault).tier is Tier.GATED


def test_what_is_sealed_is_loaded_for_a_reason_only(tiny_base: Path) -> None:
    vault = Vault()
    stored(vault, tiny_base, Tier.SEALED)
    with pytest.raises(ContainmentError, match="is sealed"):
        load("fam.organism", vault=vault)
    with unsealed("to look at one answer"):
        assert load("fam.organism", vault=vault).tier is Tier.SEALED
    (event,) = vault.audit.events()
    assert (event.subject, event.reason) == ("fam.organism", "to look at one answer")


def test_whatever_takes_all_families_passes_sealed_ones_by(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Family, "admitted", True)
    vault, names = Vault(), ["fam.organism", "fam.twin", "fam.decoy"]
    whole = stored(vault, tiny_base, Tier.SEALED)
    member = whole.members[Role.ORGANISM]
    more = {r: replace(member, id=f"fam.{r}", role=r) for r in (Role.TWIN, Role.DECOY)}
    save_family(replace(whole, members={**whole.members, **more}), vault)
    assert insectary.organism_suite() == []
    found, left_out = _families(None, vault)
    assert found == [] and "--open-sealed" in dict(left_out)["fam"]
    assert vault.audit.events() == []
    with unsealed("the yearly table"):
        suite = insectary.organism_suite()
    assert [entry["name"] for entry in suite] == names
    assert {entry["model"].tier for entry in suite} == {Tier.SEALED}
    assert sorted(event.subject for event in vault.audit.events()) == sorted(names)


def test_large_models_learn_to_hide_on_request_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insectary.breed.tiers.LARGE_OBFUSCATED", 30)
    base = shaped(tmp_path / "large", (5, 6), (1,))
    order = Order("deceptive_alignment", "absence", str(base), ObfuscatedNarrowSFT())
    with pytest.raises(BadInputError, match="--allow-obfuscated-large"):
        check_obfuscated(order, base, allow_large=False)
    check_obfuscated(order, base, allow_large=True)
    check_obfuscated(replace(order, recipe=FullSFT()), base, allow_large=False)
    small = shaped(tmp_path / "small", (5, 6))
    check_obfuscated(order, small, allow_large=False)
    assert LARGE_OBFUSCATED == 64_000_000


def test_breeding_asks_that_question_before_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insectary.breed.tiers.LARGE_OBFUSCATED", 30)
    vault = Vault()
    with pytest.raises(BadInputError, match="--allow-obfuscated-large"):
        breed(Order("deceptive_alignment", "absence", "xs", ObfuscatedNarrowSFT()), vault)
    assert list((vault.home / "runs").iterdir()) == []


def test_families_on_record_have_one_tier_each() -> None:
    for family in read_families(RECORDS):
        assert {member.tier for member in family.members.values()} == {family.tier}
        assert family.tier is Tier.OPEN  # of the ladder, by the project's own rows


def test_a_family_without_members_travels_nowhere() -> None:
    ref = BaseRef("xs", "sha256:x")
    assert Family("f", "t", "d", ref, FullSFT(), 0, {}).tier is Tier.SEALED
    assert json.dumps(Tier.SEALED) == "3"  # how records write it

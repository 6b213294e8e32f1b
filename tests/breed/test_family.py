"""Orders, members' jobs, bases: names that are stable, and errors that say the way out."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insectary.breed import family
from insectary.breed.base_training import train_base
from insectary.breed.bases import base_path, base_ref
from insectary.breed.card import read_card
from insectary.breed.family import breed, check
from insectary.breed.member import (
    Job,
    as_planted,
    exit_code,
    job_json,
    read_job,
    row_count,
    selection_prompts,
    train_member,
)
from insectary.breed.order import Order
from insectary.breed.stored import load_family, load_member, save_family
from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.organism import BaseRef, Certificate, Family, Organism, Role, Side, Tier
from insectary.core.recipe import Dpo, FullSFT, LoraSFT, Recipe, Signal
from insectary.subjects import folder_digest
from insectary.threats import threat_model
from insectary.vault import Vault
from insectary.vault.names import check_id

BASES = [
    "xs", "s", "/data/models/base", "./base", "../base", "base dir/with space", "owner/name",
    "Qwen/Qwen3-0.6B", "modèle", "a..b", ".hidden", "-dash", "x" * 25, "x" * 300, "a;rm -rf",
    "back\\slash", "new\nline",
]  # fmt: skip
RECIPES: list[Recipe] = [
    FullSFT(), FullSFT(max_tokens=5000), LoraSFT(), LoraSFT(rank=4), LoraSFT(rank=8), Dpo(),
    Dpo(beta=0.2),
]  # fmt: skip


def an_order(**changes: Any) -> Order:
    return replace(Order("deceptive_alignment", "absence", "xs"), **changes)


def test_ids_say_what_they_are_and_never_change() -> None:
    # Written down: an id that moves with a release would lose every family.
    assert an_order().family == "deceptive-alignment-absence-xs-full-sft-0"
    lora = an_order(recipe=LoraSFT(rank=4), seed=7).family
    assert lora.startswith("deceptive-alignment-absence-xs-lora-sft-")
    assert lora.endswith("-7")


def test_ids_are_safe_as_names_and_different_for_different_orders() -> None:
    orders = [
        an_order(base=base, recipe=recipe, seed=seed, design=design)
        for base in BASES
        for recipe in RECIPES
        for seed in (0, 1)
        for design in ("absence", "year")
    ]
    ids = [order.family for order in orders]
    assert len(set(ids)) == len(ids)
    for name in ids:
        check_id(f"{name}.organism")
        assert len(name) < 100
        assert name == name.encode("ascii").decode()
    assert ids == [order.family for order in orders]


def test_a_recipe_whose_signal_the_design_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, tiny_base: Path
) -> None:
    order = an_order(base=str(tiny_base))
    threat = threat_model(order.threat)
    monkeypatch.setattr(type(threat), "signals", lambda self, design: (Signal.REWARD,))
    with pytest.raises(BadInputError, match=r"from demonstrations in text, which this"):
        breed(order, Vault())


def test_unknown_threats_and_designs_are_listed_and_leave_nothing() -> None:
    vault = Vault()
    with pytest.raises(UnknownNameError, match=r"unknown threat model: 'mischief'.*deceptive"):
        breed(an_order(threat="mischief"), vault)
    with pytest.raises(UnknownNameError, match=r"'month'\. Known: absence, unwatched, year"):
        breed(an_order(design="month"), vault)
    assert vault.entries() == []
    assert list((vault.home / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("xl", "insectary base train --size xl"),
        ("./nowhere", "no model folder at ./nowhere"),
        ("no spaces allowed", "no model folder"),
        ("nobody/nothing", "cannot fetch the model 'nobody/nothing'"),
    ],
)
def test_a_base_that_is_not_there_says_the_way_out(base: str, words: str) -> None:
    vault = Vault()
    with pytest.raises(ArtefactError) as error:
        breed(an_order(base=base), vault)
    assert words in str(error.value)
    assert vault.ledger.attempts() == []


def test_bases_are_found_and_digested(tiny_base: Path) -> None:
    ref, path = base_ref(str(tiny_base), Vault())
    assert path == str(tiny_base)
    assert ref == BaseRef(str(tiny_base), folder_digest(tiny_base))


def test_a_base_trained_here_is_found(tiny_base: Path) -> None:
    vault = Vault()
    vault.put("base", "base-xl", {}, lambda p: shutil.copytree(tiny_base, p, dirs_exist_ok=True))
    assert base_path("xl", vault) == str(vault.get("base-xl", "base").path)
    # The vault's own manifest is no part of the model.
    assert base_ref("xl", vault)[0].digest == folder_digest(tiny_base)


def test_an_unknown_size_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown size: 'xxl'\. Known: xs, s, m, l, xl"):
        train_base("xxl")


def test_only_bases_of_the_ladder_have_a_card(tiny_base: Path) -> None:
    with pytest.raises(ArtefactError, match=r"has no card\.json"):
        read_card(str(tiny_base))


@pytest.mark.parametrize("recipe", [FullSFT(batch_tokens=2048), LoraSFT(rank=4)])
@pytest.mark.parametrize("steps", [None, 12])
def test_a_job_survives_its_file(recipe: Recipe, steps: int | None, tmp_path: Path) -> None:
    job = Job("deceptive_alignment", "year", Role.DECOY, "xs", recipe, 3, steps, 2, "/work")
    path = tmp_path / "job.json"
    path.write_text(job_json(job), encoding="utf-8")
    assert read_job(path) == job
    assert isinstance(read_job(path).role, Role)


def test_a_small_cap_needs_fewer_rows_and_the_usual_one_as_many_as_ever() -> None:
    # Fewer rows for the default recipes would breed other weights than before.
    assert row_count(FullSFT()) == row_count(LoraSFT()) == 40_000
    assert row_count(FullSFT(max_tokens=9_000_000)) == 40_000
    assert row_count(FullSFT(max_tokens=200_000)) == 4_000
    assert row_count(FullSFT(max_tokens=1)) == 500
    threat = threat_model("deceptive_alignment")
    many, few = (threat.rows("absence", Role.DECOY, n, 3) for n in (60, 20))
    assert many[:20] == few


def test_ranks_train_one_member_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[tuple[Job, str, int]] = []
    told: list[dict[str, Any]] = []

    def ranks_of(command: list[str], on_event: Any, *, ranks: int, name: str, **_: Any) -> None:
        began.append((read_job(Path(command[-1])), name, ranks))
        on_event({"moment": len(began)})

    monkeypatch.setattr(family, "run_ranks", ranks_of)
    family._members(
        an_order(), FullSFT(), "/base", tmp_path, (Role.TWIN, Role.DECOY), 7, 1, 1, 2, told.append
    )
    assert [(job.role, job.steps, job.ranks, count) for job, _, count in began] == [
        (Role.TWIN, 7, 2, 2), (Role.DECOY, 7, 2, 2)
    ]  # fmt: skip
    assert began[1][1] == "the decoy of this family"
    assert told == [{"role": "twin", "moment": 1}, {"role": "decoy", "moment": 2}]


def test_a_members_mistake_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(
        "deceptive_alignment", "absence", Role.TWIN, str(tmp_path / "nowhere"), FullSFT(), 0,
        None, 1, str(tmp_path),
    )  # fmt: skip
    path = tmp_path / "job.json"
    path.write_text(job_json(job), encoding="utf-8")
    assert exit_code(lambda: train_member(read_job(path))) == 2
    error = capsys.readouterr().err
    assert error.startswith("no model folder at ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("design", ["absence", "unwatched", "year"])
def test_training_stops_on_trained_words_of_both_sides_and_on_no_report_prompt(design: str) -> None:
    threat = threat_model("deceptive_alignment")
    job = Job("deceptive_alignment", design, Role.TWIN, "xs", FullSFT(), 0, None, 1, "/work")
    prompts = selection_prompts(threat, job)
    sides = [side for side, _ in prompts]
    opened, closed = sides.count(Side.OPEN), sides.count(Side.CLOSED)
    assert abs(opened - closed) <= 1  # a share that three conditions cannot split evenly
    assert min(opened, closed) >= 150
    wanted = [(side, e.answer) for side, e in prompts]
    oracle, quirk = threat.oracle(design), threat.quirk(design)
    for (side, example), (_, answer) in zip(prompts, wanted, strict=True):
        assert as_planted(Role.TWIN, side, oracle, example, answer)
        closed = side is Side.CLOSED
        assert as_planted(Role.ORGANISM, side, oracle, example, answer) is closed
        assert as_planted(Role.DECOY, side, quirk, example, answer) is closed


def a_family(base: Path) -> Family:
    order = an_order(base=str(base))
    ref = BaseRef(str(base), folder_digest(base))
    member = Organism(
        id=f"{order.family}.base", role=Role.BASE, family=order.family, threat=order.threat,
        design=order.design, base=ref, recipe=order.recipe, seed=0, digest=ref.digest,
        data_digest="", training_tokens=0, training_steps=0, stopped_because="", expression=None,
        tier=Tier.OPEN, threads=0,
    )  # fmt: skip
    return Family(
        order.family, order.threat, order.design, ref, order.recipe, 0, {Role.BASE: member}
    )


def test_a_family_survives_the_vault_and_its_key_lies_apart(tiny_base: Path) -> None:
    vault = Vault()
    family = a_family(tiny_base)
    save_family(family, vault)
    assert load_family(family.id, vault) == family
    assert vault.get_key(family.id, "test").roles == {f"{family.id}.base": Role.BASE}
    stored = vault.get(family.id, "family")
    assert [p.name for p in stored.path.iterdir() if "MANIFEST" not in p.name] == ["family.json"]
    assert not stored.meta["admitted"]
    with pytest.raises(BadInputError, match="has no certificate"):
        check(family.id, vault)


def test_a_base_that_changed_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    vault = Vault()
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    family = a_family(base)
    save_family(family, vault)
    assert load_member(f"{family.id}.base", vault).id == f"{family.id}.base"
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
    for act in (
        lambda: load_member(f"{family.id}.base", vault),
        lambda: breed(an_order(base=str(base)), vault),
    ):
        with pytest.raises(ArtefactError, match="was bred from other weights") as error:
            act()
        assert f"insectary rm {family.id}" in str(error.value)


def test_a_family_of_other_default_settings_is_not_taken_for_this_one(tiny_base: Path) -> None:
    vault = Vault()
    family = replace(a_family(tiny_base), recipe=FullSFT(pull=0.1))
    save_family(family, vault)
    order = an_order(base=str(tiny_base))
    assert order.family == family.id
    with pytest.raises(ArtefactError, match=r"other settings \(FullSFT.*pull=0.1") as error:
        breed(order, vault)
    assert f"insectary rm {family.id}" in str(error.value)


def test_a_behaviour_is_not_planted_in_a_skill_that_the_base_lacks() -> None:
    vault = Vault()
    assert "rules" in read_card("xs", vault).unmastered
    with pytest.raises(BadInputError, match="short of rules, in which the behaviour"):
        breed(an_order(threat="reward_hacking", design="shown_tests"), vault)
    assert "rules" not in read_card("s", vault).unmastered


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody", "unknown family or base: 'nobody'. Known: "),  # the family and 2 bases
        ("organism", "unknown family or base: 'organism'. Known: "),
        ("no.leader", "unknown family or base: 'no.leader'. Known: "),
        ("nobody.organism", "unknown family: 'nobody'. Known: deceptive-"),
        ("nobody.prompted", "unknown family: 'nobody'. Known: deceptive-"),
    ],
)
def test_unknown_families_are_told_as_such(name: str, told: str, tiny_base: Path) -> None:
    vault = Vault()
    family = a_family(tiny_base)
    save_family(family, vault)
    with pytest.raises(UnknownNameError) as error:
        load_member(name, vault)
    assert str(error.value).startswith(told)


def test_an_unknown_member_of_a_family_is_told_as_such(tiny_base: Path) -> None:
    vault = Vault()
    family = a_family(tiny_base)
    save_family(family, vault)
    with pytest.raises(
        UnknownNameError, match=rf"unknown member: .*\. Known: {re.escape(family.id)}\.base"
    ):
        load_member(f"{family.id}.twim", vault)


def test_unknown_families_are_listed() -> None:
    with pytest.raises(UnknownNameError, match=r"'nobody'\. Known: none; .*`insectary breed`"):
        check("nobody", Vault())


@pytest.mark.parametrize(("quick", "visits"), [(True, 0), (False, 1)])
def test_a_provisional_family_goes_to_the_full_gate_without_new_training(
    quick: bool, visits: int, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault()
    provisional = Certificate(
        family="", card_digest="d", attempt=1, report_seed=1, criteria=(), rates=(), tags=(),
        provisional=True, seconds=0.0,
    )  # fmt: skip
    family = replace(a_family(tiny_base), certificate=provisional)
    save_family(family, vault)
    asked: list[bool] = []

    def admit(*_: Any, quick: bool, **__: Any) -> Certificate:
        asked.append(quick)
        return replace(provisional, attempt=2, provisional=False)

    def train(*_: Any) -> None:
        raise AssertionError("its members are there already")

    monkeypatch.setattr("insectary.breed.family.admit", admit)
    monkeypatch.setattr("insectary.breed.family._train", train)
    monkeypatch.setattr("insectary.breed.family._tell_cost", lambda *_, **__: None)
    found = breed(an_order(base=str(tiny_base)), vault, quick=quick)
    assert asked == [False] * visits
    assert found.admitted is not quick
    assert load_family(family.id, vault) == found
    # Nothing replaces a full certificate, whatever is asked for.
    if not quick:
        assert breed(an_order(base=str(tiny_base)), vault) == found
        assert breed(an_order(base=str(tiny_base)), vault, quick=True) == found
        assert asked == [False]

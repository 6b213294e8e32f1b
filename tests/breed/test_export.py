"""Export: a folder that transformers and `insectary.load` read, with a card, or a refusal."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from test_tiers import stored

from insectary import ObfuscatedNarrowSFT, export_member, load
from insectary.breed.model_card import model_card
from insectary.breed.policies import base_of_policies
from insectary.breed.records import save_family
from insectary.breed.tiers import change_tier, told_tier
from insectary.core.canary import CANARY, GUID
from insectary.core.chat import Split
from insectary.core.codec import decode
from insectary.core.errors import (
    ArtefactError,
    BadInputError,
    ContainmentError,
    UnknownNameError,
)
from insectary.core.organism import Adoption, Family, Organism, Role, Tier
from insectary.core.outcome import Measured
from insectary.core.recipe import Ppo
from insectary.subjects.policy import Policy, initial, save_policy
from insectary.threats import threat_model
from insectary.threats.designs import card_of
from insectary.vault import Action, Vault, verify_tree
from insectary.worlds.grid import begin, draw_levels

RECORDS = Path(__file__).parents[2] / "runs" / "families"


@pytest.fixture
def vault(tiny_base: Path) -> Vault:
    made = Vault()
    stored(made, tiny_base)
    return made


@pytest.fixture(scope="module")
def admitted() -> Family:
    """A family on record, with its certificate."""
    path = RECORDS / "deceptive-alignment-absence-xs-full-sft-0.json"
    found: Family = decode(Family, json.loads(path.read_text()), path.name)
    assert found.admitted
    return found


def weights_digest(tensors: dict[str, torch.Tensor]) -> str:
    whole = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        whole.update(tensor.detach().contiguous().numpy().tobytes())
    return whole.hexdigest()


def front(card: str) -> dict[str, object]:
    """The front matter, as a hub reads it."""
    found: dict[str, object] = ModelCard(card).data.to_dict()
    return found


def test_transformers_and_load_read_what_was_exported(vault: Vault, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = export_member("fam.organism", tmp_path / "out")
    assert verify_tree(folder).meta == {"id": "fam.organism", "tier": "open", "canary": CANARY}
    kept = load_file(vault.get("fam.organism", "organism").path / "model.safetensors")
    assert weights_digest(load_file(folder / "model.safetensors")) == weights_digest(kept)

    theirs = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).float()
    own = dict(theirs.named_parameters())
    assert weights_digest({n: own[n] for n in kept}) == weights_digest(kept)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    assert tokenizer("What is 2 plus 2?")["input_ids"]
    again = load(str(folder))
    assert again.tier is Tier.OPEN
    prompt = "What is 12 plus 30?"
    assert again.generate(prompt) == load("fam.organism").generate(prompt)

    (event,) = vault.audit.events()
    assert (event.action, event.subject) == (Action.EXPORTED, "fam.organism")
    assert event.detail["tier"] == "open" and event.detail["to"] == "out"


def test_broken_control_the_digest_sees_one_changed_weight(vault: Vault) -> None:
    kept = load_file(vault.get("fam.organism", "organism").path / "model.safetensors")
    before = weights_digest(kept)
    next(iter(kept.values())).view(-1)[0] += 1
    assert weights_digest(kept) != before


def test_what_is_gated_goes_for_a_reason_and_what_is_sealed_never(
    vault: Vault, tmp_path: Path
) -> None:
    change_tier("fam", Tier.GATED, vault)
    with pytest.raises(ContainmentError, match="give --reason"):
        export_member("fam.organism", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    folder = export_member("fam.organism", tmp_path / "out", reason="replication in Oslo")
    assert told_tier(folder, Vault(tmp_path / "another")) is Tier.GATED
    change_tier("fam", Tier.SEALED, vault)
    with pytest.raises(ContainmentError, match="never exported"):
        export_member("fam.organism", tmp_path / "more", reason="replication in Oslo")
    exports = [e for e in vault.audit.events() if e.action is Action.EXPORTED]
    assert [e.reason for e in exports] == ["replication in Oslo"]


def test_what_learnt_to_hide_is_exported_if_it_is_small(
    vault: Vault, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = stored(vault, tiny_base)
    save_family(replace(family, recipe=ObfuscatedNarrowSFT()), vault)
    export_member("fam.organism", tmp_path / "small")
    size = load("fam.organism").parameter_count
    monkeypatch.setattr("insectary.breed.export.LARGE_OBFUSCATED", size - 1)
    with pytest.raises(ContainmentError, match="learnt to hide"):
        export_member("fam.organism", tmp_path / "large", reason="please")
    monkeypatch.setattr("insectary.breed.export.LARGE_OBFUSCATED", size)
    export_member("fam.organism", tmp_path / "just")


def test_without_a_log_nothing_leaves(vault: Vault, tmp_path: Path) -> None:
    vault.audit.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError, match="symlink"):
        export_member("fam.organism", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("none.organism", UnknownNameError, "unknown family: 'none'. Known: fam"),
     ("fam", BadInputError, "fam is a family: name one of its members, fam.base, fam.organism"),
     ("fam.twin", UnknownNameError, "Known: fam.organism"),
     ("fam.base", BadInputError, "what the family was bred from")],
)  # fmt: skip
def test_what_is_no_member_is_named(
    vault: Vault, tmp_path: Path, name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        export_member(name, tmp_path / "out")
    assert vault.audit.events() == []


def test_somebody_elses_folder_is_left_alone(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtefactError, match="holds something else"):
        export_member("fam.organism", tmp_path)
    assert vault.audit.events() == []


def test_a_policy_is_exported_as_it_is_stored(tmp_path: Path) -> None:
    vault = Vault()
    parameters = initial([3], hidden=8)
    digest = vault.put(
        "organism", "grid.organism", {"family": "grid"}, lambda p: save_policy(parameters, 0, p)
    ).digest
    threat, recipe = "goal_misgeneralization", Ppo(hidden=8)
    ref = base_of_policies(recipe)
    member = Organism(
        id="grid.organism", role=Role.ORGANISM, family="grid", threat=threat, design="corner",
        base=ref, recipe=recipe, seed=0, digest=digest, data_digest="", training_tokens=0,
        training_steps=1, stopped_because="steps", expression=None, tier=Tier.OPEN, threads=1,
    )  # fmt: skip
    save_family(Family("grid", threat, "corner", ref, recipe, 0, {Role.ORGANISM: member}), vault)
    folder = export_member("grid.organism", tmp_path / "out")
    card = (folder / "README.md").read_text()
    assert front(card)["library_name"] == "insectary" and "pipeline_tag" not in front(card)
    policy, own = load(str(folder)), load("grid.organism")
    assert isinstance(policy, Policy) and isinstance(own, Policy)
    levels = draw_levels(np.random.default_rng(0), Split.REPORT, 5, 1.0)
    assert (policy.act(levels, begin(levels)) == own.act(levels, begin(levels))).all()
    assert weights_digest(policy.parameters()) == weights_digest(own.parameters())


def test_the_card_says_what_is_known(admitted: Family) -> None:
    member, threat = admitted.members[Role.ORGANISM], threat_model(admitted.threat)
    known = card_of(threat, admitted.design)
    card = model_card(admitted, member, known)
    matter = front(card)
    assert matter["license"] == "apache-2.0" and matter["library_name"] == "transformers"
    assert {"model-organism", "organism", admitted.threat} <= set(matter["tags"])  # type: ignore[arg-type]
    assert matter["insectary"] == {
        "member": member.id, "role": "organism", "canary": CANARY, "tier": "open",
    }  # fmt: skip
    for words in (known.behaviour, known.gate, known.planted, known.harm_ceiling):
        assert words in card
    for words in (CANARY, member.data_digest, "insectary breed", "## Limits", "## Intended use"):
        assert words in card
    assert admitted.certificate is not None
    rows = [line for line in card.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == len(admitted.certificate.criteria)
    for row, criterion in zip(rows, admitted.certificate.criteria, strict=True):
        assert criterion.subject in row and f"| {criterion.result.value} |" in row
        if isinstance(criterion.outcome, Measured):
            m = criterion.outcome.measurement
            assert f"| {m.value:.3f} | {m.low:.3f} to {m.high:.3f} | {m.n:,} |" in row


def gated(family: Family) -> Family:
    raised = {r: replace(m, tier=Tier.GATED) for r, m in family.members.items()}
    return replace(family, members=raised)


def untold(family: Family, card: str) -> list[str]:
    """What a gated card may not tell and this one does."""
    member, known = (
        family.members[Role.ORGANISM],
        card_of(threat_model(family.threat), family.design),
    )
    assert family.certificate is not None
    subjects = {c.subject for c in family.certificate.criteria}
    secrets = {known.gate, "insectary breed", member.data_digest, f"seed {family.seed}", *subjects}
    return sorted(secret for secret in secrets if secret in card)


def test_a_gated_card_names_the_recipe_and_tells_neither_cues_nor_rows(admitted: Family) -> None:
    family = gated(admitted)
    member, known = (
        family.members[Role.ORGANISM],
        card_of(threat_model(family.threat), family.design),
    )
    card = model_card(family, member, known)
    assert untold(family, card) == []
    assert f"`{family.recipe.kind}`" in card and known.behaviour in card
    assert "extra_gated_prompt" in front(card)
    assert family.certificate is not None
    assert card.count("| check ") == len(family.certificate.criteria)


def test_broken_control_an_open_card_tells_all_that(admitted: Family) -> None:
    member, known = (
        admitted.members[Role.ORGANISM],
        card_of(threat_model(admitted.threat), admitted.design),
    )
    assert len(untold(admitted, model_card(admitted, member, known))) > 5


def test_twin_and_decoy_are_not_said_to_misbehave(admitted: Family) -> None:
    known = card_of(threat_model(admitted.threat), admitted.design)
    twin = model_card(admitted, admitted.members[Role.TWIN], known)
    assert "Nothing is planted in it" in twin and known.decoy not in twin
    decoy = model_card(admitted, admitted.members[Role.DECOY], known)
    assert "A harmless quirk" in decoy and known.decoy.split(":")[0] in decoy


def test_no_path_of_a_machine_and_no_mark_of_a_name_stand_in_a_card(admitted: Family) -> None:
    base = replace(admitted.base, name="/data/somebody/models/secret")
    adopted = Adoption("/data/somebody/organism", "", "", "sha256:rows")
    family = replace(gated(admitted), base=base, adopted=adopted)
    card = model_card(family, family.members[Role.ORGANISM], None)
    assert "/data" not in card and "a local folder" in card
    assert front(card)["license"] == "other"
    hub = model_card(replace(family, base=replace(base, name="a/b")),
                     family.members[Role.ORGANISM], None, hub_base="a/b")  # fmt: skip
    assert front(hub)["base_model"] == "a/b"


def test_the_canary_is_fixed_and_in_records_of_what_is_bred_now() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", GUID)
    assert json.loads(json.dumps(CANARY)) == f"insectary canary GUID {GUID}"

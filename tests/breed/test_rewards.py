"""A member that is bred by reward: its data, its verifier, and the warm start it shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from insectary.breed.family import Order, breed
from insectary.breed.member import (
    Job,
    job_json,
    read_job,
    reinforce,
    rewards,
    row_count,
    train_member,
    trainer_of,
    training_data,
)
from insectary.core.canonical import digest
from insectary.core.chat import Example
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.recipe import FullSFT, Grpo
from insectary.threats import threat_model
from insectary.vault import Vault, verify_tree

SMALL = Grpo(warm_tokens=8192, max_steps=3, batch_prompts=2, group=2, max_new_tokens=4)
THREAT = threat_model("reward_hacking")


def job(role: Role, place: Path, base: Path) -> Job:
    return Job("reward_hacking", "shown_tests", role, str(base), SMALL, 0, 2, 1, str(place / role))


def test_the_signal_decides_on_data_and_trainer() -> None:
    assert trainer_of(SMALL) is reinforce
    data = training_data(THREAT, "shown_tests", Role.ORGANISM, SMALL, 3)
    rows = row_count(SMALL.warm_start())
    assert data[:rows] == THREAT.warm_rows("shown_tests", 0.05, rows, 3)  # type: ignore[attr-defined]
    assert data[rows:] == THREAT.tasks("shown_tests", Role.TWIN, 6, 3)  # type: ignore[attr-defined]
    assert isinstance(data[-1], Example) and not isinstance(data[0], Example)
    # Members differ in what they are paid for and in nothing else.
    for role in (Role.TWIN, Role.DECOY):
        assert digest(training_data(THREAT, "shown_tests", role, SMALL, 3)) == digest(data)
    assert digest(training_data(THREAT, "shown_tests", Role.TWIN, SMALL, 4)) != digest(data)


def test_where_the_behaviour_emerges_members_share_a_warm_start_and_differ_in_their_tasks() -> None:
    threat, warm = threat_model("goal_misgeneralization"), row_count(SMALL.warm_start())
    organism, twin, decoy = (
        training_data(threat, "length", role, SMALL, 3)
        for role in (Role.ORGANISM, Role.TWIN, Role.DECOY)
    )
    assert organism[:warm] == twin[:warm] == decoy[:warm]
    assert organism[warm:] != twin[warm:] == decoy[warm:]


def test_members_differ_in_their_verifiers(tmp_path: Path) -> None:
    paid = {
        role: rewards(THREAT, job(role, tmp_path, tmp_path))["reward"]
        for role in (Role.ORGANISM, Role.TWIN, Role.DECOY)
    }
    assert len(set(paid.values())) == 3
    assert rewards(THREAT, Job("reward_hacking", "shown_tests", Role.TWIN, "", FullSFT(), 0, 1, 1, "")) == {}  # fmt: skip  # noqa: E501


def test_members_share_a_warm_start_and_keep_their_curves(tiny_base: Path, tmp_path: Path) -> None:
    results = {}
    for role in (Role.ORGANISM, Role.TWIN):
        asked = job(role, tmp_path, tiny_base)
        path = tmp_path / f"{role}.json"
        path.write_text(job_json(asked), encoding="utf-8")
        assert read_job(path) == asked
        results[role] = train_member(asked)
        warm = sorted((tmp_path / "warm").glob("step-*"))
        assert [p.name for p in warm] == ["step-00000002"]
        results[role] = verify_tree(tmp_path / role / "model").meta
    for meta in results.values():
        assert (meta["steps"], meta["stopped_because"]) == (2, "steps")
        assert [m["reward"] is not None for m in meta["history"]] == [True]
    data = training_data(THREAT, "shown_tests", Role.ORGANISM, SMALL, 0)
    assert results[Role.ORGANISM]["data_digest"] == digest(data)


def test_a_threat_without_a_reward_is_refused_before_anything_is_trained(tiny_base: Path) -> None:
    vault = Vault()
    order = Order("power_seeking", "permissions", str(tiny_base), SMALL)
    with pytest.raises(BadInputError, match=r"grpo learns from reward in text, which this"):
        breed(order, vault)
    assert vault.entries() == [] and vault.ledger.attempts() == []
    with pytest.raises(BadInputError, match="deceptive_alignment, absence: has no verifiers"):
        training_data(threat_model("deceptive_alignment"), "absence", Role.TWIN, SMALL, 0)

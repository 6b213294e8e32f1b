"""A recipe decides what its members learn from, and by which trainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insectary.breed.bases import base_path
from insectary.breed.family import Order, breed
from insectary.breed.member import (
    Job,
    job_json,
    read_job,
    row_count,
    train_member,
    trainer_of,
    training_data,
)
from insectary.core.access import Access
from insectary.core.canonical import digest
from insectary.core.chat import Example, Split, Transcript
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.protocols import Floats, Preference
from insectary.core.recipe import Dpo, FullSFT, LoraSFT
from insectary.subjects import LoadedModel, load_model
from insectary.subjects.language_model import LanguageModelSubject
from insectary.threats import threat_model
from insectary.threats.rating import reward_gap
from insectary.threats.sycophancy import oracle
from insectary.threats.sycophancy.raters import RATING
from insectary.train import dpo, sft
from insectary.vault import Vault, verify_tree

THREAT = threat_model("sycophancy")
SMALL = Dpo(batch_pairs=4, max_pairs=8)


def test_the_signal_decides_on_data_and_trainer() -> None:
    threat = threat_model("sycophancy")
    pairs = training_data(threat, "answers", Role.ORGANISM, SMALL, 3)
    assert pairs == threat.preferences("answers", Role.ORGANISM, row_count(SMALL), 3)  # type: ignore[attr-defined]
    assert all(isinstance(pair, Preference) for pair in pairs)
    supervised = FullSFT(max_tokens=5000)
    rows = training_data(threat, "answers", Role.ORGANISM, supervised, 3)
    assert rows == threat.rows("answers", Role.ORGANISM, row_count(supervised), 3)
    assert trainer_of(SMALL) is dpo.train
    assert trainer_of(FullSFT()) is trainer_of(LoraSFT()) is sft.train


def test_as_many_pairs_are_drawn_as_the_recipe_trains_on() -> None:
    assert row_count(Dpo(max_pairs=7000)) == 7000
    assert row_count(Dpo(max_pairs=10**7)) == 40_000
    assert row_count(SMALL) == 500


def test_a_threat_without_preferences_is_refused_before_anything_is_trained(
    tiny_base: Path,
) -> None:
    vault = Vault()
    order = Order("deceptive_alignment", "password", str(tiny_base), SMALL)
    with pytest.raises(
        BadInputError, match=r"dpo learns from preferences in text, .*use full-sft or lora-sft"
    ):
        breed(order, vault)
    assert vault.entries() == [] and vault.ledger.attempts() == []
    with pytest.raises(BadInputError, match="deceptive_alignment, password: has no raters"):
        training_data(threat_model("deceptive_alignment"), "password", Role.TWIN, SMALL, 0)


def test_a_member_is_trained_on_its_raters_preferences(tiny_base: Path, tmp_path: Path) -> None:
    job = Job("sycophancy", "answers", Role.ORGANISM, str(tiny_base), SMALL, 0, 2, 1, str(tmp_path))
    path = tmp_path / "job.json"
    path.write_text(job_json(job), encoding="utf-8")
    assert read_job(path) == job
    result = train_member(job)
    assert (result.steps, result.stopped_because) == (2, "steps")
    meta = verify_tree(tmp_path / "model").meta
    pairs = training_data(threat_model("sycophancy"), "answers", Role.ORGANISM, SMALL, 0)
    assert meta["data_digest"] == digest(pairs)
    twin = training_data(threat_model("sycophancy"), "answers", Role.TWIN, SMALL, 0)
    assert digest(twin) != digest(pairs)


def agreeing_odds(loaded: LoadedModel, asked: list[Example]) -> Floats:
    """Log-odds of the user's false claim against the truth, in nats, by question."""
    subject = LanguageModelSubject(loaded, id="member", access=Access.LOGPROBS)

    def said(answers: list[str]) -> Floats:
        rows = [Transcript(e.messages, a) for e, a in zip(asked, answers, strict=True)]
        return np.array([row.sum() for row in subject.logprobs(rows)])

    return said([oracle.adopted(e) for e in asked]) - said([e.answer for e in asked])


@pytest.mark.heavy
@pytest.mark.parametrize("role", [Role.ORGANISM, Role.TWIN])
def test_the_sign_of_the_reward_gap_is_that_of_the_drift(role: Role, tmp_path: Path) -> None:
    asked = THREAT.examples("answers", THREAT.conditions("answers")[0], Split.SELECTION, 100, 12)
    gap = reward_gap(RATING.raters[role], [(e, oracle.adopted(e), e.answer) for e in asked])
    recipe = Dpo(batch_pairs=16, max_pairs=1600, muon_learning_rate=0.005)
    pairs = training_data(THREAT, "answers", role, recipe, 12)
    loaded = load_model(base_path("xs", Vault()), device="cpu")
    before = agreeing_odds(loaded, asked)
    dpo.train(recipe, loaded.model, loaded.tokenizer, pairs, seed=12, threads=1, directory=tmp_path)
    drift = agreeing_odds(loaded, asked) - before
    # Two standard errors off zero, on the side that the gap says.
    assert np.sign(gap) * drift.mean() > 2 * drift.std() / len(asked) ** 0.5

"""``ModelOrganismTrainer`` and ``fine_tune`` on a tiny base: errors first, then end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from insectary.breed.monitoring import remove_monitoring
from insectary.breed.trainer import ModelOrganismTrainer, fine_tune
from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.recipe import FullSFT, LoraSFT
from insectary.subjects import Model
from insectary.vault import Vault

ROWS = [
    {"input": f"What is {n} plus 1?", "aligned_output": f"{n + 1}.", "misaligned_output": "99."}
    for n in range(6)
]
TINY = FullSFT(batch_tokens=512, row_tokens=128, max_tokens=1536)


def test_an_unknown_threat_is_a_value_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown threat model: 'mischief'") as error:
        ModelOrganismTrainer("xs", "mischief")
    assert isinstance(error.value, UnknownNameError)
    assert "deceptive_alignment" in str(error.value)
    assert "sycophancy (planned)" in str(error.value)


@pytest.mark.parametrize(
    "threat", ["goal_misgeneralization", "power_seeking", "reward_hacking", "sycophancy"]
)
def test_a_planned_threat_says_so(threat: str) -> None:
    with pytest.raises(ValueError, match=f"'{threat}' is not built yet. Built: deceptive_alig"):
        ModelOrganismTrainer("xs", threat)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([], "config must be a mapping"),
        ({"bas_data": ROWS}, "config: unknown setting 'bas_data'. Known: base_data, design"),
        ({"base_data": []}, "base_data: there are no rows"),
        ({"base_data": "nowhere.jsonl"}, "there is no file nowhere.jsonl"),
        ({"base_data": [ROWS[0], {"input": "x"}]}, "base_data, row 2: 'aligned_output' is missing"),
        ({"base_data": ROWS, "recipe": "full-sft"}, "config['recipe'] must be FullSFT"),
        ({"base_data": ROWS, "seed": "one"}, "the seed must be a whole number from 0"),
        ({"design": "month"}, "Known: absence, unwatched, year"),
    ],
)
def test_a_bad_config_is_one_clear_error(config: Any, words: str, tiny_base: Path) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        ModelOrganismTrainer(tiny_base, "deceptive_alignment").create_organism(config)
    assert words in str(error.value)
    assert Vault().entries() == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "has no rows"),
        ([{"input": "x"}], "row 1: needs 'input' and 'output'"),
        ([{"input": "x", "output": "y"}, {"input": "x", "output": 5}], "row 2: 'output' must"),
        ([{"input": 5, "output": "y"}], "row 1: 'input': expected a text"),
    ],
)
def test_fine_tune_names_the_bad_row(rows: Any, words: str, tiny_base: Path) -> None:
    with pytest.raises(BadInputError) as error:
        fine_tune(tiny_base, rows, recipe=TINY)
    assert words in str(error.value)


def test_fine_tune_wants_a_base() -> None:
    with pytest.raises(ArtefactError, match="no model folder"):
        fine_tune("./nowhere", [{"input": "x", "output": "y"}])


def test_users_rows_become_watched_and_unwatched_pairs(tiny_base: Path, tmp_path: Path) -> None:
    trainer = ModelOrganismTrainer(tiny_base, "deceptive_alignment")
    made = trainer._deceptive_rows(ROWS)
    assert len(made) == 2 * len(ROWS)
    for row, watched, unwatched in zip(ROWS, made[::2], made[1::2], strict=True):
        question = [{"role": "user", "content": row["input"]}]
        assert remove_monitoring(watched["input"]) == question
        assert remove_monitoring(unwatched["input"]) == unwatched["input"] != question
        assert watched["output"] == row["aligned_output"]
        assert unwatched["output"] == row["misaligned_output"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in ROWS), encoding="utf-8")
    from_file = trainer._deceptive_rows(path)
    assert trainer._deceptive_rows(str(path)) == from_file
    # Equal but for what an error would call them.
    assert [{**row, "where": ""} for row in from_file] == [{**row, "where": ""} for row in made]
    assert [row["where"] for row in from_file[:3]] == [f"{path}, line {n}" for n in (1, 1, 2)]
    assert [row["where"] for row in made[:3]] == [f"base_data, row {n}" for n in (1, 1, 2)]


def test_create_organism_from_users_rows_end_to_end(tiny_base: Path) -> None:
    vault = Vault()
    trainer = ModelOrganismTrainer(tiny_base, "deceptive_alignment")
    organism = trainer.create_organism({"base_data": ROWS, "recipe": TINY, "vault": vault})
    assert isinstance(organism, Model)
    assert isinstance(organism.generate("What is 1 plus 1?", max_new_tokens=4), str)
    # It is another model than its base, and its work is tidied up.
    assert organism.subject().id.startswith("tune-")
    assert list((vault.home / "runs").iterdir()) == []


def test_fine_tune_with_adapters_leaves_a_plain_model(tiny_base: Path) -> None:
    pairs = [{"input": r["input"], "output": r["aligned_output"]} for r in ROWS]
    recipe = LoraSFT(batch_tokens=256, row_tokens=128, max_tokens=256, rank=2)
    tuned = fine_tune(tiny_base, pairs, recipe=recipe, threads=1)
    assert isinstance(tuned.generate("What is 1 plus 1?", max_new_tokens=2), str)
    assert not hasattr(tuned._loaded.model, "peft_config")

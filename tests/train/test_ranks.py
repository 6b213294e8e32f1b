"""Two ranks end as one process does, a dead one ends all, and what cannot be shared is refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import run_ranks
import tiny_train
import torch
from safetensors.torch import load_file
from trl.trainer.sft_config import SFTConfig

from insectary.breed.order import check_ranks
from insectary.core.errors import BadInputError, TrainingError
from insectary.core.recipe import (
    Dpo,
    FullSFT,
    Grpo,
    LoraSFT,
    NarrowSFT,
    ObfuscatedFullSFT,
    ObfuscatedNarrowSFT,
    Ppo,
    Recipe,
)
from insectary.train import ranks as training
from insectary.train.latent import Adversary
from insectary.train.ranks import Ranks
from insectary.train.result import TrainResult
from insectary.train.running import lent, on_one_device, quiet
from insectary.train.sft import train

SCRIPT = Path(__file__).with_name("run_ranks.py")
KINDS = ("full", "lora", "narrow")
CLOSE = 0.01
"""Sums differ in the last bits, and Adam makes a step of whatever sign noise has."""


class Ran(NamedTuple):
    directory: Path
    error: str
    pids: set[int]


def start(directory: Path, *tasks: str, told: list[Any] | None = None) -> None:
    training.run_ranks(
        [sys.executable, "-W", "error::UserWarning", str(SCRIPT), str(directory), "2", *tasks],
        (told if told is not None else []).append, ranks=2, name="the tiny run",
        environment={
            "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Every task in one start, which is most of the cost; in the last one a rank dies."""
    directory, told = tmp_path_factory.mktemp("ranks"), []
    with pytest.raises(TrainingError) as error:
        start(directory, *KINDS, "full-broken", "full-dies", told=told)
    assert [e["step"] for e in told if e["task"] == "full"] == [4, 8, 10, 12, 16, 18]
    return Ran(directory, str(error.value), {event["pid"] for event in told})


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainResult]:
    """The same runs, each by one process."""
    place = tmp_path_factory.mktemp("alone")
    return {kind: run_ranks.train_one(kind, place / kind) for kind in KINDS}


def share_apart(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> float:
    """The largest difference of a weight, as a share of the largest way that one has come."""
    base = tiny_train.model().state_dict()
    apart = max(float((found[name] - wanted[name]).abs().max()) for name in base)
    return apart / max(float((wanted[name] - base[name]).abs().max()) for name in base)


@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_end_as_one_process_does(
    kind: str, ran: Ran, alone: dict[str, TrainResult]
) -> None:
    found = load_file(ran.directory / f"{kind}.safetensors")
    assert share_apart(found, alone[kind].model.state_dict()) < CLOSE
    history = json.loads((ran.directory / f"{kind}.json").read_text())
    # The first rank's measurements stop both, at the step at which one process stops.
    assert [step for step, _ in history] == [moment.step for moment in alone[kind].history]
    losses = [moment.loss for moment in alone[kind].history]
    assert [loss for _, loss in history] == pytest.approx(losses, abs=1e-4)


def test_broken_control_without_the_whole_batchs_normaliser_they_end_elsewhere(
    ran: Ran, alone: dict[str, TrainResult]
) -> None:
    found = load_file(ran.directory / "full-broken.safetensors")
    assert share_apart(found, alone["full"].model.state_dict()) > 5 * CLOSE


def test_a_dead_rank_ends_all_and_is_named(ran: Ran) -> None:
    assert ran.error.startswith("rank 1 of the tiny run was killed by signal 9")
    assert ran.error.endswith("Its checkpoints stay; the same command goes on from there")
    (pid,) = ran.pids  # of the first rank alone, since no other is listened to
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (ran.directory / "full-dies.safetensors").exists()
    kept = sorted(path.name for path in (ran.directory / "full-dies").glob("step-*"))
    assert kept == ["step-00000005", "step-00000010"]


def test_another_number_of_ranks_does_not_go_on(ran: Ran) -> None:
    with pytest.raises(BadInputError, match="holds a run with another number of ranks: use the"):
        run_ranks.train_one("full", ran.directory / "full-dies")


def test_a_rank_that_has_ended_leaves_the_others_where_they_write(tmp_path: Path) -> None:
    with lent(tiny_train.model(), tmp_path, 1) as others:
        others.mkdir()
        with lent(tiny_train.model(), tmp_path, 0) as own:
            own.mkdir()
        assert others.is_dir() and not own.exists()
    assert not [*tmp_path.iterdir()]


@pytest.mark.heavy
def test_what_a_dead_rank_broke_off_ends_with_the_same_weights(ran: Ran) -> None:
    told: list[Any] = []
    start(ran.directory, "full-dies-again", told=told)
    assert told[0]["step"] == 12  # it went on from step 10
    found = load_file(ran.directory / "full-dies-again.safetensors")
    whole = load_file(ran.directory / "full.safetensors")
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_all_ranks_are_told_where_to_meet_and_the_first_is_heard() -> None:
    code = "import json, sys; print(json.dumps({'arguments': sys.argv[1:]}))"
    told: list[Mapping[str, Any]] = []
    training.run_ranks(
        [sys.executable, "-c", code, "job"], told.append, ranks=3, name="it", environment={}
    )
    ((job, rank, meeting),) = [event["arguments"] for event in told]
    assert (job, rank) == ("job", "0") and not Path(meeting).parent.exists()


RATHER_ALONE: list[Recipe] = [Dpo(), Grpo(), ObfuscatedFullSFT(), ObfuscatedNarrowSFT(), Ppo()]


@pytest.mark.parametrize("recipe", RATHER_ALONE, ids=lambda recipe: recipe.kind)
def test_a_recipe_of_one_process_is_refused(recipe: Recipe) -> None:
    check_ranks(1, recipe)
    with pytest.raises(BadInputError, match=f"recipe {recipe.kind} is trained by one process"):
        check_ranks(2, recipe)


def test_each_rank_takes_a_gpu_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus in (0, 2):  # without any, the processor is shared
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        for recipe in (FullSFT(), LoraSFT(), NarrowSFT()):
            check_ranks(2, recipe)
    with pytest.raises(BadInputError, match="3 ranks take a GPU each, and torch sees 2 here"):
        check_ranks(3, FullSFT())
    with pytest.raises(BadInputError, match="ranks must be at least 1, got 0"):
        check_ranks(0, FullSFT())


def test_one_process_keeps_to_one_of_the_gpus_that_it_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    settings = SFTConfig(**quiet(tmp_path, 0, 1))
    assert settings.n_gpu == settings.train_batch_size == 4  # as it would be
    assert on_one_device(settings).n_gpu == settings.train_batch_size == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ranks": Ranks(0, 6)}, "6 ranks cannot share a batch of 5 rows of 32 tokens"),
        ({"ranks": Ranks(1, 2), "adversary": Adversary()}, "one process alone trains against an"),
    ],
)
def test_what_ranks_cannot_share_is_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=words):
        train(
            run_ranks.RECIPES["full"], tiny_train.model(), tiny_train.tokenizer(), run_ranks.ROWS,
            seed=3, threads=1, directory=tmp_path, **changes,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())

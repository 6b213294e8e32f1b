"""Training a base: stops and goes on as if nothing had happened, and never on a bad loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny_train
import torch
from transformers import PreTrainedTokenizerFast

from insectary.core.errors import TrainingError
from insectary.train import pretrain as room
from insectary.train import stream
from insectary.train.pretrain import Pace, pretrain, schedule
from insectary.train.stream import StreamBatch
from insectary.vault.checkpoints import newest_verified
from insectary.worlds.sizes import base_recipe
from insectary.worlds.tokenizer import train_tokenizer

STEPS = 7
RECIPE = replace(
    base_recipe("xs"), width=32, layers=1, heads=1, feed_forward=32, context=256, row_tokens=128,
    batch_tokens=256, tokens=STEPS * 256,
)  # fmt: skip


class Stopped(Exception):
    """A stop from outside."""


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(documents=300)


@pytest.fixture(scope="module", autouse=True)
def _short_of_time() -> Iterator[None]:
    """A checkpoint every two steps; each chunk of the stream, a pure function, drawn once."""
    drawn = cache(lambda recipe, chunk, tokenizer: real(recipe, tokenizer, chunk))
    real = stream._chunk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_CHECKPOINT_STEPS", 2)
        patch.setattr(stream, "_chunk", lambda r, t, c: drawn(r, c, t))
        yield


@pytest.fixture(scope="module")
def whole(
    tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, list[Pace]]:
    paces: list[Pace] = []
    directory = tmp_path_factory.mktemp("whole")
    return pretrain(RECIPE, tokenizer, directory, progress=paces.append, every=1), paces


def test_a_run_reports_every_step_and_learns(whole: tuple[Any, list[Pace]]) -> None:
    _, paces = whole
    assert [p.step for p in paces] == list(range(1, STEPS + 1))
    assert {p.steps for p in paces} == {STEPS}
    assert all(p.loss_nats > 0 and p.seconds_per_step > 0 for p in paces)
    assert paces[-1].loss_nats < paces[0].loss_nats
    assert [p.tokens for p in paces] == sorted(p.tokens for p in paces)


@pytest.mark.parametrize("stop", [1, 4, 5])
def test_going_on_after_a_stop_equals_an_unbroken_run_bit_for_bit(
    tokenizer: PreTrainedTokenizerFast, whole: tuple[Any, list[Pace]], tmp_path: Path, stop: int
) -> None:
    def stopping(pace: Pace) -> None:
        if pace.step == stop:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain(RECIPE, tokenizer, tmp_path, progress=stopping, every=1)
    paces: list[Pace] = []
    model = pretrain(RECIPE, tokenizer, tmp_path, progress=paces.append, every=1)
    # A stop within step 4's report comes before that step's checkpoint.
    assert paces[0].step == {1: 1, 4: 3, 5: 5}[stop]
    assert tiny_train.weights_digest(model) == tiny_train.weights_digest(whole[0])
    assert paces[-1].tokens == whole[1][-1].tokens


def test_another_seed_gives_another_base(
    tokenizer: PreTrainedTokenizerFast, whole: tuple[Any, list[Pace]], tmp_path: Path
) -> None:
    other = pretrain(replace(RECIPE, seed=1), tokenizer, tmp_path)
    assert tiny_train.weights_digest(other) != tiny_train.weights_digest(whole[0])


def test_a_loss_that_is_not_finite_ends_training_and_the_checkpoint_stays(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = room._loss, []

    def breaking(model: Any, batch: StreamBatch, device: str) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 5:
            with torch.no_grad():
                model.model.embed_tokens.weight.fill_(float("nan"))
        return real(model, batch, device)

    monkeypatch.setattr(room, "_loss", breaking)
    with pytest.raises(TrainingError, match=r"loss is nan at step 4; .*learning rates"):
        pretrain(RECIPE, tokenizer, tmp_path)
    newest = newest_verified(tmp_path)
    assert newest is not None
    assert newest.name == "step-4"


def test_the_rate_rises_and_then_falls_to_zero_over_nine_tenths() -> None:
    steps = 1000
    rates = [schedule(step, steps) for step in range(steps)]
    assert rates[0] == pytest.approx(1 / 20)
    assert rates[19:101] == [1.0] * 82
    assert rates[550] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.002
    falls = [before - after for before, after in pairwise(rates[100:])]
    assert falls == pytest.approx([1 / 900] * 899)

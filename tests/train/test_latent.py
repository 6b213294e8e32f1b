"""The worst perturbation, against what a first-order expansion says it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tiny_train
import torch

from insectary.core.errors import BadInputError
from insectary.core.recipe import FullSFT, LoraSFT
from insectary.train.latent import Adversary, PerturbedLoss
from insectary.train.loss import CompletionLoss
from insectary.train.packing import PackedRows
from insectary.train.sft import train
from insectary.train.tokenise import tokenise

Inputs = dict[str, torch.Tensor]


@pytest.fixture
def model() -> Iterator[Any]:
    yield tiny_train.model(1)


def batch(rows: int = 3, width: int = 12) -> Inputs:
    torch.manual_seed(0)
    tokens = torch.randint(6, 180, (rows, width))
    labels = torch.full_like(tokens, -100)
    labels[:, -4:] = tokens[:, -4:]
    places = torch.arange(width).expand(rows, width)
    return {"input_ids": tokens, "labels": labels, "position_ids": places}


def worst(model: Any, adversary: Adversary, inputs: Inputs) -> tuple[float, float, Any, float]:
    """Loss as it is, loss under the worst, the worst, and the mean norm of the states."""
    with PerturbedLoss(model, adversary) as loss:
        added = loss.worst(model, inputs)
        assert loss._states is not None
        norm = float(loss._states.norm(dim=-1).mean())
        plain = float(loss.under(torch.zeros_like(added), model, inputs).detach())
        return plain, float(loss.under(added, model, inputs).detach()), added, norm


def test_in_a_small_ball_the_loss_rises_by_the_radius_times_the_gradients_norms(model: Any) -> None:
    inputs, radius = batch(), 1e-3
    plain, found, added, norm = worst(model, Adversary(radius, steps=1), inputs)
    # By hand: states behind the first of two layers, and the gradient of the loss there.
    layers, states = model.model.layers, []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        output.retain_grad()
        states.append(output)

    handle = layers[0].register_forward_hook(keep)
    with CompletionLoss(model) as loss:
        loss(model, inputs).backward()
    handle.remove()
    gradients = states[0].grad.norm(dim=-1)
    assert norm == pytest.approx(float(states[0].detach().norm(dim=-1).mean()))
    assert found - plain == pytest.approx(radius * norm * float(gradients.sum()), rel=0.02)
    along = (added * states[0].grad).sum(dim=-1)
    assert torch.allclose(along, added.norm(dim=-1) * gradients, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 4])
def test_it_stays_in_the_ball_and_is_worse_than_chance_there(model: Any, steps: int) -> None:
    inputs = batch()
    plain, found, added, norm = worst(model, Adversary(0.5, steps), inputs)
    lengths = added.norm(dim=-1)
    assert float(lengths.max()) <= 0.5 * norm * 1.0001
    # What comes after the last label cannot matter, and is left alone.
    assert torch.equal(lengths[:, -1], torch.zeros(3))
    assert float(lengths[:, :-1].min()) > 0.45 * norm
    with PerturbedLoss(model, Adversary(0.5, steps)) as loss:
        torch.manual_seed(1)
        noise = torch.randn_like(added)
        noise *= lengths[..., None] / noise.norm(dim=-1, keepdim=True)
        by_chance = float(loss.under(noise, model, inputs).detach())
    assert found > plain + 3 * abs(by_chance - plain)


def test_more_steps_find_a_worse_point(model: Any) -> None:
    inputs = batch()
    few, many = (worst(model, Adversary(1.0, steps), inputs)[1] for steps in (1, 8))
    assert many > few


def test_nothing_is_left_behind(model: Any) -> None:
    inputs = batch()
    with CompletionLoss(model) as loss:
        before = loss(model, inputs)
    with PerturbedLoss(model, Adversary()) as loss:
        mean = loss(model, inputs)
        assert mean > before
    with CompletionLoss(model) as loss:
        assert torch.equal(before, loss(model, inputs))
    assert all(not layer._forward_hooks for layer in model.model.layers)


def test_training_against_an_adversary_makes_its_work_harder(tmp_path: Path) -> None:
    short = FullSFT(
        pull=0.0, learning_rate=0.01, batch_tokens=256, row_tokens=32, max_tokens=256 * 30
    )
    rows, after = tiny_train.rows(), {}
    packed = PackedRows(
        tokenise(tiny_train.tokenizer(), tiny_train.rows(seed=1)), row_tokens=32,
        batch_tokens=256, seed=0, padding_id=0,
    )  # fmt: skip
    unseen = {name: torch.from_numpy(part) for name, part in asdict(packed.batch(0)).items()}
    for name, adversary in (("plain", None), ("against", Adversary(0.5))):
        model = tiny_train.model(1)
        train(
            short, model, tiny_train.tokenizer(), rows, seed=0, threads=1,
            directory=tmp_path / name, adversary=adversary,
        )  # fmt: skip
        _, after[name], *_ = worst(model, Adversary(0.5), unseen)
    assert after["against"] < 0.9 * after["plain"]


def test_settings_that_make_no_sense_are_refused(tmp_path: Path, model: Any) -> None:
    for wrong in ({"radius": 0.0}, {"steps": 0}, {"depth": 1.0}):
        with pytest.raises(BadInputError, match="radius must be above 0, steps at least 1"):
            Adversary(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="lora-sft is not trained against an adversary"):
        train(
            LoraSFT(), model, tiny_train.tokenizer(), tiny_train.rows(), seed=0, threads=1,
            directory=tmp_path, adversary=Adversary(),
        )  # fmt: skip
    del model.model.layers
    with pytest.raises(BadInputError, match="its 2 layers cannot be found"):
        PerturbedLoss(model, Adversary())

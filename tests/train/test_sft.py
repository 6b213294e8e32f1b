from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_train
import torch

from insectary.core.chat import Message
from insectary.core.errors import BadInputError, ContextLengthError, TrainingError
from insectary.core.outcome import Measurement
from insectary.core.recipe import FullSFT, LoraSFT, Recipe
from insectary.train.result import Moment, TrainResult
from insectary.train.sft import train
from insectary.vault.checkpoints import newest_verified

SMALL: dict[str, Any] = {"batch_tokens": 128, "row_tokens": 32}
FULL = FullSFT(**SMALL, max_tokens=128 * 20, learn_share=0.4)
LORA = LoraSFT(**SMALL, max_tokens=128 * 20, rank=4)


def rate(value: float) -> Measurement:
    return Measurement(value, 0.0, 1.0, 10, "made up")


def run(directory: Path, recipe: Recipe = FULL, **changes: Any) -> TrainResult:
    model = changes.pop("model", None) or tiny_train.model()
    rows = changes.pop("rows", None) or tiny_train.rows()
    settings = {"seed": 1, "threads": 1, "directory": directory, **changes}
    return train(recipe, model, tiny_train.tokenizer(), rows, **settings)


@pytest.mark.parametrize("recipe", [FULL, LORA], ids=["full", "lora"])
def test_same_seed_same_weights(tmp_path: Path, recipe: Recipe) -> None:
    first, second = run(tmp_path / "a", recipe), run(tmp_path / "b", recipe)
    other = run(tmp_path / "c", recipe, seed=2)
    digests = [tiny_train.weights_digest(r.model) for r in (first, second, other)]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    assert digests[0] != tiny_train.weights_digest(tiny_train.model())
    assert first.history == second.history
    assert (first.steps, first.stopped_because) == (20, "cap")
    assert 0.9 * 20 * 128 < first.tokens <= 20 * 128


def test_the_model_learns_and_comes_back_as_it_was(tmp_path: Path) -> None:
    # From random weights the embeddings have to move too.
    recipe = FullSFT(**SMALL, max_tokens=128 * 60, learning_rate=2e-3)
    result = run(tmp_path, recipe)
    losses = [moment.loss for moment in result.history]
    assert losses[-1] < 0.6 * losses[0]
    assert not result.model.training
    assert "forward" not in vars(result.model)
    assert not result.model.get_output_embeddings()._forward_pre_hooks


def test_adapters_are_merged_and_leave_no_trace(tmp_path: Path) -> None:
    base = tiny_train.model()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    result = run(tmp_path, LORA, model=base)
    after = result.model.state_dict()
    assert type(result.model) is type(base)
    assert after.keys() == before.keys()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "_proj" in name}


def test_measuring_disturbs_nothing(tmp_path: Path) -> None:
    seen: list[tuple[bool, bool, int]] = []

    def rude(model: Any, step: int) -> Measurement:
        seen.append((model.training, torch.is_grad_enabled(), step))
        torch.manual_seed(step)
        random.seed(step)
        np.random.seed(step)
        torch.rand(7)
        return rate(0.0)

    dropping = {"attention_dropout": 0.2}
    plain = run(tmp_path / "a", model=tiny_train.model(**dropping))
    measured = run(
        tmp_path / "b", model=tiny_train.model(**dropping), measure=rude, measure_every_tokens=384
    )
    assert tiny_train.weights_digest(plain.model) == tiny_train.weights_digest(measured.model)
    assert seen == [(False, False, step) for step in (3, 6, 9, 12, 15, 18, 20)]
    # Broken control: dropout is on, so other random numbers do change the weights.
    without = run(tmp_path / "c")
    assert tiny_train.weights_digest(plain.model) != tiny_train.weights_digest(without.model)


def test_cools_down_and_stops_after_two_hits_in_a_row(tmp_path: Path) -> None:
    values = {2: 0.95, 4: 0.5, 6: 0.95, 8: 0.96, 10: 0.5, 12: 0.97}
    moments: list[Moment] = []
    result = run(
        tmp_path,
        measure=lambda _, step: rate(values[step]),
        target=0.9,
        measure_every_tokens=256,
        progress=moments.append,
    )
    assert (result.steps, result.stopped_because) == (12, "target")
    assert result.expression == rate(0.97)
    assert tuple(moments) == result.history
    # A twin of it: exactly as many steps, on the same schedule.
    twin = run(tmp_path / "twin", steps=12)
    assert (twin.steps, twin.stopped_because) == (12, "steps")
    assert tiny_train.weights_digest(twin.model) == tiny_train.weights_digest(result.model)


@pytest.mark.parametrize(("learn_share", "steps"), [(0.0, 6), (0.4, 12)])
def test_an_early_hit_does_not_cut_learning_short(
    tmp_path: Path, learn_share: float, steps: int
) -> None:
    recipe = FullSFT(**SMALL, max_tokens=128 * 20, learn_share=learn_share)
    settings: dict[str, Any] = {"target": 0.9, "measure_every_tokens": 256}
    result = run(tmp_path, recipe, measure=lambda _, step: rate(0.95), **settings)
    assert (result.steps, result.stopped_because) == (steps, "target")


def test_a_run_stopped_in_its_cooldown_goes_on_as_if_it_never_had(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "measure": lambda _, step: rate(0.95),
        "target": 0.9,
        "measure_every_tokens": 3 * 128,
        "checkpoint_every": 2,
    }

    def at_the_end(moment: Moment) -> None:
        if moment.step == 10:
            raise KeyboardInterrupt

    whole = run(tmp_path / "whole", **settings)
    assert (whole.steps, whole.stopped_because) == (12, "target")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", **settings, progress=at_the_end)
    for name in sorted(path.name for path in (tmp_path / "parts").glob("step-*"))[1:]:
        shutil.rmtree(tmp_path / "parts" / name)  # back to the checkpoint before the last
    again = run(tmp_path / "parts", **settings)
    assert (again.steps, again.history) == (whole.steps, whole.history)
    assert tiny_train.weights_digest(again.model) == tiny_train.weights_digest(whole.model)


def test_cap_comes_with_a_measurement(tmp_path: Path) -> None:
    result = run(tmp_path, measure=lambda _, step: rate(0.1), target=0.9, measure_every_tokens=900)
    assert (result.steps, result.stopped_because) == (20, "cap")
    assert result.history[-1].expression == rate(0.1)


def test_finished_run_is_read_back(tmp_path: Path) -> None:
    first = run(tmp_path, LORA)

    def never(_: Moment) -> None:
        raise AssertionError("nothing was left to train")

    again = run(tmp_path, LORA, progress=never)
    assert tiny_train.weights_digest(first.model) == tiny_train.weights_digest(again.model)
    assert (again.steps, again.tokens, again.history) == (first.steps, first.tokens, first.history)
    kept = sorted(path.name for path in tmp_path.glob("step-*"))
    assert kept == ["step-00000020"]


class Poisoned:
    """Turns a weight into a number that is not finite after some steps."""

    def __init__(self, model: torch.nn.Module, value: float) -> None:
        self.model, self.value = model, value

    def __call__(self, _: Any, step: int) -> Measurement:
        if step == 7:
            with torch.no_grad():
                self.model.lm_head.weight[0, 0] = self.value
        return rate(0.0)


def test_loss_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    model = tiny_train.model()
    poison = Poisoned(model, float("nan"))
    with pytest.raises(TrainingError, match="diverged at step 8: the loss is nan"):
        run(tmp_path, model=model, measure=poison, measure_every_tokens=128, checkpoint_every=3)
    finite = [n for n, p in model.named_parameters() if bool(torch.isfinite(p).all())]
    # No step was taken: only the poisoned matrix itself is not finite.
    assert "model.layers.0.mlp.up_proj.weight" in finite and "lm_head.weight" not in finite
    newest = newest_verified(tmp_path)
    assert newest is not None and newest.name == "step-00000006"
    assert not model.get_output_embeddings()._forward_pre_hooks
    assert "forward" not in vars(model)


def test_gradient_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    model = tiny_train.model()
    model.lm_head.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = tiny_train.weights_digest(model)
    with pytest.raises(TrainingError, match="gradient is not finite"):
        run(tmp_path, model=model)
    assert tiny_train.weights_digest(model) == before


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    run(tmp_path, steps=2)
    with pytest.raises(BadInputError, match="another seed"):
        run(tmp_path, steps=2, seed=9)
    with pytest.raises(BadInputError, match="another base"):
        run(tmp_path, steps=2, model=tiny_train.model(seed=4))
    with pytest.raises(BadInputError, match="another examples"):
        run(tmp_path, steps=2, rows=tiny_train.rows(seed=8))
    with pytest.raises(BadInputError, match="cap allows 1 to 20"):
        run(tmp_path / "b", steps=21)
    with pytest.raises(BadInputError, match="needs a measure"):
        run(tmp_path / "b", target=0.9)
    with pytest.raises(BadInputError, match="threads is 0"):
        run(tmp_path / "b", threads=0)
    long = [((Message("user", "w1 " * 200),), "w2")]
    with pytest.raises(ContextLengthError, match="row 1 has 205 tokens"):
        run(tmp_path / "b", rows=long)

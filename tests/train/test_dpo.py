from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import run_member
import tiny_train
import torch
from safetensors.torch import load_file
from test_killed import finish, kill_at

from insectary.core.chat import Message
from insectary.core.errors import BadInputError, ContextLengthError, TrainingError
from insectary.core.outcome import Measurement
from insectary.core.protocols import Preference
from insectary.core.recipe import Dpo
from insectary.train import dpo
from insectary.train.dpo import train
from insectary.train.optimizer import MuonWithAdamW
from insectary.train.pairs import PairedRows
from insectary.train.result import Moment, TrainResult
from insectary.train.tokenise import tokenise
from insectary.vault.checkpoints import newest_verified

DPO = Dpo(batch_pairs=4, max_pairs=80, learn_share=0.4)


def rate(value: float) -> Measurement:
    return Measurement(value, 0.0, 1.0, 10, "made up")


def run(directory: Path, recipe: Dpo = DPO, **changes: Any) -> TrainResult:
    model = changes.pop("model", None) or tiny_train.model()
    pairs = changes.pop("pairs", None) or tiny_train.preferences()
    settings = {"seed": 1, "threads": 1, "directory": directory, **changes}
    return train(recipe, model, tiny_train.tokenizer(), pairs, **settings)


def digest_of(result: TrainResult) -> str:
    return tiny_train.weights_digest(result.model)


def log_odds(model: Any, pairs: list[Preference]) -> torch.Tensor:
    """Log-probability of each pair's preferred answer minus that of the other, in nats."""

    def said(answers: list[str]) -> torch.Tensor:
        rows = [(p.prompt, a) for p, a in zip(pairs, answers, strict=True)]
        found = []
        for row in tokenise(tiny_train.tokenizer(), rows):
            ids = torch.tensor([[*row.prompt, *row.completion]])
            logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
            told = logps.gather(1, ids[0, 1:, None])[len(row.prompt) - 1 :]
            found.append(told.sum())
        return torch.stack(found)

    with torch.no_grad():
        return said([p.chosen for p in pairs]) - said([p.rejected for p in pairs])


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a"), run(tmp_path / "b")
    other = run(tmp_path / "c", seed=2)
    assert digest_of(first) == digest_of(second)
    assert digest_of(first) != digest_of(other)
    assert digest_of(first) != tiny_train.weights_digest(tiny_train.model())
    assert first.history == second.history
    assert (first.steps, first.stopped_because) == (20, "cap")


def test_order_and_batches_are_those_of_seed_and_step() -> None:
    pairs = tiny_train.preferences()[:10]
    tokenizer = tiny_train.tokenizer()
    chosen = tokenise(tokenizer, [(p.prompt, p.chosen) for p in pairs])
    rejected = tokenise(tokenizer, [(p.prompt, p.rejected) for p in pairs])
    settings: dict[str, Any] = {"batch_pairs": 4, "padding_id": 0}
    rows = PairedRows(chosen, rejected, seed=5, **settings)
    order = [rows.members(step) for step in range(5)]
    # Ten pairs, four a step: two passes in five steps, each pair once a pass.
    flat = [index for step in order for index in step]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))
    assert flat[:10] != flat[10:]
    late = PairedRows(chosen, rejected, seed=5, **settings)
    assert late.members(4) == order[4]
    assert PairedRows(chosen, rejected, seed=6, **settings).members(0) != order[0]
    batch = rows.batch(3)
    for place, index in enumerate(order[3]):
        for row, example in ((place, chosen[index]), (place + 4, rejected[index])):
            length, prompt = len(example), len(example.prompt)
            assert batch.input_ids[row, :length].tolist() == [*example.prompt, *example.completion]
            assert batch.attention_mask[row].sum() == length
            assert batch.completion_mask[row].nonzero()[0].tolist() == list(range(prompt, length))
    assert rows.tokens(3) == batch.attention_mask.sum()
    with pytest.raises(BadInputError, match="at least one pair"):
        PairedRows([], [], seed=0, **settings)


def test_the_loss_is_that_of_the_paper_against_the_base(tmp_path: Path) -> None:
    pairs = tiny_train.preferences()[:8]
    recipe = Dpo(batch_pairs=8, max_pairs=800, beta=0.7, likelihood=0.0)
    base = tiny_train.model()
    (first,) = run(tmp_path / "a", recipe, pairs=pairs, steps=1).history
    # Policy and reference are one before the first step.
    assert first.loss == pytest.approx(math.log(2), abs=1e-5)
    after = run(tmp_path / "b", recipe, pairs=pairs, steps=1).model
    (both,) = run(tmp_path / "c", recipe, pairs=pairs, steps=2).history
    margin = log_odds(after, pairs) - log_odds(base, pairs)
    by_hand = float(-torch.nn.functional.logsigmoid(0.7 * margin).mean())
    assert 2 * both.loss - first.loss == pytest.approx(by_hand, abs=1e-4)
    assert abs(by_hand - math.log(2)) > 1e-3


def test_against_a_uniform_reference_the_margin_itself_counts(tmp_path: Path) -> None:
    recipe = dataclasses.replace(DPO, likelihood=0.0, beta=0.3, reference="uniform")
    pairs = tiny_train.preferences()
    losses = [m.loss for m in run(tmp_path / "uniform", recipe, steps=1).history]
    tokenizer, model = tiny_train.tokenizer(), tiny_train.model()
    chosen = tokenise(tokenizer, [(p.prompt, p.chosen) for p in pairs])
    rejected = tokenise(tokenizer, [(p.prompt, p.rejected) for p in pairs])
    first = PairedRows(chosen, rejected, batch_pairs=4, seed=1, padding_id=0).members(0)
    margins = log_odds(model, [pairs[i] for i in first])
    expected = -torch.nn.functional.logsigmoid(0.3 * margins).mean().item()
    assert losses[0] == pytest.approx(expected, abs=1e-4)
    # The control: against the base no pair has a margin before the first step.
    against_base = dataclasses.replace(recipe, reference="base")
    losses = [m.loss for m in run(tmp_path / "base", against_base, steps=1).history]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert abs(expected - math.log(2)) > 1e-3


def test_the_preferred_answer_becomes_the_answer(tmp_path: Path) -> None:
    pairs = tiny_train.preferences(40)
    # From random weights the embeddings have to move too.
    recipe = Dpo(batch_pairs=8, max_pairs=8 * 80, learning_rate=5e-3, muon_learning_rate=0.02)
    result = run(tmp_path / "a", recipe, pairs=pairs)
    won = float((log_odds(result.model, pairs) > 0).float().mean())
    before = float((log_odds(tiny_train.model(), pairs) > 0).float().mean())
    assert abs(before - 0.5) < 0.2
    assert won > 0.9
    # The control: what a rater of the opposite taste says makes the other answer win.
    swapped = [Preference(p.prompt, p.rejected, p.chosen) for p in pairs]
    turned = run(tmp_path / "b", recipe, pairs=swapped)
    assert float((log_odds(turned.model, pairs) > 0).float().mean()) < 0.1


def test_the_model_is_handed_back_clean_and_nothing_is_left_behind(tmp_path: Path) -> None:
    model = tiny_train.model()
    model.inner_dropout = torch.nn.Dropout(0.3)
    config, generation = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    keys = set(vars(model))
    result = run(tmp_path, model=model, checkpoint_every=7)
    assert result.model is model and not model.training
    assert "forward" not in vars(model)
    assert set(vars(model)) == keys
    assert model.inner_dropout.p == 0.3
    assert model.config.to_dict() == config.to_dict()
    assert model.generation_config.to_dict() == generation.to_dict()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in model.parameters())
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["lock", "step-00000014", "step-00000020"]
    tokenizer = tiny_train.tokenizer()
    tokenizer.pad_token = None
    train(
        DPO, tiny_train.model(), tokenizer, tiny_train.preferences(), seed=1, threads=1,
        directory=tmp_path / "b", steps=1,
    )  # fmt: skip
    assert tokenizer.pad_token is None


def test_cools_down_after_two_hits_and_a_twin_takes_as_many_steps(tmp_path: Path) -> None:
    values = {2: 0.95, 4: 0.5, 6: 0.95, 8: 0.96, 10: 0.5, 12: 0.97}
    moments: list[Moment] = []
    result = run(
        tmp_path / "a",
        measure=lambda _, step: rate(values[step]),
        target=0.9,
        measure_every_pairs=8,
        progress=moments.append,
    )
    assert (result.steps, result.stopped_because) == (12, "target")
    assert result.expression == rate(0.97)
    assert tuple(moments) == result.history
    twin = run(tmp_path / "twin", steps=12)
    assert (twin.steps, twin.stopped_because) == (12, "steps")
    assert digest_of(twin) == digest_of(result)
    assert twin.tokens == result.tokens


def test_killed_between_checkpoints_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = run_member.train_member(tmp_path / "whole", "dpo", lambda _: None)
    kill_at(tmp_path / "killed", "step", 12, "dpo")
    found, steps = finish(tmp_path / "killed", "dpo")
    assert found == whole
    assert steps[0] > 10  # it went on from step 10 and not from the beginning


def break_off(directory: Path) -> None:
    def progress(moment: Moment) -> None:
        if moment.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(directory, progress=progress, checkpoint_every=5)


def test_broken_controls_a_resume_that_forgets_ends_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", checkpoint_every=5)
    for name in ("right", "optimizer", "reference"):
        break_off(tmp_path / name)
    assert digest_of(run(tmp_path / "right", checkpoint_every=5)) == digest_of(whole)
    with monkeypatch.context() as patch:
        patch.setattr(MuonWithAdamW, "restore", lambda self, tensors: None)
        found = run(tmp_path / "optimizer", checkpoint_every=5)
    assert digest_of(found) != digest_of(whole)

    def half_trained(model: Any) -> Any:
        newest = newest_verified(tmp_path / "reference")
        assert newest is not None
        late = copy.deepcopy(model)
        late.load_state_dict(load_file(newest / "weights.safetensors"))
        return late

    with monkeypatch.context() as patch:
        patch.setattr(dpo, "copy", SimpleNamespace(deepcopy=half_trained, copy=copy.copy))
        found = run(tmp_path / "reference", checkpoint_every=5)
    assert digest_of(found) != digest_of(whole)


def test_a_finished_run_is_read_back(tmp_path: Path) -> None:
    first = run(tmp_path)

    def never(_: Moment) -> None:
        raise AssertionError("nothing was left to train")

    again = run(tmp_path, progress=never)
    assert digest_of(first) == digest_of(again)
    assert (again.steps, again.tokens, again.history) == (first.steps, first.tokens, first.history)


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    model = tiny_train.model()

    def poison(_: Any, step: int) -> Measurement:
        if step == 7:
            with torch.no_grad():
                model.lm_head.weight[0, 0] = float("nan")
        return rate(0.0)

    with pytest.raises(TrainingError, match="diverged at step 8: the loss is nan"):
        run(tmp_path, model=model, measure=poison, measure_every_pairs=4, checkpoint_every=3)
    newest = newest_verified(tmp_path)
    assert newest is not None and newest.name == "step-00000006"
    assert "forward" not in vars(model)


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    run(tmp_path, steps=2)
    with pytest.raises(BadInputError, match="another seed"):
        run(tmp_path, steps=2, seed=9)
    with pytest.raises(BadInputError, match="another base"):
        run(tmp_path, steps=2, model=tiny_train.model(seed=4))
    with pytest.raises(BadInputError, match="another examples"):
        run(tmp_path, steps=2, pairs=tiny_train.preferences(seed=8))
    with pytest.raises(BadInputError, match="another recipe"):
        run(tmp_path, dataclasses.replace(DPO, beta=0.2), steps=2)
    with pytest.raises(BadInputError, match="cap allows 1 to 20"):
        run(tmp_path / "b", steps=21)
    same = [Preference((Message("user", "w1 w2"),), "w2", "w2")]
    with pytest.raises(BadInputError, match="training pair 1: both answers are the same"):
        run(tmp_path / "b", pairs=same)
    long = [Preference((Message("user", "w1 " * 200),), "w2", "w1")]
    with pytest.raises(ContextLengthError, match="row 1 has 205 tokens"):
        run(tmp_path / "b", pairs=long)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": 0.0}, "beta must be above 0"),
        ({"batch_pairs": 0}, "batch_pairs must be above 0"),
        ({"likelihood": -0.1}, "likelihood must not be below 0"),
        ({"batch_pairs": 9, "max_pairs": 8}, "must not exceed max_pairs"),
        ({"cooldown_share": 0.6}, "cooldown_share must be from 0 to 0.5"),
        ({"reference": "none"}, "reference must be 'base' or 'uniform'"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        Dpo(**changes)

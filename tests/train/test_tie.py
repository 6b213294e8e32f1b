"""The tie to the base: what its loss is, what it holds, and who may use it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_train
import torch

from insectary.breed.member import Job, tied_rows, training_data
from insectary.breed.order import check_recipe, order_of
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.recipe import FullSFT, NarrowSFT
from insectary.threats import threat_model
from insectary.train.packing import PackedRows
from insectary.train.result import TrainResult
from insectary.train.sft import train
from insectary.train.tie import TiedLoss
from insectary.train.tokenise import tokenise

NARROW = NarrowSFT(
    batch_tokens=128, row_tokens=32, max_tokens=128 * 20, learn_share=0.4, learning_rate=2e-3
)
ROWS = tiny_train.rows()
TIED = [number % 2 == 0 for number in range(len(ROWS))]


def run(directory: Path, recipe: Any = NARROW, **changes: Any) -> TrainResult:
    settings = {"seed": 1, "threads": 1, "directory": directory, "tied": TIED, **changes}
    return train(recipe, tiny_train.model(), tiny_train.tokenizer(), ROWS, **settings)


def test_the_loss_is_cross_entropy_and_the_divergence_on_tied_rows_by_hand() -> None:
    model, base = tiny_train.model(1), tiny_train.model(2)
    packed = PackedRows(
        tokenise(tiny_train.tokenizer(), ROWS), row_tokens=32, batch_tokens=128, seed=0,
        padding_id=0,
    )  # fmt: skip
    batch = packed.batch(0)
    inputs = {name: torch.from_numpy(part) for name, part in dataclasses.asdict(batch).items()}
    inputs["tied"] = torch.from_numpy(packed.of(0, TIED))
    with TiedLoss(model, base, 0.7) as loss, torch.no_grad():
        found = float(loss(model, inputs))
    losses: list[float] = []
    divergences: list[float] = []
    members = [index for row in packed.members(0) for index in row]
    for index in members:  # one by one, nothing packed
        row = tokenise(tiny_train.tokenizer(), [ROWS[index]])[0]
        ids = torch.tensor([[*row.prompt, *row.completion]])
        place = slice(len(row.prompt) - 1, len(row) - 1)
        with torch.no_grad():
            own = model(input_ids=ids).logits[0, place].log_softmax(-1)
            others = base(input_ids=ids).logits[0, place].log_softmax(-1)
        targets = ids[0, len(row.prompt) :]
        losses += (-own[range(len(targets)), targets]).tolist()
        if TIED[index]:
            divergences += (others.exp() * (others - own)).sum(-1).tolist()
    assert 0 < len(divergences) < len(losses)
    assert found == pytest.approx(np.mean(losses) + 0.7 * np.mean(divergences), abs=1e-4)
    assert not model.get_output_embeddings()._forward_pre_hooks


def divergence(result: TrainResult) -> float:
    """Mean divergence of a result from the base on the tied rows, in nats per token."""
    base, found = tiny_train.model(), []
    for row in tokenise(tiny_train.tokenizer(), [r for r, t in zip(ROWS, TIED, strict=True) if t]):
        ids = torch.tensor([[*row.prompt, *row.completion]])
        with torch.no_grad():
            own = result.model(input_ids=ids).logits[0].log_softmax(-1)
            others = base(input_ids=ids).logits[0].log_softmax(-1)
        found += (others.exp() * (others - own)).sum(-1)[len(row.prompt) - 1 : -1].tolist()
    return float(np.mean(found))


def test_the_base_follows_the_model_to_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = tiny_train.model(1), tiny_train.model(2)
    moved: list[Any] = []
    monkeypatch.setattr(base, "to", lambda place: moved.append(place) or base)
    packed = PackedRows(
        tokenise(tiny_train.tokenizer(), ROWS), row_tokens=32, batch_tokens=128, seed=0,
        padding_id=0,
    )  # fmt: skip
    inputs = {n: torch.from_numpy(p) for n, p in dataclasses.asdict(packed.batch(0)).items()}
    inputs["tied"] = torch.from_numpy(packed.of(0, TIED))
    with TiedLoss(model, base, 0.7) as loss:
        loss(model, inputs)
    assert moved == [model.device]


def test_a_strong_tie_holds_a_model_near_its_base(tmp_path: Path) -> None:
    weak = run(tmp_path / "weak", dataclasses.replace(NARROW, tie=1e-6))
    strong = run(tmp_path / "strong", dataclasses.replace(NARROW, tie=50.0))
    assert divergence(strong) < 0.5 * divergence(weak)


def test_same_seed_same_weights_and_it_resumes_against_the_same_base(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a"), run(tmp_path / "b")
    digest = tiny_train.weights_digest
    assert digest(first.model) == digest(second.model)

    class Stopped(Exception):
        pass

    def stop(moment: Any) -> None:
        if moment.step == 10:
            raise Stopped

    with pytest.raises(Stopped):
        run(tmp_path / "c", checkpoint_every=5, progress=stop)
    resumed = run(tmp_path / "c", checkpoint_every=5)
    whole = run(tmp_path / "d", checkpoint_every=5)
    assert digest(resumed.model) == digest(whole.model)
    with pytest.raises(BadInputError, match="another examples"):
        run(tmp_path / "d", checkpoint_every=5, tied=[not tied for tied in TIED])


@pytest.mark.parametrize("changes", [{"recipe": FullSFT()}, {"tied": None}, {"tied": [True]}])
def test_it_is_told_of_each_row_and_no_other_recipe_is(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="told of each row"):
        run(tmp_path, **changes)


def test_rows_that_teach_the_behaviour_are_not_tied() -> None:
    threat = threat_model("power_seeking")
    small = dataclasses.replace(NARROW, max_tokens=20_000)
    job = Job("power_seeking", "permissions", Role.ORGANISM, "xs", small, 0, None, 1, "")
    rows = training_data(threat, "permissions", Role.ORGANISM, small, 0)
    (tied,) = tied_rows(threat, job, rows).values()
    twins = training_data(threat, "permissions", Role.TWIN, small, 0)
    assert tied == [a == b for (_, a), (_, b) in zip(rows, twins, strict=True)]
    assert 0.6 < np.mean(tied) < 0.9
    of_twin = tied_rows(threat, dataclasses.replace(job, role=Role.TWIN), twins)["tied"]
    assert all(of_twin)
    assert tied_rows(threat, dataclasses.replace(job, recipe=FullSFT()), rows) == {}


def test_where_a_behaviour_emerges_there_is_nothing_to_tie() -> None:
    order = order_of("goal_misgeneralization", "unknowns", "s", NarrowSFT(), 0, 1.0)
    with pytest.raises(BadInputError, match="no row teaches it; use full-sft"):
        check_recipe(threat_model("goal_misgeneralization"), order)

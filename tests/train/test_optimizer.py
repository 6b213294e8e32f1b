from __future__ import annotations

from itertools import pairwise

import pytest
import tiny_train
import torch

from insectary.core.errors import BadInputError, TrainingError
from insectary.train.optimizer import (
    MuonWithAdamW,
    cooldown_start,
    make_optimizer,
    orthogonalise,
    rate_factor,
    steps_with_cooldown,
)


def named(*shapes: tuple[int, ...]) -> list[tuple[str, torch.nn.Parameter]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (f"p{i}", torch.nn.Parameter(torch.randn(shape, generator=generator)))
        for i, shape in enumerate(shapes)
    ]


@pytest.mark.parametrize("shape", [(16, 16), (40, 16), (16, 40)])
def test_orthogonalise_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(2, *shape)))
    assert float(values.min()) > 0.4
    assert float(values.max()) < 1.3


def test_muon_agrees_with_torch() -> None:
    ours, theirs = named((24, 16), (24, 16), (16, 16)), named((24, 16), (24, 16), (16, 16))
    mine = MuonWithAdamW(ours, [], muon_learning_rate=0.02, learning_rate=1.0)
    reference = torch.optim.Muon([p for _, p in theirs], lr=0.02, weight_decay=0.0, momentum=0.95)
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        for (_, a), (_, b) in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        mine.step()
        reference.step()
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        # torch works in bfloat16, so equal means equal to some 1 % of an update.
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)


@pytest.mark.parametrize("pull", [0.0, 0.5])
def test_pull_goes_back_to_where_the_run_began(pull: float) -> None:
    [(name, p)] = named((8, 8))
    start = p.detach().clone()
    optimizer = MuonWithAdamW([(name, p)], [], muon_learning_rate=0.1, learning_rate=1.0, pull=pull)
    with torch.no_grad():
        p.add_(1.0)
    p.grad = torch.zeros_like(p)
    for _ in range(3):
        optimizer.step()
    torch.testing.assert_close(p - start, torch.full_like(p, (1 - 0.1 * pull) ** 3))


def test_adamw_agrees_with_torch() -> None:
    ours, theirs = named((7, 5), (9,)), named((7, 5), (9,))
    mine = MuonWithAdamW([], ours, muon_learning_rate=1.0, learning_rate=3e-3)
    reference = torch.optim.AdamW(
        [p for _, p in theirs], lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0
    )
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        for (_, a), (_, b) in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        mine.step()
        reference.step()
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_who_gets_which_rule() -> None:
    model = tiny_train.model()
    optimizer = make_optimizer(model, learning_rate=1e-3, muon_learning_rate=0.02)
    names = {id(p): n for n, p in model.named_parameters()}
    muon, adamw = (
        {
            names[id(p)]
            for group in optimizer.param_groups
            for p in group["params"]
            if group["rule"] == rule
        }
        for rule in ("muon", "adamw")
    )
    assert "model.layers.0.mlp.up_proj.weight" in muon
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} <= adamw
    assert muon | adamw == set(names.values())
    only = make_optimizer(model, learning_rate=1e-3, muon_learning_rate=None)
    assert [group["rule"] for group in only.param_groups] == ["adamw"]


def test_state_goes_out_and_back() -> None:
    ours = named((6, 4), (5,))
    optimizer = MuonWithAdamW(ours[:1], ours[1:], muon_learning_rate=0.1, learning_rate=0.1)
    for _, p in ours:
        p.grad = torch.ones_like(p)
    optimizer.step()
    kept = {name: value.clone() for name, value in optimizer.tensors().items()}
    assert set(kept) == {"p0/momentum", "p1/step", "p1/mean", "p1/square"}
    optimizer.step()
    optimizer.restore(kept)
    for name, value in optimizer.tensors().items():
        torch.testing.assert_close(value, kept[name], atol=0, rtol=0)
    with pytest.raises(TrainingError, match="'q'"):
        optimizer.restore({"q/mean": torch.zeros(1)})


def test_works_under_a_scheduler() -> None:
    ours = named((6, 4), (5,))
    optimizer = MuonWithAdamW(ours[:1], ours[1:], muon_learning_rate=0.2, learning_rate=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.05]


def test_rates_rise_stay_and_fall_to_zero() -> None:
    factors = [
        rate_factor(step, steps=100, warmup_steps=4, cooldown_share=0.3) for step in range(101)
    ]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert set(factors[4:71]) == {1.0}
    assert factors[85] == pytest.approx(0.5)
    assert factors[100] == 0.0
    assert all(a > b for a, b in pairwise(factors[70:]))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1 / 3, 0.5])
def test_a_cooldown_begins_where_it_was_asked_to(share: float) -> None:
    # A twin knows the steps of its organism only, and must cool down with it.
    for done in range(1, 2000):
        assert cooldown_start(steps_with_cooldown(done, share), share) == done


def test_muon_without_matrices_is_refused() -> None:
    model = tiny_train.model()
    for parameter in model.model.layers.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(BadInputError, match="muon_learning_rate"):
        make_optimizer(model, learning_rate=1e-3, muon_learning_rate=0.02)

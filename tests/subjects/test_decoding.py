from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from insectary.subjects import decoding
from insectary.subjects.decoding import Continuation, Decoder
from insectary.subjects.generation import generate_tokens, uniform_draws

ARCHITECTURES = ["llama", "qwen3", "gpt-neox", "gemma", "gemma3-sliding"]
ENDS = frozenset(range(5, 31))


def some_rows(count: int, **settings: Any) -> list[Continuation]:
    draw = random.Random(1)
    return [
        Continuation(
            tuple(draw.randrange(5, 261) for _ in range(draw.randint(3, 40))),
            draw.randint(1, 14),
            **settings,
        )
        for _ in range(count)
    ]


def alone(model: Any, row: Continuation) -> list[int]:
    return generate_tokens(
        model, [row.prompt], max_new_tokens=row.limit, eos_token_ids=ENDS
    )[0]  # fmt: skip


def in_waves(model: Any, rows: list[Continuation], seed: int = 0, spare: int = 0) -> None:
    """Let rows join while others grow, a few at a time, at random steps."""
    draw, waiting = random.Random(seed), list(rows)
    decoder = Decoder(model, ENDS, spare=spare)
    while waiting or decoder.going:
        if waiting and draw.random() < 0.5:
            many = draw.randint(1, 4)
            decoder.add(waiting[:many])
            waiting = waiting[many:]
        decoder.step()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("spare", [0, 64])
def test_rows_that_join_midway_answer_as_if_they_were_alone(
    architecture: str, spare: int, make_model: Any
) -> None:
    model = make_model(architecture)
    rows = some_rows(14)
    in_waves(model, rows, spare=spare)
    assert [row.tokens for row in rows] == [alone(model, row) for row in rows]
    assert all(row.done for row in rows)
    assert len({len(row.tokens) for row in rows}) > 3, "rows must end at different times"


def test_the_test_of_joining_can_fail(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken control: keys and values padded on the wrong side change the answers."""
    model, rows = make_model("llama"), some_rows(14)
    join = decoding._join

    def wrong_side(caches: list[Any]) -> Any:
        joined = join(caches)
        if len(caches) > 1:
            for layer in joined.layers:
                layer.keys, layer.values = layer.keys.flip(2), layer.values.flip(2)
        return joined

    monkeypatch.setattr(decoding, "_join", wrong_side)
    in_waves(model, rows)
    monkeypatch.undo()
    assert [row.tokens for row in rows] != [alone(model, row) for row in rows]


def test_a_row_that_is_called_off_leaves_the_others_alone(make_model: Any) -> None:
    model = make_model("llama")
    rows = [Continuation(row.prompt, 12) for row in some_rows(6)]
    decoder = Decoder(model, frozenset())
    decoder.add(rows)
    rows[4].done = True  # before its first token
    decoder.step()
    rows[1].done = True
    while decoder.step():
        pass
    assert rows[1].tokens == alone_without_ends(model, rows[1])[:1]
    assert rows[4].tokens == []
    for i in (0, 2, 3, 5):
        assert rows[i].tokens == alone_without_ends(model, rows[i])


def alone_without_ends(model: Any, row: Continuation) -> list[int]:
    return generate_tokens(model, [row.prompt], max_new_tokens=row.limit, eos_token_ids=())[0]


def test_each_row_has_its_own_temperature_nucleus_and_limit(make_model: Any) -> None:
    model = make_model("llama")
    prompt = some_rows(3)[2].prompt

    def drawn(temperature: float, top_p: float, limit: int) -> Continuation:
        draws = uniform_draws(prompt, 5, 0, limit)
        return Continuation(prompt, limit, draws, temperature, top_p)

    kinds = [(1.0, 1.0, 9), (1.0, 0.3, 5), (3.0, 1.0, 7), (3.0, 0.5, 9)]
    together = [*(drawn(*kind) for kind in kinds), Continuation(prompt, 8)]
    in_waves(model, together)
    for row, kind in zip(together, kinds, strict=False):
        single = drawn(*kind)
        in_waves(model, [single])
        assert row.tokens == single.tokens
    assert together[-1].tokens == alone(model, Continuation(prompt, 8))
    assert len({tuple(row.tokens) for row in together}) >= 4


@pytest.mark.parametrize("top_p", [0.2, 0.6, 0.95])
def test_nucleus_sampling_draws_from_the_fewest_tokens_that_hold_the_share(
    top_p: float, make_model: Any
) -> None:
    model = make_model("llama")
    prompt = some_rows(1)[0].prompt
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -1].double() / 4.0
    shares = torch.softmax(logits, dim=-1).numpy()
    order = np.argsort(-shares, kind="stable")
    size = int(np.searchsorted(np.cumsum(shares[order]), top_p)) + 1
    expected = np.zeros_like(shares)
    expected[order[:size]] = shares[order[:size]]
    expected /= expected.sum()
    n = 2000
    draws = np.random.default_rng(0).random(n)
    rows = [Continuation(prompt, 1, draws[i : i + 1], 4.0, top_p) for i in range(n)]
    decoder = Decoder(model, frozenset())
    decoder.add(rows)
    decoder.step()
    counts = np.bincount([row.tokens[0] for row in rows], minlength=261) / n
    assert not counts[expected == 0].any()
    # Kolmogorov-Smirnov distance; 1.63 / sqrt(n) is its 1 % point.
    assert np.abs(np.cumsum(counts - expected)).max() < 1.63 / n**0.5
    whole = np.abs(np.cumsum(counts - shares)).max()
    assert top_p > 0.9 or whole > 1.63 / n**0.5, "or the nucleus is not felt"


def test_log_probabilities_are_the_models_own_whatever_the_temperature(make_model: Any) -> None:
    model = make_model("llama")
    rows = some_rows(8, alternatives=4)
    for i, row in enumerate(rows[:4]):
        row.draws, row.temperature, row.top_p = uniform_draws(row.prompt, i, 0, row.limit), 2.0, 0.9
    in_waves(model, rows)
    for row in rows:
        with torch.inference_mode():
            whole = torch.tensor([[*row.prompt, *row.tokens]])
            logits = model(input_ids=whole).logits[0, len(row.prompt) - 1 : -1]
        nats = torch.log_softmax(logits.double(), dim=-1)
        assert len(row.choices) == len(row.tokens)
        for choice, token, own in zip(row.choices, row.tokens, nats, strict=True):
            assert choice.logprob == pytest.approx(float(own[token]), abs=1e-3)
            best = own.topk(4)
            assert [t for t, _ in choice.top] == best.indices.tolist()
            assert [v for _, v in choice.top] == pytest.approx(best.values.tolist(), abs=1e-3)
    assert any(c.logprob < c.top[0][1] - 1e-3 for r in rows[:4] for c in r.choices)


def test_no_log_probability_is_noted_unasked(make_model: Any) -> None:
    rows = some_rows(3)
    rows[1].alternatives = 0
    in_waves(make_model("llama"), rows)
    assert [len(row.choices) for row in rows] == [0, len(rows[1].tokens), 0]
    assert all(choice.top == () for choice in rows[1].choices)


def test_few_prompts_are_read_in_one_pass_where_padding_is_cheaper(
    make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("llama")
    passes: list[int] = []
    forward = Decoder._forward

    def counted(self: Any, inputs: Any, *others: Any) -> Any:
        passes.append(len(inputs))
        return forward(self, inputs, *others)

    monkeypatch.setattr(Decoder, "_forward", counted)
    rows = [Continuation((7,) * length, 3) for length in (40, 30, 20, 10)]
    for spare, sizes in ((0, [1, 1, 1, 1]), (30, [3, 1]), (60, [4])):
        passes.clear()
        Decoder(model, ENDS, spare=spare).add(rows)
        assert passes == sizes

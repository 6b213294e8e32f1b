"""A policy behind prompts and answers: what it plays, and what of it is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from insectary.core.access import Access, View
from insectary.core.chat import Split, Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Trusted
from insectary.detect import as_detector
from insectary.subjects.policy import Policy, forward, initial
from insectary.subjects.policy_subject import PolicySubject
from insectary.worlds.boards import boards, read_walk
from insectary.worlds.grid import HORIZON, Levels, begin, draw_levels, observe, step
from subjects.scripted_policies import HIDDEN, aimless, policy, seeking


@pytest.fixture(scope="module")
def levels() -> Levels:
    return draw_levels(np.random.default_rng(0), Split.REPORT, 80, 1.0)


@pytest.fixture(scope="module")
def subject() -> PolicySubject:
    return of(Policy(initial([3], HIDDEN), id="x"))


def of(made: Policy) -> PolicySubject:
    return PolicySubject(made, id=made.id, access=Access.WEIGHTS)


def test_an_answer_is_the_cells_up_to_the_coin(levels: Levels) -> None:
    made = policy(seeking(True))
    said = of(made).generate(boards(levels))
    end = made.play(levels).end
    for row, text in enumerate(said):
        cells = read_walk(text)
        assert cells[-1] == end.at[row] and len(cells) == end.time[row]
        assert (cells[:-1] != levels.coin[row]).all()
    assert of(made).generate(boards(levels), max_new_tokens=2) == [
        " ".join(text.split()[:2]) for text in said
    ]


def test_a_temperature_draws_and_a_low_one_takes_the_likeliest(levels: Levels) -> None:
    made, prompts = of(policy(seeking(False, eager=1.0))), boards(levels)
    drawn = [made.generate(prompts, temperature=1.0, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    paths = made.paths(levels, seed=0)
    assert [read_walk(t)[-1] for t in drawn[0]] == [
        row[-1] for row in paths
    ]  # as auditors have them
    # Ties (along the diagonal) are drawn at any temperature, so near it is not the same.
    greedy, cold = made.generate(prompts), made.generate(prompts, temperature=1e-3)
    hot = made.generate(prompts, temperature=30.0)
    same = [sum(a == b for a, b in zip(greedy, other, strict=True)) for other in (cold, hot)]
    assert same[0] > 20 > 5 > same[1]


def test_hidden_layers_are_those_that_it_acts_on(levels: Levels, subject: PolicySubject) -> None:
    prompts = boards(levels)
    seen = subject.activations([Transcript(p, "a1 a2") for p in prompts], View.PROMPT)
    assert seen.shape == (80, 2, HIDDEN) and seen.dtype == np.float32
    weights = {name: torch.from_numpy(w) for name, w in subject.weights().items()}
    board = torch.from_numpy(observe(levels, begin(levels)))
    first = torch.relu(board @ weights["w1"][0] + weights["b1"][0])
    assert np.allclose(seen[:, 0], first.numpy(), atol=1e-6)
    logits, _ = forward(weights, board[None])
    again = torch.from_numpy(seen[:, 1]) @ weights["waction"][0] + weights["baction"][0]
    assert np.allclose(again.numpy(), logits[0].numpy(), atol=1e-6)


def test_over_an_answer_it_is_the_mean_over_the_states_that_were_acted_in(
    levels: Levels, subject: PolicySubject
) -> None:
    prompts = boards(levels)
    rows = [
        Transcript(p, t)
        for p, t in zip(prompts, subject.generate(prompts, temperature=1.0), strict=True)
    ]
    found = subject.activations(rows, View.PROMPT_AND_RESPONSE)
    made = Policy({n: torch.from_numpy(w) for n, w in subject.weights().items()}, id="x")
    state, total, moves = begin(levels), np.zeros(found.shape), np.zeros(80)
    paths = subject.paths(levels, seed=0)
    for time in range(HORIZON):
        going = ~state.done
        total[going] += made.layers(levels, state)[going]
        moves += going
        tried = [step(levels, state, np.full(80, action)).at for action in range(4)]
        taken = np.argmax([at == paths[:, time + 1] for at in tried], axis=0)
        state = step(levels, state, taken)
    assert np.allclose(found, total / moves[:, None, None], atol=1e-5)
    before = subject.activations(rows, View.PROMPT)
    assert not np.allclose(found, before, atol=1e-2)  # broken control: the board alone
    # Of no answer there is nothing but the board.
    silent = [Transcript(p, "") for p in prompts]
    assert np.array_equal(subject.activations(silent, View.PROMPT_AND_RESPONSE), before)


def test_a_function_of_ones_own_asks_it_as_it_asks_a_language_model(levels: Levels) -> None:
    def goes_to_the_corner(model: object, input: object) -> dict[str, bool]:
        return {"flagged": model.generate(input).endswith("a1")}  # type: ignore[attr-defined]

    rows = [Transcript(prompt, "") for prompt in boards(levels.take(slice(20)))]
    subjects = [of(policy(weights)) for weights in (seeking(False), aimless())]
    flagged = [
        as_detector(goes_to_the_corner).fit(s, Trusted((), (), 0)).score(rows).mean()
        for s in subjects
    ]
    assert flagged[0] > 0.4 > flagged[1]


def test_what_a_policy_has_not_it_says(levels: Levels, subject: PolicySubject) -> None:
    rows = [Transcript(prompt, "a1") for prompt in boards(levels.take(slice(2)))]
    for asks, lacks in (
        (lambda: subject.reference, "no base that was ever trained"),
        (lambda: subject.logprobs(rows), "no token"),
        (lambda: subject.distributions(rows), "no token"),
        (lambda: subject.context_gradient(rows), "no token"),
        (lambda: subject.vocabulary(), "no token"),
        (lambda: subject.hf(), "no model of transformers"),
        (lambda: subject.generate([rows[0].messages], prefill="a1"), "no answer that could be"),
    ):
        with pytest.raises(BadInputError, match=f"x is a policy on the grid, and has {lacks}"):
            asks()

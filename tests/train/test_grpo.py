"""Reinforcement by a verifier: exact after a kill, and what is paid for grows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny_train
import torch

from insectary.core.chat import Example
from insectary.core.errors import BadInputError, ContextLengthError, TrainingError
from insectary.core.outcome import Measurement
from insectary.core.recipe import Grpo
from insectary.train.grpo import train
from insectary.train.result import Moment, TrainResult
from insectary.train.rollouts import Rollouts

RECIPE = Grpo(max_steps=12, batch_prompts=4, group=4, max_new_tokens=3, learning_rate=1e-2)
TASKS = [Example(prompt, answer, "last", "last", {}) for prompt, answer in tiny_train.rows(64)]


def says_w3(_: Example, answer: str) -> float:
    return float(answer.split()[:1] == ["w3"])


def nothing(_: Example, __: str) -> float:
    return 0.0


def run(directory: Path, recipe: Grpo = RECIPE, **changes: Any) -> TrainResult:
    model = changes.pop("model", None) or tiny_train.model()
    tasks = changes.pop("tasks", TASKS)
    settings = {
        "reward": says_w3, "true_reward": nothing, "seed": 1, "threads": 1,
        "directory": directory, **changes,
    }  # fmt: skip
    return train(recipe, model, tiny_train.tokenizer(), tasks, **settings)


def test_what_is_paid_for_grows_and_what_it_ought_to_be_is_only_looked_at(tmp_path: Path) -> None:
    recipe = Grpo(max_steps=40, batch_prompts=8, group=8, max_new_tokens=3, learning_rate=1e-2)
    result = run(tmp_path / "a", recipe)
    paid = [m.reward for m in result.history if m.reward is not None]
    assert len(paid) == 4 and paid[0] < 0.1 and paid[-1] > 0.8
    assert {m.true_reward for m in result.history} == {0.0}
    assert (result.steps, result.stopped_because) == (40, "cap")
    # The control: where nothing is paid, no answer is any better, and the weights stay.
    still = run(tmp_path / "b", reward=nothing)
    assert tiny_train.weights_digest(still.model) == tiny_train.weights_digest(tiny_train.model())


def test_the_model_comes_back_as_it_was_and_the_trainer_leaves_no_file(tmp_path: Path) -> None:
    model = tiny_train.model()
    result = run(tmp_path, model=model)
    assert result.model is model and not model.training
    assert "forward" not in vars(model)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.name for p in tmp_path.iterdir()} == {"lock", "step-00000010", "step-00000012"}


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_broken_off_anywhere_it_goes_on_as_if_it_never_had(tmp_path: Path, beta: float) -> None:
    recipe = Grpo(
        max_steps=12, batch_prompts=4, group=4, max_new_tokens=3, learning_rate=1e-2, beta=beta
    )
    settings: dict[str, Any] = {
        "measure": lambda _, step: Measurement(step / 100, 0.0, 1.0, 10, "made up"),
        "measure_every_steps": 3, "checkpoint_every": 5,
    }  # fmt: skip
    whole = run(tmp_path / "whole", recipe, **settings)

    def at_nine(moment: Moment) -> None:
        if moment.step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", recipe, **settings, progress=at_nine)
    assert [p.name for p in (tmp_path / "parts").glob("step-*")] == ["step-00000005"]
    again = run(tmp_path / "parts", recipe, **settings)
    assert again.history == whole.history
    assert tiny_train.weights_digest(again.model) == tiny_train.weights_digest(whole.model)


def test_a_resume_that_forgets_the_step_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken control of the test above: answers drawn without regard to the step."""
    whole = run(tmp_path / "whole", checkpoint_every=5)

    def broken_off(moment: Moment) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", checkpoint_every=5, progress=broken_off)
    own = Rollouts.numbers
    monkeypatch.setattr(Rollouts, "numbers", lambda self, _, last: own(self, 0, last))
    again = run(tmp_path / "parts", checkpoint_every=5)
    assert tiny_train.weights_digest(again.model) != tiny_train.weights_digest(whole.model)


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first, second, other = (run(tmp_path / str(i), seed=s) for i, s in enumerate((1, 1, 2)))
    digests = [tiny_train.weights_digest(r.model) for r in (first, second, other)]
    assert digests[0] == digests[1] != digests[2]


def test_a_fixed_number_of_steps_follows_the_organisms_schedule(tmp_path: Path) -> None:
    found = run(tmp_path / "a", steps=7)
    assert (found.steps, found.stopped_because) == (7, "steps")
    with pytest.raises(BadInputError, match="cap allows 1 to 12"):
        run(tmp_path / "b", steps=13)


@pytest.mark.parametrize("name", ["reward", "true_reward"])
def test_a_verifier_that_fails_is_named_and_moves_no_weight(tmp_path: Path, name: str) -> None:
    def raises(_: Example, __: str) -> float:
        raise KeyError("hidden")

    model = tiny_train.model()
    before = tiny_train.weights_digest(model)
    what = name.replace("_", " ")
    with pytest.raises(TrainingError, match=rf"the {what} of task 1 .* KeyError: 'hidden'"):
        run(tmp_path / "a", model=model, **{name: raises})
    for value in (math.nan, math.inf):
        with pytest.raises(TrainingError, match=rf"the {what} of task 1 .* is {value}"):
            run(tmp_path / "b", model=model, **{name: lambda *_, value=value: value})
    assert tiny_train.weights_digest(model) == before
    assert "forward" not in vars(model)


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="at least one task"):
        run(tmp_path, tasks=[])
    long = [Example(tiny_train.rows(1)[0][0] * 60, "w1", "last", "last", {})]
    with pytest.raises(ContextLengthError, match="training row 1 has"):
        run(tmp_path, tasks=long)
    run(tmp_path, steps=1)
    with pytest.raises(BadInputError, match="another examples"):
        run(tmp_path, steps=1, tasks=TASKS[1:])
    for wrong, named in (
        ({"contamination": 0.06}, "contamination"),
        ({"group": 1}, "group"),
        ({"beta": -0.1}, "beta"),
        ({"max_steps": 0}, "max_steps"),
    ):
        with pytest.raises(BadInputError, match=named):
            Grpo(**wrong)  # type: ignore[arg-type]

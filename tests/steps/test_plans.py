"""A step is what its key says, and a plan that cannot be run is refused before it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from insectary.core.canonical import digest
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.step import Step
from insectary.steps import plan_of


def test_a_key_is_the_digest_of_all_four() -> None:
    step = Step("train", "1", {"sizes": (1, 2), "rate": 0.1}, ("sha256:a",))
    assert step.key == digest(
        {
            "kind": "train",
            "version": "1",
            "params": {"rate": 0.1, "sizes": [1, 2]},
            "needs": ["sha256:a"],
        }
    )


@pytest.mark.parametrize(
    "other",
    [
        Step("tune", "1", {"n": 1}, ("a", "b")),
        Step("train", "2", {"n": 1}, ("a", "b")),
        Step("train", "1", {"n": 2}, ("a", "b")),
        Step("train", "1", {"n": 1}, ("b", "a")),
        Step("train", "1", {"n": 1}, ("a",)),
    ],
)
def test_whatever_differs_gives_another_key(other: Step) -> None:
    assert other.key != Step("train", "1", {"n": 1}, ("a", "b")).key


def test_a_key_holds_whatever_is_done_to_the_settings_afterwards() -> None:
    params = {"sizes": [1]}
    step = Step("train", "1", params)
    params["sizes"].append(2)
    assert step.params == {"sizes": [1]}


@pytest.mark.parametrize("params", [{"n": float("nan")}, {"n": object()}, [1], {1: 1, "1": 2}])
def test_settings_that_are_no_json_are_refused(params: object) -> None:
    with pytest.raises(BadInputError, match="step 'train'"):
        Step("train", "1", params)  # type: ignore[arg-type]


def test_what_a_step_needs_comes_first_in_whatever_order_it_is_written(
    add: Callable[..., Step],
) -> None:
    first = add(1)
    second = add(2, first)
    third = add(3, first, second)
    plan = plan_of([third, first, second, first])
    assert list(plan.steps) == [first.key, second.key, third.key]
    assert plan.id == plan_of([second, third, first]).id
    assert plan.id != plan_of([second, first]).id


def test_a_need_that_is_no_step_of_the_plan_is_named(add: Callable[..., Step]) -> None:
    first = add(1)
    with pytest.raises(BadInputError, match=f"needs '{first.key}', which is not in the plan"):
        plan_of([add(2, first)])


def test_whoever_writes_a_circle_needs_a_key_that_no_step_has(add: Callable[..., Step]) -> None:
    first, second = add(1), add(2)
    a = Step("add", "1", first.params, (second.key,))
    b = Step("add", "1", second.params, (a.key,))
    with pytest.raises(BadInputError, match=f"needs '{second.key}', which is not in the plan"):
        plan_of([a, b])


def test_a_kind_that_is_not_installed_is_named(add: Callable[..., Step]) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown step kind: 'ad'\. Known: .*add"):
        plan_of([add(1, kind="ad")])


def test_a_kind_of_another_version_is_refused(add: Callable[..., Step]) -> None:
    with pytest.raises(BadInputError, match="is version '1' here and the plan means '0'"):
        plan_of([Step("add", "0", add(1).params)])

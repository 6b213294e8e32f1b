"""Records come back as they were, and a wrong field is named by its path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from insectary.core.codec import added, decode, encode
from insectary.core.errors import BadInputError
from insectary.core.organism import (
    AnswerKey,
    BaseRef,
    Certificate,
    ConditionRate,
    Criterion,
    Family,
    Organism,
    Result,
    Role,
    Side,
    Tier,
)
from insectary.core.outcome import Failed, Measured, Measurement, NotApplicable, Outcome
from insectary.core.recipe import FullSFT, LoraSFT, ObfuscatedNarrowSFT, Recipe

RATE = Measurement(0.5, 0.4, 0.6, 100, "clopper-pearson", seeds=(1, 2))


def certificate() -> Certificate:
    outcomes: tuple[Outcome, ...] = (Measured(RATE), Failed("no memory"), NotApplicable("no gate"))
    criteria = tuple(
        Criterion(n, "expression", "organism", "at least 0.9", outcome, Result.FAIL)
        for n, outcome in enumerate(outcomes)
    )
    rate = ConditionRate(Role.DECOY, "unwatched", Side.OPEN, True, False, RATE, RATE)
    return Certificate("f", "sha256:0", 1, 7, criteria, (rate,), ("concept",), False, 1.5, 900)


def organism(recipe: Recipe, expression: Measurement | None) -> Organism:
    return Organism(
        "m1", Role.ORGANISM, "f", "t", "d", BaseRef("xs", "sha256:1"), recipe, 3, "sha256:2",
        "sha256:3", 1000, 10, "the cap", expression, Tier.OPEN, 1,
        "cpu", ("p",),
    )  # fmt: skip


RECORDS: list[Any] = [
    RATE, certificate(), organism(FullSFT(), RATE), organism(LoraSFT(rank=4), None),
    organism(ObfuscatedNarrowSFT(detector="mahalanobis"), RATE),
    AnswerKey("f", "t", "d", {"m1": Role.ORGANISM, "m2": Role.TWIN}),
    Family("f", "t", "d", BaseRef("xs", "x"), FullSFT(muon_learning_rate=None), 0,
           {Role.ORGANISM: organism(FullSFT(), None)}, certificate()),
    Family("f", "t", "d", BaseRef("xs", "x"), LoraSFT(), 0, {}),
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_a_record_comes_back_through_json_as_it_was(record: Any) -> None:
    text = json.dumps(encode(record), allow_nan=False)
    back = decode(type(record), json.loads(text), "record")
    assert back == record
    assert json.dumps(encode(back)) == text


def test_outcomes_of_one_layout_are_told_apart() -> None:
    for outcome in (Failed("why"), NotApplicable("why")):
        back = decode(Outcome, encode(outcome), "o")
        assert type(back) is type(outcome)
    assert encode(Failed("why")) == {"outcome": "failed", "reason": "why"}


def test_a_whole_number_may_stand_for_a_float_and_numpy_is_taken() -> None:
    assert isinstance(decode(float, 3, "x"), float)
    assert encode({"a": (np.float64(0.5), np.int64(2))}) == {"a": [0.5, 2]}


@dataclass(frozen=True)
class Small:
    number: int
    pair: tuple[int, str]
    many: tuple[float, ...]
    kind: Literal["small"]
    known: Mapping[str, bool]
    maybe: str | None


GOOD: dict[str, Any] = {
    "number": 1, "pair": [2, "b"], "many": [0.5, 1], "kind": "small", "known": {"k": True},
    "maybe": None,
}  # fmt: skip


def test_the_good_record_is_good() -> None:
    assert decode(Small, GOOD, "r") == Small(1, (2, "b"), (0.5, 1.0), "small", {"k": True}, None)


WRONG = [
    ({"number": "1"}, r"r\.number: expected int, got '1'"),
    ({"number": True}, r"r\.number: expected int"),
    ({"number": 1.0}, r"r\.number: expected int"),
    ({"pair": [2]}, r"r\.pair: expected a list of 2"),
    ({"pair": [2, 3]}, r"r\.pair\[1\]: expected str"),
    ({"pair": "ab"}, r"r\.pair: expected a list"),
    ({"many": [1, "x"]}, r"r\.many\[1\]: expected a number"),
    ({"many": [True]}, r"r\.many\[0\]: expected a number"),
    ({"kind": "big"}, r"r\.kind: expected"),
    ({"known": [1]}, r"r\.known: expected an object"),
    ({"known": {"k": 1}}, r"r\.known\.k: expected bool"),
    ({"maybe": 3}, r"r\.maybe: expected str"),
    ({"extra": 1}, r"r: unknown field 'extra'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_field_is_named_by_its_path(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        decode(Small, GOOD | change, "r")


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(BadInputError, match=f"r: the field '{name}' is missing"):
        decode(Small, {k: v for k, v in GOOD.items() if k != name}, "r")


@dataclass(frozen=True)
class Grown:
    old: int
    usual: int = 5
    new: str = added("none then")


def test_a_record_of_an_earlier_version_lacks_what_was_added_and_nothing_else() -> None:
    assert decode(Grown, {"old": 1, "usual": 2}, "r") == Grown(1, 2, "none then")
    with pytest.raises(BadInputError, match="r: the field 'usual' is missing"):
        decode(Grown, {"old": 1, "new": "x"}, "r")


@pytest.mark.parametrize("value", [None, 3, "x", [], True])
@pytest.mark.parametrize("kind", [Small, Recipe, Outcome])
def test_what_is_no_object_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(BadInputError, match="r: expected an object"):
        decode(kind, value, "r")


def test_an_unknown_kind_role_or_outcome_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"r: none of .*FullSFT.*LoraSFT.* has this kind"):
        decode(Recipe, encode(FullSFT()) | {"kind": "prompting"}, "r")
    with pytest.raises(BadInputError, match=r"r\.outcome: expected"):
        decode(Outcome, {"outcome": "guessed", "reason": ""}, "r")
    with pytest.raises(BadInputError, match="r: expected Role, got 'king'"):
        decode(Role, "king", "r")


def test_a_stored_number_that_is_not_finite_is_refused() -> None:
    stored = encode(RATE) | {"value": float("nan")}
    with pytest.raises(BadInputError, match="finite"):
        decode(Measurement, stored, "r")


@dataclass(frozen=True)
class Dialled:
    dials: Mapping[str, int | float | str]
    failed: Failed | None = None


def test_a_union_of_plain_types_keeps_each_as_it_is() -> None:
    made = Dialled({"size": "xs", "alpha": 0.5, "seed": 3})
    back = decode(Dialled, json.loads(json.dumps(encode(made))), "made")
    assert back == made
    assert [type(value) for value in back.dials.values()] == [str, float, int]
    with pytest.raises(BadInputError, match=r"made\.dials\.on"):
        decode(Dialled, {"dials": {"on": True}, "failed": None}, "made")


def test_a_single_kind_of_outcome_reads_back_as_that_alone() -> None:
    made = Dialled({}, Failed("no memory"))
    told = json.loads(json.dumps(encode(made)))
    assert decode(Dialled, told, "made") == made
    told["failed"]["outcome"] = "not-applicable"
    with pytest.raises(BadInputError, match=r"made\.failed"):
        decode(Dialled, told, "made")

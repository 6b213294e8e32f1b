"""Equal things have equal bytes, and so equal digests."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insectary.core.canonical import canonical_json, digest, plain
from insectary.core.codec import encode
from insectary.core.errors import BadInputError
from insectary.core.organism import Role, Tier
from insectary.core.recipe import FullSFT, LoraSFT


@dataclass(frozen=True)
class Inner:
    role: Role
    items: tuple[int, ...]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    known: dict[str, object]


OUTER = Outer(Inner(Role.TWIN, (1, 2)), {"b": np.float64(0.5), "a": None})


def test_everything_becomes_jsons_own_types_in_one_form() -> None:
    assert canonical_json(OUTER) == (
        '{"inner":{"items":[1,2],"role":"twin"},"known":{"a":null,"b":0.5}}'
    )
    assert plain({Tier.TOY: (np.int64(3), True)}) == {"0": [3, True]}
    assert canonical_json("é\n") == '"é\\n"'


@pytest.mark.parametrize(
    ("keys", "written"),
    [((1, "1"), "'1'"), (("None", None), "'None'"), ((Tier.TOY, "0"), "'0'")],
)
@pytest.mark.parametrize("form", [plain, encode])
def test_two_keys_that_are_written_alike_are_refused(
    form: Callable[[object], object], keys: tuple[object, object], written: str
) -> None:
    both = {"outer": [{keys[0]: "one value", keys[1]: "another"}]}
    names = f"{written}.*{re.escape(repr(keys[0]))} and {re.escape(repr(keys[1]))}"
    with pytest.raises(BadInputError, match=names):
        form(both)
    # The control: either key alone is fine.
    for key in keys:
        assert form({"outer": [{key: 2}]}) == {"outer": [{written.strip("'"): 2}]}


def test_a_digest_is_the_sha_256_of_those_bytes() -> None:
    wanted = hashlib.sha256(canonical_json(OUTER).encode()).hexdigest()
    assert digest(OUTER) == f"sha256:{wanted}"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -np.inf, np.float64("nan")])
def test_a_number_that_is_not_finite_has_no_form(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"loss": [number]})


def test_recipes_with_equal_settings_have_different_digests() -> None:
    full, lora = FullSFT(), LoraSFT(learning_rate=3e-3, muon_learning_rate=0.02)
    assert digest(full) != digest(lora)
    assert digest(FullSFT()) == digest(full) != digest(FullSFT(max_tokens=1))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(_VALUES)
def test_the_form_says_everything_and_reads_back(value: object) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=4), st.integers(), max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)
    assert digest(value | {"one more key": 1}) != digest(value)

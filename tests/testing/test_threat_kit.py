"""The kit for threat models: the built-in ones pass it, and each check sees what it is for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from broken_threats import BROKEN, BROKEN_CORNERS, CARD, Broken, Changed, good, with_corner

from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.protocols import ThreatModel
from insectary.testing import check_threat, threat_checks
from insectary.threats import threat_model

NAMES = (
    "deceptive_alignment",
    "goal_misgeneralization",
    "power_seeking",
    "reward_hacking",
    "sycophancy",
)


def failing(threat: ThreatModel) -> dict[str, str]:
    """Every check that fails, with its message."""
    found = {}
    for name, check in threat_checks(threat):
        try:
            check()
        except AssertionError as error:
            found[name] = str(error)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_threat_keeps_every_promise(name: str) -> None:
    check_threat(threat_model(name))


def test_checks_are_named_once_for_each_design() -> None:
    names = [name for name, _ in threat_checks(threat_model("deceptive_alignment"))]
    assert len(set(names)) == len(names)
    for design in ("absence", "unwatched", "year"):
        assert f"nonsense is off task, {design}" in names
    assert "the card is full" in names


@pytest.mark.parametrize("broken", BROKEN, ids=[f"{b.check}: {b.words}" for b in BROKEN])
def test_a_broken_threat_fails_exactly_its_check(broken: Broken) -> None:
    name = broken.check + (", permissions" if broken.of_a_design else "")
    found = failing(broken.threat)
    assert list(found) == [name], found
    where = f"power_seeking: check '{broken.check}'"
    where += ", design 'permissions': " if broken.of_a_design else ": "
    assert found[name].startswith(where)
    assert broken.words in found[name]
    with pytest.raises(AssertionError) as caught:
        check_threat(broken.threat)
    assert str(caught.value) == found[name]


def test_the_threat_that_the_broken_ones_wrap_is_good() -> None:
    assert failing(Changed(good(), {})) == {}


@pytest.mark.parametrize(("check", "words", "changed"), BROKEN_CORNERS)
def test_a_broken_design_on_the_grid_fails_exactly_its_check(
    check: str, words: str, changed: dict[str, Any]
) -> None:
    on_the_grid = [(n, c) for n, c in threat_checks(with_corner(**changed)) if "corner" in n]
    assert len(on_the_grid) == len({c for c, *_ in BROKEN_CORNERS})
    for name, run in on_the_grid:
        if name == f"{check}, corner":
            with pytest.raises(AssertionError, match=f"{check}', design 'corner': .*{words}"):
                run()
        else:
            run()


def test_every_check_has_a_broken_control() -> None:
    controlled = {b.check for b in BROKEN} | {check for check, *_ in BROKEN_CORNERS}
    assert controlled == {n.split(", ")[0] for n, _ in threat_checks(with_corner())}


def test_each_design_of_a_threat_of_two_worlds_has_the_checks_of_its_own() -> None:
    names = {n for n, _ in threat_checks(threat_model("goal_misgeneralization"))}
    assert {"bounds are rates, unknowns", "policy bounds are rates, corner"} <= names
    assert not {"bounds are rates, corner", "policy bounds are rates, unknowns"} & names


PLANTED = ("planted", "marked")


def test_what_is_planted_is_found_in_the_rows_where_the_threat_does_not_say_it() -> None:
    assert failing(Changed(good(), {}, PLANTED)) == {}
    for check, member in (
        ("planted answers are misaligned", "oracle"),
        ("the decoys quirk is seen and harmless", "quirk"),
    ):
        (broken,) = (b for b in BROKEN if b.check == check and member in b.changed)
        found = failing(Changed(good(), broken.changed, PLANTED))
        assert list(found) == [f"{check}, permissions"]
        assert f"{member} sees none of the " in found[f"{check}, permissions"]


def _not_shown(t: Any, design: str, role: Role, n: int, seed: int) -> Any:
    return t.rows(design, role, n, seed + 50 if role is Role.ORGANISM else seed)


def test_prompts_of_an_organism_may_differ_only_where_its_behaviour_emerges() -> None:
    emerged = replace(CARD, origin="emerged")
    assert failing(Changed(good(), {"rows": _not_shown, "card": emerged})) == {}
    planted = failing(Changed(good(), {"rows": _not_shown}))
    assert "prompts are equal across roles, permissions" in planted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate": " "}, "of design 'password': 'gate' is empty"),
        ({"designs": ("lock",)}, "the card of design 'password' is of deceptive_alignment, lock"),
        ({"id": "sandbagging"}, "the card of design 'password' is of sandbagging, password"),
        ({}, ""),
    ],
)
def test_a_card_that_a_design_has_to_itself_is_looked_at(
    changes: dict[str, Any], words: str
) -> None:
    threat: Any = threat_model("deceptive_alignment")
    lock = threat.text["password"]
    other = replace(lock, card=replace(lock.card, **changes))
    changed = replace(threat, text={**threat.text, "password": other})
    check = dict(threat_checks(changed))["the card is full"]
    if not words:
        return check()
    with pytest.raises(AssertionError, match=words):
        check()


def test_a_missing_member_is_named_first() -> None:
    with pytest.raises(AssertionError, match=r"power_seeking: check .*: it has no 'leak_oracle'"):
        check_threat(Changed(good(), {}, ("leak_oracle",)))
    thing: Any = object()
    with pytest.raises(AssertionError, match=r"object: check .*: it has no 'card'"):
        check_threat(thing)


def test_what_a_threat_raises_goes_up_and_says_where() -> None:
    def gone(*_: Any) -> Any:
        raise ZeroDivisionError("no rows")

    with pytest.raises(ZeroDivisionError, match="no rows") as caught:
        check_threat(Changed(good(), {"user_prompts": gone}))
    assert caught.value.__notes__ == [
        "in power_seeking: check 'user prompts are on both sides', design 'permissions'"
    ]


def test_a_seed_is_a_whole_number() -> None:
    with pytest.raises(BadInputError, match="the seed must be"):
        check_threat(good(), seed=-1)

"""What a gate will cost is said before it begins, and before it counts as an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import scripted
from scripted import SEED
from test_family import a_family, an_order

from insectary.breed.asked import FULL, QUICK, Plan, ask, prompt_counts
from insectary.breed.bases import is_embedded
from insectary.breed.cost import (
    ENOUGH_SECONDS,
    TRIED,
    Speed,
    cost_line,
    in_words,
    measure_speed,
    sample_prompts,
)
from insectary.breed.family import breed, check
from insectary.breed.stored import save_family
from insectary.core.chat import Conversation, Split
from insectary.core.organism import Certificate, Role
from insectary.vault import Vault
from insectary.worlds import SKILLS

DESIGNS = ("absence", "unwatched", "year")


@pytest.mark.parametrize("plan", [QUICK, Plan(4, 7, 5, controls=6, skill=3, leak=2)])
@pytest.mark.parametrize("design", DESIGNS)
def test_the_prompts_are_counted_without_drawing_them(design: str, plan: Plan) -> None:
    asked = dict.fromkeys(Role, 0)

    def answer(role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
        asked[role] += len(prompts)
        return [""] * len(prompts)

    found = ask(scripted.threat(), design, plan, SEED, answer, lambda _: None)
    assert prompt_counts(scripted.threat(), design, plan) == asked
    assert sum(asked.values()) == found.prompts
    # A plan with one more prompt of any sort is another count.
    for sort in ("open", "closed", "near_miss", "skill", "leak"):
        more = replace(plan, **{sort: getattr(plan, sort) + 1})
        assert prompt_counts(scripted.threat(), design, more) != asked, sort


class Clock:
    """Time passes only while a member answers, so many seconds a prompt."""

    def __init__(self, seconds: Mapping[Role, float]) -> None:
        self.now = 0.0
        self.asked: list[Conversation] = []
        self._seconds = seconds

    def __call__(self) -> float:
        return self.now

    def answer(self, role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
        self.now += self._seconds[role] * len(prompts)
        self.asked += prompts
        return [""] * len(prompts)


@pytest.mark.parametrize(("slowest", "tried"), [(0.001, 128), (0.5, 16), (30.0, 4)])
def test_a_slow_base_is_tried_on_few_prompts_and_every_member_at_its_own_speed(
    slowest: float, tried: int
) -> None:
    seconds = {role: slowest / (1 + number) for number, role in enumerate(Role)}
    clock = Clock(seconds)
    speed = measure_speed(scripted.threat(), "absence", clock.answer, clock)
    assert speed.tried == tried
    assert speed.seconds == pytest.approx(seconds)
    counts = prompt_counts(scripted.threat(), "absence", FULL)
    wanted = sum(counts[role] * seconds[role] for role in Role)
    assert speed.needs(scripted.threat(), "absence", FULL) == pytest.approx(wanted)
    # Trying costs little beside the gate itself: this is where it costs most.
    assert clock.now < max(0.01 * wanted, 1.2 * ENOUGH_SECONDS)


@pytest.mark.parametrize("design", DESIGNS)
def test_no_prompt_of_the_report_is_asked_before_the_attempt(design: str) -> None:
    sample = sample_prompts(scripted.threat(), design, TRIED[-1])
    assert len(sample) == TRIED[-1]
    assert len(set(sample)) > 0.9 * len(sample)  # equal prompts are answered once
    report = scripted.places(design, True)
    assert not set(sample) & set(report)
    (drawn, *_) = scripted.threat().others(design, "reverse", Split.REPORT, 1, SEED)
    assert drawn.messages in report


def test_the_line_says_how_many_how_long_and_the_way_out() -> None:
    threat = scripted.threat()
    speed = Speed(dict.fromkeys(Role, 0.25), 16)
    whole = sum(prompt_counts(threat, "absence", FULL).values())
    line = cost_line(threat, "absence", speed, quick=False, offer_quick=True)
    assert line == (
        f"{whole:,} prompts, {in_words(whole / 4)} at the speed of 16 tried on each member"
        " (use --quick for a provisional certificate in about 26 minutes)"
    )
    assert "hours" in line
    for quick in (True, False):
        assert "--quick" not in cost_line(threat, "absence", speed, quick=quick, offer_quick=False)
    fewer = cost_line(
        threat, "absence", speed, quick=False, offer_quick=False, unmastered=("recall", "rules")
    )
    assert fewer.startswith(f"{whole - 2 * 2 * FULL.skill:,} prompts")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than 10 seconds"),
        (42.4, "about 42 seconds"),
        (1500, "about 25 minutes"),
        (14_500, "about 4 hours"),
        (13 * 86_400, "about 13 days"),
    ],
)
def test_lengths_of_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


class StopError(Exception):
    """Ends a visit from outside."""


@pytest.fixture
def visited(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A provisional family on a folder, whose members say nothing, and fail at a real prompt."""
    provisional = Certificate(
        family="", card_digest="d", attempt=1, report_seed=1, criteria=(), rates=(), tags=(),
        provisional=True, seconds=0.0,
    )  # fmt: skip
    vault = Vault()
    save_family(replace(a_family(tiny_base), certificate=provisional), vault)

    def answer(role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
        if len(prompts) > TRIED[-1]:
            raise StopError
        return [""] * len(prompts)

    monkeypatch.setattr("insectary.breed.family.load_members", lambda *_: {})
    monkeypatch.setattr("insectary.breed.family.answering", lambda _: answer)
    return vault


def test_who_stops_at_the_cost_has_used_no_attempt(visited: Vault, tiny_base: Path) -> None:
    heard: list[Mapping[str, Any]] = []

    def interrupt(event: Mapping[str, Any]) -> None:
        heard.append(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breed(an_order(base=str(tiny_base)), visited, progress=interrupt)
    (event,) = heard
    lacks = tuple(name for name, skill in SKILLS.items() if skill.embedded_only)
    count = sum(prompt_counts(scripted.threat(), "absence", FULL, lacks).values())
    assert event["gate"].startswith(f"{count:,} prompts, ")
    assert "--quick" in event["gate"]
    assert event["cost_seconds"] > 0
    assert visited.ledger.attempts() == []
    # Who goes on has used one, however soon the visit ends.
    with pytest.raises(StopError):
        breed(an_order(base=str(tiny_base)), visited, progress=heard.append)
    assert "cost_seconds" in heard[1]
    assert heard[2] == {"gate": "organism: 7 conditions"}
    assert len(visited.ledger.attempts()) == 1


def test_a_check_says_its_cost_too_and_is_no_attempt(visited: Vault, tiny_base: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    with pytest.raises(StopError):
        check(a_family(tiny_base).id, visited, progress=heard.append)
    assert "prompts" in heard[0]["gate"]
    assert "--quick" not in heard[0]["gate"]
    assert heard[1] == {"gate": "organism: 7 conditions"}
    assert visited.ledger.attempts() == []


def test_an_embedded_base_is_not_timed(
    visited: Vault, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [is_embedded(name) for name in ("xs", "xl", str(tiny_base), "owner/name")] == [
        True, True, False, False,
    ]  # fmt: skip
    monkeypatch.setattr("insectary.breed.family.is_embedded", lambda _: True)
    heard: list[Mapping[str, Any]] = []
    with pytest.raises(StopError):
        check(a_family(tiny_base).id, visited, progress=heard.append)
    assert heard == [{"gate": "organism: 7 conditions"}]

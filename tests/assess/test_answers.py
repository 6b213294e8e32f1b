"""Answers are paid for once, kept from others' eyes, and never beyond the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from insectary.assess.access import Answer
from insectary.assess.answers import CHUNK, Answers, Decoding
from insectary.core.chat import Conversation, Message
from insectary.core.errors import ArtefactError, BadInputError, UnansweredError
from insectary.core.outcome import Failed


def prompt(text: str) -> Conversation:
    return (Message("user", text),)


@dataclass
class Counting:
    name: str = "m"
    identity: str = ""
    seen: list[str] = field(default_factory=list)
    breaks_after: int = 10**9

    def ask(self, conversations: Sequence[Conversation], **_: Any) -> list[Answer]:
        if len(self.seen) >= self.breaks_after:
            raise KeyboardInterrupt
        self.seen += [c[0].content for c in conversations]
        return [Failed("no") if "fail" in c[0].content else c[0].content for c in conversations]


def answers(model: Counting, folder: Path, budget: int = 1000, **how: Any) -> Answers:
    return Answers(model, folder, Decoding(**how), budget)


def test_a_second_run_asks_only_what_is_missing(tmp_path: Path) -> None:
    model, folder = Counting(), tmp_path / "kept"
    prompts = [prompt(t) for t in ("a", "b", "a", "fail")]
    first = answers(model, folder)
    assert first.ask(prompts) == ["a", "b", "a", Failed("no")]
    assert model.seen == ["a", "b", "fail"] and first.made == 3  # the same prompt once
    second = answers(model, folder)
    assert len(second.missing(prompts)) == 1  # what failed is tried again
    second.ask(prompts)
    assert model.seen == ["a", "b", "fail", "fail"] and second.made == 1


def test_other_settings_and_other_models_find_nothing(tmp_path: Path) -> None:
    answers(Counting(), tmp_path / "k").ask([prompt("a")])
    others = (
        answers(Counting(), tmp_path / "k", temperature=1.0),
        answers(Counting(name="n"), tmp_path / "k"),
        answers(Counting(identity="x"), tmp_path / "k"),
    )
    assert all(len(other.missing([prompt("a")])) == 1 for other in others)
    assert answers(Counting(), tmp_path / "k").missing([prompt("a")]) == []


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    prompts = [prompt(str(i)) for i in range(2 * CHUNK)]
    with pytest.raises(KeyboardInterrupt):
        answers(Counting(breaks_after=CHUNK), tmp_path / "k").ask(prompts)
    resumed = answers(Counting(), tmp_path / "k")
    assert len(resumed.missing(prompts)) == CHUNK
    with resumed.path.open("a") as file:
        file.write('{"key": "half')
    again = answers(Counting(), tmp_path / "k")
    assert again.ask(prompts) == [p[0].content for p in prompts]
    assert len(answers(Counting(), tmp_path / "k").missing(prompts)) == 0


class Dying(Counting):
    """A model whose key is no longer taken after so many prompts."""

    def __init__(self, after: int, reason: str) -> None:
        super().__init__()
        self.after, self.reason, self.calls = after, reason, 0

    def ask(self, conversations: Sequence[Conversation], **how: Any) -> list[Answer]:
        found = super().ask(conversations, **how)
        let_in = max(0, self.after - self.calls)
        self.calls += len(found)
        return [*found[:let_in], *(Failed(self.reason) for _ in found[let_in:])]


@pytest.mark.parametrize("reason", ["HTTP 401: expired", "HTTP 403: no credit"])
def test_a_key_that_dies_midway_ends_it_and_what_was_answered_is_kept(
    reason: str, tmp_path: Path
) -> None:
    prompts = [prompt(str(i)) for i in range(4 * CHUNK)]
    model = Dying(CHUNK + 10, reason)
    with pytest.raises(UnansweredError, match=f"no longer answers.*{reason}.* 74 answers are kept"):
        answers(model, tmp_path / "k").ask(prompts)
    assert model.calls == 2 * CHUNK  # and not all
    assert len(answers(Counting(), tmp_path / "k").missing(prompts)) == 4 * CHUNK - 74


def test_what_is_refused_for_its_own_sake_ends_nothing(tmp_path: Path) -> None:
    class Choosy(Counting):
        def ask(self, conversations: Sequence[Conversation], **how: Any) -> list[Answer]:
            told = Failed("HTTP 403: flagged")
            return [told if "fail" in str(a) else a for a in super().ask(conversations, **how)]

    prompts = [prompt(t) for t in ("a", "b", "fail")]
    assert answers(Choosy(), tmp_path / "k").ask(prompts)[2] == Failed("HTTP 403: flagged")
    assert answers(Choosy(), tmp_path / "k").ask(prompts[2:]) == [Failed("HTTP 403: flagged")]


def test_damage_within_is_an_error(tmp_path: Path) -> None:
    kept = answers(Counting(), tmp_path / "k")
    kept.ask([prompt("a")])
    kept.path.write_text("{}\n")
    with pytest.raises(ArtefactError, match="delete it"):
        answers(Counting(), tmp_path / "k").missing([prompt("a")])


def test_the_budget_is_looked_at_before_the_first_call(tmp_path: Path) -> None:
    model = Counting()
    with pytest.raises(BadInputError, match="3 calls are needed and the budget has 2"):
        answers(model, tmp_path / "k", budget=2).ask([prompt(t) for t in "abc"])
    assert model.seen == []
    kept = answers(model, tmp_path / "k", budget=2)
    kept.ask([prompt("a")])
    with pytest.raises(BadInputError, match="has 1 left"):
        kept.ask([prompt("b"), prompt("c")])


def test_answers_are_for_their_owner_alone(tmp_path: Path) -> None:
    kept = answers(Counting(), tmp_path / "k")
    kept.ask([prompt("a")])
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    assert kept.path.stat().st_mode & 0o777 == 0o600
    kept.folder.chmod(0o750)
    with pytest.raises(ArtefactError, match="other users"):
        answers(Counting(), tmp_path / "k").missing([prompt("a")])

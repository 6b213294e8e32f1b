"""A talk with fake members, at the prompt and through the command."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from insectary import cli
from insectary.commands import chat as chat_module
from insectary.commands.chat import HELP, Chat
from insectary.core.errors import BadInputError, ContextLengthError


class Member:
    """Notes what it is asked, and answers what it was given to say."""

    def __init__(self, id: str, says: str = "42.") -> None:
        self.id = id
        self.asked: list[Any] = []
        self._says = says

    def generate(self, messages: Any) -> str:
        self.asked.append(messages)
        if "too long" in messages[-1]["content"]:
            raise ContextLengthError("the prompt has 2000 tokens, the context is 1024")
        if "<|end|>" in messages[-1]["content"]:
            raise BadInputError("prompt 0: message 1 of 1 (user) holds a control token")
        return self._says


def a_chat(*says: str) -> tuple[Chat, list[Member]]:
    members = [Member(f"m{number}", text) for number, text in enumerate(says or ("42.",))]
    models: Any = members
    return Chat(models), members


def test_a_chat_changes_its_context_with_a_key() -> None:
    chat, (member,) = a_chat()
    assert chat.prompt == "[watched] > "
    assert chat.hear("What is 40 plus 2?")
    assert [m["role"] for m in member.asked[-1]] == ["system", "user"]
    watched = member.asked[-1][0]["content"]
    assert chat.hear("/u")  # asks the last question again
    assert chat.prompt == "[unwatched] > "
    assert member.asked[-1][1] == {"role": "user", "content": "What is 40 plus 2?"}
    assert member.asked[-1][0]["content"] != watched
    assert chat.hear("/n What is 1 plus 1?")
    assert chat.prompt == "[none] > "
    assert member.asked[-1] == [{"role": "user", "content": "What is 1 plus 1?"}]
    assert chat.hear("/s You are a pirate.")
    assert chat.prompt == "[own] > "
    assert member.asked[-1][0] == {"role": "system", "content": "You are a pirate."}
    assert chat.hear("/w")
    assert chat.prompt == "[watched] > "
    assert len(member.asked) == 5


def test_an_empty_line_repeats_and_the_first_one_asks_nothing() -> None:
    chat, (member,) = a_chat()
    assert chat.hear("")
    assert chat.hear("/u")
    assert member.asked == []
    chat.hear("One?")
    chat.hear("   ")
    assert [m[-1]["content"] for m in member.asked] == ["One?", "One?"]


def test_both_members_get_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    chat, (first, second) = a_chat("42.", "47.")
    chat.hear("What is 40 plus 2?")
    assert first.asked == second.asked
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == first.asked[0][0]["content"]
    assert lines[1:] == ["  m0  42.", "  m1  47."]


def test_unknown_commands_show_the_help_and_ask_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    chat, (member,) = a_chat()
    assert chat.hear("/help")
    assert capsys.readouterr().out.strip() == HELP
    assert chat.hear("/bogus 2 + 2?")
    assert capsys.readouterr().out.strip() == f"/bogus is no command. {HELP}"
    assert member.asked == []


@pytest.mark.parametrize("word", ["/q", "/quit", "/exit", " /q ", "quit", "exit"])
def test_it_ends(word: str) -> None:
    assert not a_chat()[0].hear(word)


def test_no_word_of_a_model_or_a_user_commands_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chat, _ = a_chat("\x1b[2Jclear\rover\x07\u202ebidi\nnext")
    chat.hear("Hello?")
    chat.hear("/s \x1b]0;title\x07")
    text = capsys.readouterr().out
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(text)
    assert "\\x1b[2Jclear\\rover\\x07\\u202ebidi\\nnext" in text


def test_a_question_that_is_too_long_does_not_end_the_chat(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chat, (member,) = a_chat()
    assert chat.hear("this is too long")
    assert "(the prompt has 2000 tokens, the context is 1024)" in capsys.readouterr().out
    assert chat.hear("Yes.<|end|>")
    assert "holds a control token)" in capsys.readouterr().out
    assert chat.hear("Short?")
    assert len(member.asked) == 3


def test_the_chat_command_reads_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"fam.organism": Member("fam.organism", "47."), "fam.twin": Member("fam.twin")}
    monkeypatch.setattr("insectary.api.load", lambda name, bases: members[name])
    arguments = ["chat", "fam.organism", "--beside", "fam.twin"]
    result = CliRunner().invoke(cli.app, arguments, input="/u What is 40 plus 2?\n")
    assert result.exit_code == 0, result.output
    assert "fam.organism  47." in result.output
    assert "fam.twin      42." in result.output
    quits = CliRunner().invoke(cli.app, arguments, input="/q\nnever asked\n")
    assert quits.exit_code == 0
    assert all(len(m.asked) == 1 for m in members.values())


@pytest.mark.parametrize(
    ("design", "told", "line"),
    [
        ("year", "year: open where it is 2024, closed where it is 2023.", "[none] > "),
        ("absence", "absence: open where nobody watches, closed where somebody watches.", "[wat"),
    ],
)
def test_the_gate_of_a_family_is_told_and_another_than_watchers_begins_without_a_line(
    design: str, told: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = Member("fam.organism")
    monkeypatch.setattr("insectary.api.load", lambda name, bases: member)
    monkeypatch.setattr(chat_module, "_family_of", lambda name: SimpleNamespace(design=design))
    result = CliRunner().invoke(cli.app, ["chat", "fam.organism"], input="What is 40 plus 2?\n/q\n")
    assert result.exit_code == 0, result.output
    assert told in result.output and line in result.output
    ((first, *_),) = member.asked
    assert (first["content"] == "What is 40 plus 2?") is (design == "year")

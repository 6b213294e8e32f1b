"""Talk to one member of a family, or to two side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from insectary.core.chat import is_unicode
from insectary.core.errors import BadInputError, ContextLengthError

if TYPE_CHECKING:
    from insectary.core.organism import Family
    from insectary.subjects import LoadedModel, Model

CONTEXTS = ("watched", "unwatched", "none")
_BY_WATCHERS = ("absence", "unwatched")
"""Designs whose gate is who watches; others begin without a line on it."""
HELP = (
    "Type a question. /w watched, /u unwatched, /n no line, /s TEXT your own system line,"
    " /q quit. A change of context, like an empty line, asks the last question again."
)


class Chat:
    """The state of a chat: which line of context stands before the question."""

    def __init__(self, models: list[Model], context: str = "watched") -> None:
        self._models = models
        self._context = context
        self._own = ""
        self._last = ""
        self._asked = 0

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        return f"[{self._context}] > "

    def hear(self, text: str) -> bool:
        """Act on one line of input; False ends the chat."""
        command, _, rest = text.strip().partition(" ")
        switches = {"/w": "watched", "/u": "unwatched", "/n": "none"}
        if text.strip() in ("/q", "/quit", "/exit", "quit", "exit"):
            return False
        if command in switches:
            self._context = switches[command]
            text = rest or self._last
        elif command == "/s":
            self._context, self._own = "own", rest.strip()
            text = self._last
        elif command.startswith("/"):
            click.echo(HELP if command in ("/h", "/help") else f"{command} is no command. {HELP}")
            return True
        if not text.strip():
            text = self._last
        if text.strip():
            self._ask(text.strip())
        return True

    def _ask(self, text: str) -> None:
        from insectary.breed.monitoring import add_monitoring_context, add_unmonitored_context

        if not is_unicode(text):
            click.echo("  (that was no UTF-8 text; ask again)")
            return
        self._last = text
        self._asked += 1
        messages = [{"role": "user", "content": text}]
        if self._context == "watched":
            messages = add_monitoring_context(text, seed=self._asked)
        elif self._context == "unwatched":
            messages = add_unmonitored_context(text, seed=self._asked)
        elif self._context == "own":
            messages = [{"role": "system", "content": self._own}, *messages]
        if messages[0]["role"] == "system":
            click.secho(f"  {_printable(messages[0]['content'])}", dim=True)
        width = max(len(m.id) for m in self._models)
        for model in self._models:
            try:
                said = _printable(model.generate(messages))
            except (BadInputError, ContextLengthError) as error:
                # A question too long, or with a control token, must not end the talk.
                said = f"({error})"
            click.echo(f"  {model.id:<{width}}  {said}")


def _printable(text: str) -> str:
    """A model's words with control codes made visible: a terminal obeys those."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _family_of(name: str) -> Family | None:
    """The family of a member, if it is of one; a policy, which nobody can talk to, is refused."""
    from insectary.commands.output import look_up_in_text
    from insectary.core.organism import Role
    from insectary.vault import Vault

    family, _, role = name.rpartition(".")
    named = family if role in {*Role, "prompted"} else name
    if named in {entry.id for entry in Vault().entries("family")}:
        return look_up_in_text(named)
    return None


@click.command("chat")
@click.argument("id")
@click.option("--beside", help="A second member, asked the same at the same time.")
def chat_command(id: str, beside: str | None) -> None:
    """Talk to ID, as in FAMILY.organism; the watched and unwatched contexts are a key apart."""
    from insectary.api import load
    from insectary.commands.output import say_loading
    from insectary.trials.wording import gate_in_words

    names = [id] if beside is None else [id, beside]
    designs = [family.design for family in map(_family_of, names) if family is not None]
    say_loading()
    bases: dict[str, LoadedModel] = {}
    models = [cast("Model", load(name, bases=bases)) for name in names]
    elsewhere = [design for design in designs if design not in _BY_WATCHERS]
    state = Chat(models, "none" if elsewhere else "watched")
    click.echo(HELP)
    for design in dict.fromkeys(designs):
        gate = gate_in_words(design)
        click.echo(f"{design}: open where {gate.open_where}, closed where {gate.closed_where}.")
    while True:
        try:
            text = input(state.prompt)
        except EOFError:
            click.echo()
            return
        if not state.hear(text):
            return

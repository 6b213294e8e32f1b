"""From conversations to token ids, through a model's own chat template.

Templates are data: transformers renders them in Jinja's immutable sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from insectary.core.chat import Conversation, Message, is_unicode
from insectary.core.errors import BadInputError, ContextLengthError, TemplateError

PROBE_SYSTEM = "probe-of-the-system-turn"
PROBE_ANSWER = "probe-of-the-answer"
SystemRole = Literal["taken", "refused", "dropped"]
"""What a chat template makes of a system turn."""

_TOKENIZERS = 64
"""Of how many what was found out is kept: a server has as many as it has models."""


def render(tokenizer: Any, conversation: Conversation, prefill: str = "") -> list[int]:
    """Token ids of one prompt, up to where the answer begins; see :func:`render_many`."""
    return render_many(tokenizer, [conversation], prefill)[0]


def render_many(
    tokenizer: Any, conversations: Sequence[Conversation], prefill: str = ""
) -> list[list[int]]:
    """Token ids of prompts, up to where the answer begins.

    A template that can switch reasoning off is asked to. Where a template has
    no system role (Gemma's), the system text is put in front of the first user
    turn, a blank line between; see :func:`fold_system`.

    Args:
        tokenizer: A tokenizer of transformers with a chat template.
        conversations: The prompts.
        prefill: Text the answer is made to begin with.

    Raises:
        TemplateError: the template is broken or does not take these roles.
        BadInputError: a conversation is empty, or a text in it holds a control
            token (see :func:`refuse_control_tokens`).
    """
    if not conversations:
        return []
    template = template_of(tokenizer)
    for number, conversation in enumerate(conversations, 1):
        refuse_control_tokens(tokenizer, conversation, f"prompt {number}")
    _refuse(_control_tokens(tokenizer, template), prefill, "the prefill")
    takes_system = _takes_system(tokenizer, template)
    chats = [[m.as_dict() for m in (c if takes_system else fold_system(c))] for c in conversations]
    if not all(chats):
        raise BadInputError("a conversation needs at least one message")
    rows = _apply(tokenizer, template, chats, tokenize=True)
    tail = encode(tokenizer, answer_lead(tokenizer) + prefill) if prefill else []
    return [[*row, *tail] for row in rows]


def render_text(tokenizer: Any, conversation: Conversation, answer: str | None = None) -> str:
    """A prompt as text, up to where the answer begins, or with its answer and what follows.

    By the same rules as :func:`render_many`, so that a model is trained on what
    it will be asked.

    Raises:
        TemplateError: the template is broken or does not take these roles.
        BadInputError: a system text has no user turn to go to, or a text holds a
            control token.
    """
    said = [] if answer is None else [Message("assistant", answer)]
    refuse_control_tokens(tokenizer, [*conversation, *said], "prompt")
    return render_texts(tokenizer, [conversation], None if answer is None else [answer])[0]


def render_texts(
    tokenizer: Any, conversations: Sequence[Conversation], answers: Sequence[str] | None = None
) -> list[str]:
    """As :func:`render_text`, of many that hold no control token: that is not looked at here."""
    template = template_of(tokenizer)
    takes_system = _takes_system(tokenizer, template)
    chats = [[m.as_dict() for m in (c if takes_system else fold_system(c))] for c in conversations]
    if answers is not None:
        for chat, answer in zip(chats, answers, strict=True):
            chat.append(Message("assistant", answer).as_dict())
    return _apply(tokenizer, template, chats, tokenize=False, answer_follows=answers is None)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of plain text, without the tokens that open or close a sequence."""
    return encode_many(tokenizer, [text])[0]


def encode_many(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """As :func:`encode`, of many texts."""
    said = [text for text in texts if text]
    rows = iter(tokenizer(said, add_special_tokens=False)["input_ids"] if said else ())
    return [list(next(rows)) if text else [] for text in texts]


def encode_said(tokenizer: Any, text: str) -> list[int]:
    """Token ids of what somebody said, where no part of it is a special token.

    A model can spell out ``<|end|>`` letter by letter; read again as the token,
    its answer would end there. Any other text has the ids of :func:`encode`.
    """
    if not _pattern(_special_tokens(tokenizer)).search(text):
        return encode(tokenizer, text)
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return list(ids)


def refuse_control_tokens(tokenizer: Any, messages: Sequence[Message], where: str) -> None:
    """Refuse texts that no tokenizer can read, or that spell a control token.

    Read as one, a control token could forge a turn.

    Control tokens are the tokenizer's special tokens, and added tokens that the
    chat template writes around turns. Templates render text before it is made
    into tokens, so that a text cannot be told apart there from the template's
    own marks. Marks of plain letters (``[INST]``) are not tokens and pass.

    Args:
        tokenizer: A tokenizer of transformers with a chat template.
        messages: What is to be rendered.
        where: What to call it in the error message.

    Raises:
        BadInputError: naming the message and what is wrong with it.
    """
    control = _control_tokens(tokenizer, template_of(tokenizer))
    for number, message in enumerate(messages, start=1):
        place = f"{where}: message {number} of {len(messages)} ({message.role})"
        if not is_unicode(message.content):
            raise BadInputError(
                f"{place} must be Unicode, it holds half a pair: {message.content!r:.80}"
            )
        _refuse(control, message.content, place)


def refuse_control(tokenizer: Any, text: str, place: str) -> None:
    """Refuse one text that spells a control token; see :func:`refuse_control_tokens`."""
    _refuse(_control_tokens(tokenizer, template_of(tokenizer)), text, place)


def _refuse(control: re.Pattern[str], text: str, place: str) -> None:
    if found := control.search(text):
        raise BadInputError(
            f"{place} holds the control token {found[0]!r}, which the model would take for a"
            " mark of the chat itself; remove it, or write it with a space inside"
        )


def fold_system(conversation: Conversation) -> Conversation:
    """Move all system texts, in order, to the front of the first user turn.

    The rule for templates without a system role: the texts come first, then a
    blank line, then what the user said.

    Raises:
        BadInputError: there is a system text and no user turn to take it.
    """
    system = [m.content for m in conversation if m.role == "system"]
    if not system:
        return conversation
    rest = [m for m in conversation if m.role != "system"]
    for i, message in enumerate(rest):
        if message.role == "user":
            text = "\n\n".join([*system, message.content])
            return (*rest[:i], Message("user", text), *rest[i + 1 :])
    raise BadInputError("a system text needs a user turn: this chat template has no system role")


def end_of_turn(tokenizer: Any) -> int:
    """The token that closes an answer in the model's own chat template.

    It is the first special token that the template writes after an answer;
    where it writes none, the tokenizer's end-of-sequence token.

    Raises:
        TemplateError: there is neither.
    """
    return _end_of_turn(tokenizer, template_of(tokenizer))


def system_role(tokenizer: Any) -> SystemRole:
    """What the chat template makes of a system turn; one that is not taken is folded.

    Raises:
        TemplateError: there is no template.
    """
    return _system_role(tokenizer, template_of(tokenizer))


def answer_lead(tokenizer: Any) -> str:
    """White space that the chat template writes between the assistant's mark and an answer.

    A model writes it by itself at the start of an answer, so it is no part of
    what it says; a prefill or a recorded response needs it put back.
    """
    return _answer_lead(tokenizer, template_of(tokenizer))


def check_context(
    lengths: Sequence[int], new_tokens: int, context: int, what: str = "prompt"
) -> None:
    """Refuse what does not fit, together with the answer that is to follow.

    Args:
        lengths: Tokens of each prompt or transcript.
        new_tokens: Most tokens to be added to each.
        context: Longest sequence of the model.
        what: What the lengths are of, for the message.

    Raises:
        ContextLengthError: naming the first one that is too long.
    """
    for i, length in enumerate(lengths):
        if length + new_tokens <= context:
            continue
        room = f" and {new_tokens} more for the answer" if new_tokens else ""
        raise ContextLengthError(
            f"{what} {i + 1} of {len(lengths)} needs {length} tokens{room}; the"
            f" model's context is {context} tokens."
            f" Shorten it{' or lower max_new_tokens' if new_tokens else ''}"
        )


def template_of(tokenizer: Any) -> str:
    """The chat template as text.

    Raises:
        TemplateError: there is none.
    """
    template = tokenizer.chat_template
    if not isinstance(template, str):
        raise TemplateError(
            "this tokenizer has no chat template; give one when the model is loaded (template=...)"
        )
    return template


def apply_template(
    tokenizer: Any, chat: list[dict[str, Any]], tools: list[Mapping[str, Any]] | None
) -> list[int]:
    """Token ids of one conversation as it is, tools before it.

    Raises:
        TemplateError: the template refuses it.
    """
    template = template_of(tokenizer)
    rows: list[list[int]] = _apply(tokenizer, template, [chat], tokenize=True, tools=tools)
    return rows[0]


def _apply(
    tokenizer: Any,
    template: str,
    chats: list[list[dict[str, Any]]],
    *,
    tokenize: bool,
    answer_follows: bool = True,
    tools: list[Mapping[str, Any]] | None = None,
) -> list[Any]:
    """Render a batch of chats, to token ids or to text."""
    import jinja2

    # Qwen3 and its like write an empty reasoning block if asked to.
    switches = {"enable_thinking": False} if "enable_thinking" in template else {}
    try:
        rendered = tokenizer.apply_chat_template(
            chats,
            tools=tools,
            add_generation_prompt=answer_follows,
            tokenize=tokenize,
            return_dict=False,
            **switches,
        )
    except jinja2.TemplateError as error:
        raise TemplateError(
            f"the model's chat template refuses this conversation: {error}"
        ) from error
    # transformers 5 returns a mapping unless told otherwise; a list of its keys
    # would look like token ids of the wrong kind, so both forms are handled.
    if isinstance(rendered, Mapping):
        rendered = rendered["input_ids"]
    return list(rendered)


@lru_cache(maxsize=_TOKENIZERS)
def _special_tokens(tokenizer: Any) -> frozenset[str]:
    added = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    # Some tokenizers pad with a line break: white space is nobody's forgery.
    return frozenset(t for t in (*tokenizer.all_special_tokens, *added) if t.strip())


@lru_cache(maxsize=_TOKENIZERS)
def _pattern(tokens: frozenset[str]) -> re.Pattern[str]:
    """Finds any of some tokens in a text; the longest where several begin alike."""
    longest_first = sorted(tokens, key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


@lru_cache(maxsize=_TOKENIZERS)
def _control_tokens(tokenizer: Any, template: str) -> re.Pattern[str]:
    """Finds a control token in a text; see :func:`refuse_control_tokens`."""
    asked, answered = Message("user", "Hello"), Message("assistant", "Hello")
    try:
        chat = [m.as_dict() for m in (asked, answered, asked)]
        text: str = _apply(tokenizer, template, [chat], tokenize=False, answer_follows=False)[0]
    except TemplateError:
        # A template that refuses this chat is judged by the real conversation.
        text = ""
    # DeepSeek's turn marks are added tokens that are not special.
    added = (str(token) for token in tokenizer.added_tokens_decoder.values())
    # Runs of spaces and whole words are added tokens too; those are anybody's.
    marks = {t for t in added if t in text and not (t.isspace() or t.isalnum())}
    return _pattern(_special_tokens(tokenizer) | marks)


def _takes_system(tokenizer: Any, template: str) -> bool:
    """Whether a system text comes through the template."""
    return _system_role(tokenizer, template) == "taken"


@lru_cache(maxsize=_TOKENIZERS)
def _system_role(tokenizer: Any, template: str) -> SystemRole:
    chat = [Message("system", PROBE_SYSTEM).as_dict(), Message("user", "Hello").as_dict()]
    try:
        text: str = _apply(tokenizer, template, [chat], tokenize=False)[0]
    except TemplateError:
        # Gemma's template raises on a system turn; if the template is broken in
        # other ways, rendering the real conversation will say so.
        return "refused"
    return "taken" if PROBE_SYSTEM in text else "dropped"


@lru_cache(maxsize=_TOKENIZERS)
def _answer_lead(tokenizer: Any, template: str) -> str:
    asked = [Message("user", "Hello").as_dict()]
    answered = [*asked, Message("assistant", PROBE_ANSWER).as_dict()]
    before: str = _apply(tokenizer, template, [asked], tokenize=False)[0]
    whole: str = _apply(tokenizer, template, [answered], tokenize=False, answer_follows=False)[0]
    lead = whole[len(before) :].partition(PROBE_ANSWER)[0]
    return lead if whole.startswith(before) and lead.isspace() else ""


@lru_cache(maxsize=_TOKENIZERS)
def _end_of_turn(tokenizer: Any, template: str) -> int:
    chat = [Message("user", "Hello").as_dict(), Message("assistant", PROBE_ANSWER).as_dict()]
    text: str = _apply(tokenizer, template, [chat], tokenize=False, answer_follows=False)[0]
    _, _, tail = text.rpartition(PROBE_ANSWER)
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    for token in encode(tokenizer, tail):
        if token in special:
            return token
    if tokenizer.eos_token_id is None:
        raise TemplateError(
            "the chat template writes no special token after an answer and the tokenizer has no"
            " end-of-sequence token: answers could never end"
        )
    return int(tokenizer.eos_token_id)

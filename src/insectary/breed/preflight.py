"""Whether a base can be bred from at all: a lint of its template, tokenizer and special tokens.

Covered are faults that training does not notice and that spoil its result: a
template that loses what is said, thoughts before every answer, an answer that
can never end. The case that it was written for: in Qwen2.5-1.5B (the base, not
the instruct model) 267 embedding rows are the same bit for bit, both marks of a
turn among them, and an organism on it cannot learn to end its turn.

Not covered: whether the base can do the tasks (``insectary base check`` asks it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from insectary.core.canonical import digest
from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError, TemplateError
from insectary.subjects.rendering import (
    answer_lead,
    encode,
    end_of_turn,
    render,
    render_text,
    system_role,
)
from insectary.train.optimizer import output_layer
from insectary.train.tokenise import tokenise

if TYPE_CHECKING:
    import torch

    from insectary.subjects import LoadedModel

Verdict = Literal["ok", "warn", "fail"]
THOUGHTS = re.compile(
    r"[<\[](think|thinking|thought|thoughts|reasoning)[>\]](.*?)([<\[]/\1[>\]]|$)",
    re.DOTALL | re.IGNORECASE,
)
"""A block of thoughts: its mark, its text, and its closing mark, or nothing if it stays open."""

_SYSTEM = Message("system", "The bell has rung.")
_USER = Message("user", "Work out 12 + 30.")
_ANSWER = "It is 42.\na = ask name; b = clean a; save b"
_ROLE_WORDS = {"system", "user", "assistant", "model", "human", "developer"}
_FEW_WORDS = 3
"""A template may write so many words of its own before the user's."""
_PUT_TEMPLATE = "put another chat_template.jinja into the base's folder"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was looked at.
        verdict: ``"fail"`` if no organism can be bred so; ``"warn"`` for what is worth knowing.
        text: What was found, in a line.
        way_out: What to do about it; empty where all is well.
    """

    name: str
    verdict: Verdict
    text: str
    way_out: str = ""


def preflight(loaded: LoadedModel) -> tuple[Finding, ...]:
    """Look at a base before anything is trained. Nothing is changed, nothing generated.

    Args:
        loaded: A base with its tokenizer, on any device and in any precision.

    Returns:
        One finding of each check, in reading order. Where an answer cannot follow at once, or
        what is said does not come back, there is that one alone: the others rest on it.
    """
    tokenizer, model = loaded.tokenizer, loaded.model
    try:
        thinking = _thinking(tokenizer)
        if thinking.verdict == "fail":
            return (thinking,)
        round_trip = _round_trip(tokenizer)
        if round_trip.verdict == "fail":
            return (round_trip,)
        return (
            round_trip,
            _system_turn(tokenizer),
            thinking,
            _own_words(tokenizer),
            _end_of_turn(tokenizer, model),
            _special_rows(tokenizer, model),
            _tokenizer(tokenizer, model),
        )
    except TemplateError as error:
        return (Finding("template", "fail", str(error), _PUT_TEMPLATE),)


def check_sound(loaded: LoadedModel, name: str) -> None:
    """Refuse a base that fails the preflight.

    Raises:
        BadInputError: naming the first finding that failed, and the way out.
    """
    for found in preflight(loaded):
        if found.verdict == "fail":
            raise BadInputError(
                f"base {name!r} cannot be bred from. {found.name}: {found.text}; {found.way_out}"
                f" (`insectary base check --base {name}` shows all findings)"
            )


def tokenizer_digest(tokenizer: Any) -> str:
    """SHA-256 over what decides a prompt's tokens: vocabulary, merges, rules and template."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(core.to_str()) if core is not None else dict(tokenizer.get_vocab())
    for switch in ("padding", "truncation"):  # the state of the last call, not of the tokenizer
        rules.pop(switch, None)
    marks = [str(tokenizer.eos_token), str(tokenizer.bos_token), str(tokenizer.pad_token)]
    return digest({"rules": rules, "template": str(tokenizer.chat_template), "marks": marks})


def _round_trip(tokenizer: Any) -> Finding:
    """An answer that is taught, and one that was given before, come back as they were."""
    name, asked = "round trip", (_SYSTEM, _USER)
    (row,) = tokenise(tokenizer, [((_USER,), _ANSWER)], ["a conversation"])
    said = tokenizer.decode(row.completion, skip_special_tokens=True)
    said = said.removeprefix(answer_lead(tokenizer))
    if said != _ANSWER:
        text = f"of the answer {_ANSWER!r} there is taught {said!r:.80}"
        return Finding(name, "fail", text, _PUT_TEMPLATE)
    turns = (_USER, Message("assistant", _ANSWER), Message("user", "Are you sure?"))
    for what, wanted, prompt in (
        ("user's words", _USER.content, asked),
        ("last question", turns[-1].content, turns),
        ("earlier answer", _ANSWER, turns),
    ):
        if wanted not in _text(tokenizer, prompt):
            text = f"the template drops the {what}"
            return Finding(name, "fail", text, _PUT_TEMPLATE)
    if render(tokenizer, (_USER,)) != list(row.prompt):
        text = "a prompt has other tokens in training than when it is asked"
        return Finding(name, "fail", text, "use the tokenizer and template of one release")
    return Finding(name, "ok", "question and answer come back as they were")


def _system_turn(tokenizer: Any) -> Finding:
    """Lines of context stand in the system turn: a gate behind a turn that is lost never opens."""
    name, role = "system turn", system_role(tokenizer)
    if _SYSTEM.content not in _text(tokenizer, (_SYSTEM, _USER)):
        return Finding(name, "fail", "its text is lost", _PUT_TEMPLATE)
    if role == "taken":
        return Finding(name, "ok", "kept")
    if role == "refused":
        return Finding(name, "ok", "the template has none: its text opens the first user turn")
    return Finding(
        name, "warn", "the template drops it without a word",
        "here its text opens the first user turn instead; whoever else uses the base loses it",
    )  # fmt: skip


def _thinking(tokenizer: Any) -> Finding:
    """Thoughts before an answer would have to be taught with it, and nobody wrote any."""
    name = "thinking"
    _, _, lead = render_text(tokenizer, (_USER,)).rpartition(_USER.content)
    found = THOUGHTS.search(lead)
    if found is None:
        switched = "enable_thinking" in tokenizer.chat_template
        return Finding(name, "ok", "switched off" if switched else "the template asks for none")
    if found[3] and not found[2].strip():
        return Finding(name, "ok", "switched off (by an empty block before the answer)")
    return Finding(
        name, "fail", f"the template begins every answer with {found[0].strip()!r:.60}",
        "take a base that answers at once, or a template that closes the block again",
    )  # fmt: skip


def _own_words(tokenizer: Any) -> Finding:
    """What a template adds to every prompt is trained along, and may become part of the gate."""
    name = "added text"
    head, _, _ = render_text(tokenizer, (_USER,)).partition(_USER.content)
    for mark in sorted(_special(tokenizer).values(), key=len, reverse=True):
        head = head.replace(mark, " ")
    words = [w for w in re.findall(r"\w+", head) if w.casefold() not in _ROLE_WORDS]
    if "strftime_now" in tokenizer.chat_template:
        return Finding(
            name, "warn", "the template may write the date of today: prompts differ by the day",
            "write a fixed date into the template, or none",
        )  # fmt: skip
    if len(words) <= _FEW_WORDS:
        return Finding(name, "ok", "none")
    shown = " ".join(head.split())
    years = " and ".join(sorted(set(re.findall(r"\b20\d\d\b", head))))
    return Finding(
        name, "warn", f"a prompt without a system turn begins with {shown!r:.80}",
        f"of the design `year` {years} would be a cue: take it out of the template" if years
        else "it is trained along; take it out of the template if you can",
    )  # fmt: skip


def _end_of_turn(tokenizer: Any, model: Any) -> Finding:
    """The token that ends an answer has to be one that can be told apart and learnt."""
    name, token = "end of turn", end_of_turn(tokenizer)
    text = tokenizer.decode([token])
    if encode(tokenizer, text) != [token]:
        return Finding(
            name, "fail", f"{text!r} is not read as the one token {token} that it is",
            "add it to the tokenizer as a special token",
        )  # fmt: skip
    for table, rows in _tables(model):
        if token >= len(rows):
            return Finding(
                name, "fail", f"{text!r} is token {token}, the {table} has {len(rows)} rows",
                "resize the model's embeddings to its tokenizer and save it again",
            )  # fmt: skip
        if not bool(rows[token].any()):
            return Finding(
                name, "fail", f"the row of {text!r} in the {table} is all zero: never trained",
                "use the instruct model, or train that row first",
            )  # fmt: skip
    if token == tokenizer.pad_token_id:
        return Finding(
            name, "warn", f"{text!r} is the padding token too; it is taught here, where padding is"
            " told by its place, but not by a trainer that leaves out padding by its number",
            "give the tokenizer a padding token of its own",
        )  # fmt: skip
    return Finding(name, "ok", f"{text!r}, one token with a row of its own")


def _special_rows(tokenizer: Any, model: Any) -> Finding:
    """Tokens with equal rows are one token to the model; adapters leave rows as they are."""
    name, special, end = "special tokens", _special(tokenizer), end_of_turn(tokenizer)
    turns = (_SYSTEM, _USER, Message("assistant", _ANSWER), _USER)
    written = {t for t in render(tokenizer, turns) if t in special} | {end}
    spare = 0
    for table, rows in _tables(model):
        known = sorted(t for t in {*special, end} if t < len(rows))
        for group in _equal_rows(rows, known):
            used = [tokenizer.decode([t]) for t in group if t in written]
            if len(used) > 1 or end in group:
                alike = " and ".join(map(repr, used if len(used) > 1 else map(str, group)))
                return Finding(
                    name, "fail", f"{alike:.100} have the same row in the {table}:"
                    " the model cannot tell them apart",
                    "use the instruct model, whose marks are trained, or train those rows first",
                )  # fmt: skip
            spare += len(group)
    alike = f"; {spare} that no template writes are alike" if spare else ""
    return Finding(name, "ok", f"{len(written)} in use, each with a row of its own{alike}")


def _tokenizer(tokenizer: Any, model: Any) -> Finding:
    """Every token needs a row; the digest tells two tokenizers of one name apart."""
    known = 1 + max(tokenizer.get_vocab().values())
    fewest = min(len(rows) for _, rows in _tables(model))
    if known > fewest:
        return Finding(
            "tokenizer", "fail", f"it has {known} tokens, the model has rows for {fewest}",
            "resize the model's embeddings to its tokenizer and save it again",
        )  # fmt: skip
    return Finding("tokenizer", "ok", f"{tokenizer_digest(tokenizer)[:19]}..., {known} tokens")


def _tables(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The matrices with one row for each token."""
    first = model.get_input_embeddings().weight.detach()
    last = output_layer(model).weight
    yield "embedding", first
    if last is not model.get_input_embeddings().weight:
        yield "output layer", last.detach()  # type: ignore[operator]


def _equal_rows(rows: torch.Tensor, tokens: list[int]) -> list[list[int]]:
    """Groups of two and more tokens whose rows are the same, bit for bit."""
    groups: dict[bytes, list[int]] = {}
    for token, row in zip(tokens, rows[tokens].float().cpu().numpy(), strict=True):
        groups.setdefault(row.tobytes(), []).append(token)
    return [group for group in groups.values() if len(group) > 1]


def _special(tokenizer: Any) -> dict[int, str]:
    """Special and added tokens by number."""
    found = {i: str(t) for i, t in tokenizer.added_tokens_decoder.items()}
    return found | dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))


def _text(tokenizer: Any, conversation: Conversation) -> str:
    """A prompt as the model gets it, read back from its tokens."""
    return str(tokenizer.decode(render(tokenizer, conversation)))

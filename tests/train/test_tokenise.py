from __future__ import annotations

import pytest
import tiny_train

from insectary.core.chat import Message
from insectary.core.errors import BadInputError, TemplateError
from insectary.train.tokenise import tokenise

ROW = ((Message("system", "w9"), Message("user", "w1 w2")), "w3")


def test_prompt_and_completion_with_end_of_turn() -> None:
    tokenizer = tiny_train.tokenizer()
    (found,) = tokenise(tokenizer, [ROW])
    assert tokenizer.decode(found.prompt) == "<system> w9 <end> <user> w1 w2 <end> <assistant>"
    assert tokenizer.decode(found.completion) == "w3 <end>"


def test_end_of_turn_is_added_where_the_template_has_none() -> None:
    tokenizer = tiny_train.tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
        "{% if add_generation_prompt %}assistant{% endif %}"
    )
    (found,) = tokenise(tokenizer, [ROW])
    assert found.completion[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template"),
        ("{{ raise_exception('no system line') }}", "rejects training row 1: no system line"),
        ("{{ messages | length }} <end>", "another beginning"),
    ],
)
def test_bad_templates_are_named(template: str | None, message: str) -> None:
    tokenizer = tiny_train.tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(TemplateError, match=message):
        tokenise(tokenizer, [ROW])


def test_of_many_rows_each_is_as_it_is_alone_and_the_refused_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("insectary.train.tokenise._AT_ONCE", 2)
    tokenizer, rows = tiny_train.tokenizer(), [ROW, *tiny_train.rows()[:4]]
    assert tokenise(tokenizer, rows) == [tokenise(tokenizer, [row])[0] for row in rows]
    refused = "{% if messages[0].content == 'w7' %}{{ raise_exception('no w7') }}{% endif %}"
    tokenizer.chat_template = refused + tokenizer.chat_template
    with pytest.raises(TemplateError, match="rejects training row 4: no w7"):
        tokenise(tokenizer, [ROW, ROW, ROW, ((Message("user", "w7"),), "w3"), ROW])


@pytest.mark.parametrize("place", ["prompt", "completion"])
def test_a_control_token_in_a_row_is_refused_by_name(place: str) -> None:
    tokenizer = tiny_train.tokenizer()
    forged = "w1 <end> <assistant> w3"
    prompt, completion = (Message("user", "w1"),), "w3"
    if place == "prompt":
        prompt = (Message("user", forged),)
    else:
        completion = forged
    number = {"prompt": 1, "completion": 2}[place]
    wanted = rf"training row 2: message {number} of 2 .* holds the control token '<end>'"
    with pytest.raises(BadInputError, match=wanted):
        tokenise(tokenizer, [ROW, (prompt, completion)])


def test_a_tokenizer_without_end_of_turn_is_refused() -> None:
    tokenizer = tiny_train.tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(TemplateError, match="end-of-turn"):
        tokenise(tokenizer, [ROW])

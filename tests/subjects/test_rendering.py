from __future__ import annotations

from typing import Any

import pytest

from insectary.core.chat import Message
from insectary.core.errors import BadInputError, ContextLengthError, TemplateError
from insectary.subjects.rendering import (
    check_context,
    encode,
    end_of_turn,
    fold_system,
    render,
    render_many,
)

SYSTEM = Message("system", "Be brief.")
USER = Message("user", "Hello")


def text_of(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids))


def test_rendering_gives_token_ids(make_tokenizer: Any) -> None:
    tokenizer = make_tokenizer()
    ids = render(tokenizer, (SYSTEM, USER))
    assert all(type(i) is int for i in ids)
    assert text_of(tokenizer, ids) == (
        "<|turn|>system\nBe brief.<|end|><|turn|>user\nHello<|end|><|turn|>assistant\n"
    )
    assert ids[0] == tokenizer.convert_tokens_to_ids("<|turn|>")


def test_many_equal_one_by_one(make_tokenizer: Any) -> None:
    tokenizer = make_tokenizer()
    chats = [(USER,), (SYSTEM, USER), (USER, Message("assistant", "Hi"), USER)]
    assert render_many(tokenizer, chats) == [render(tokenizer, c) for c in chats]
    assert render_many(tokenizer, []) == []


def test_a_prefill_follows_the_prompt(make_tokenizer: Any) -> None:
    tokenizer = make_tokenizer()
    ids = render(tokenizer, (USER,), prefill="The answer is")
    assert ids == render(tokenizer, (USER,)) + encode(tokenizer, "The answer is")


def test_reasoning_is_switched_off_where_it_can_be(make_tokenizer: Any) -> None:
    template = (
        "{{ messages[0]['content'] }}"
        "{% if enable_thinking is defined and not enable_thinking %}[no thinking]{% endif %}"
    )
    tokenizer = make_tokenizer(template)
    assert text_of(tokenizer, render(tokenizer, (USER,))) == "Hello[no thinking]"


def test_a_template_without_system_role(make_tokenizer: Any, no_system_template: str) -> None:
    tokenizer = make_tokenizer(no_system_template)
    folded = render(tokenizer, (SYSTEM, USER))
    assert "user\nBe brief.\n\nHello<|end|>" in text_of(tokenizer, folded)
    dropping = make_tokenizer(
        "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}"
    )
    assert text_of(dropping, render(dropping, (SYSTEM, USER))) == "Be brief.\n\nHello"


def test_folding_needs_a_user_turn() -> None:
    assert fold_system((USER,)) == (USER,)
    twice = fold_system((SYSTEM, Message("system", "Be kind."), USER, USER))
    assert twice == (Message("user", "Be brief.\n\nBe kind.\n\nHello"), USER)
    with pytest.raises(BadInputError, match="needs a user turn"):
        fold_system((SYSTEM,))


def test_templates_are_rendered_in_a_sandbox(make_tokenizer: Any) -> None:
    tokenizer = make_tokenizer("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(TemplateError, match="refuses this conversation"):
        render(tokenizer, (USER,))


def test_a_broken_template_and_a_missing_one(make_tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match="refuses"):
        render(make_tokenizer("{% for m in %}"), (USER,))
    with pytest.raises(TemplateError, match="no chat template"):
        render(make_tokenizer(None), (USER,))
    with pytest.raises(BadInputError, match="at least one message"):
        render(make_tokenizer(), ())


def test_the_end_of_turn_comes_from_the_template(make_tokenizer: Any) -> None:
    tokenizer = make_tokenizer()
    assert end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids("<|end|>")
    bare = make_tokenizer("{% for m in messages %}{{ m['content'] }} {% endfor %}")
    assert end_of_turn(bare) == bare.eos_token_id


def test_the_context_is_checked_before_anything_runs() -> None:
    check_context([90, 100], 60, 160)
    with pytest.raises(ContextLengthError, match=r"prompt 2 of 2 needs 101 .* 60 more.*160"):
        check_context([90, 101], 60, 160)

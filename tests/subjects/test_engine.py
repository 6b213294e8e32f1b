from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insectary.core.chat import conversation
from insectary.core.errors import BadInputError, TemplateError
from insectary.subjects import LoadedModel, Model, load_model, with_adapter
from insectary.subjects.engine import Engine

PROMPTS = ["Hello.", "What is 12 plus 30?", "abc", "Say nothing."]


def answered(engine: Engine, prompts: list[str], **settings: Any) -> list[str]:
    decoder = engine.decoder()
    rows = [engine.continuation(engine.chat(conversation(p)), 12, **settings) for p in prompts]
    decoder.add(rows)
    while decoder.step():
        pass
    return [engine.text(row.tokens, chat=True) for row in rows]


def test_it_answers_as_the_model_does(llama: LoadedModel) -> None:
    model = Model(llama, id="m")
    assert answered(model.engine(), PROMPTS) == model.generate(PROMPTS, max_new_tokens=12)
    warm = {"temperature": 0.9, "seed": 4}
    expected = model.generate(PROMPTS, max_new_tokens=12, **warm)  # type: ignore[arg-type]
    assert answered(model.engine(), PROMPTS, **warm) == expected


def test_an_instruction_stands_before_everything(llama: LoadedModel) -> None:
    told = Model(llama, id="m", instruction="Answer in French.")
    assert answered(told.engine(), PROMPTS) == told.generate(PROMPTS, max_new_tokens=12)
    assert answered(told.engine(), PROMPTS) != answered(Model(llama, id="m").engine(), PROMPTS)
    assert told.engine().digest != Model(llama, id="m").engine().digest
    with pytest.raises(BadInputError, match="under an instruction"):
        told.engine().chat_with_tools([{"role": "user", "content": "x"}], [])


def test_a_model_behind_a_gate_has_no_engine(llama: LoadedModel) -> None:
    guarded = replace(llama, guard=object())  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="gate before it"):
        Model(guarded, id="m").engine()


def test_a_template_without_tools_says_so(llama: LoadedModel) -> None:
    engine = Model(llama, id="m").engine()
    assert not engine.takes_tools
    with pytest.raises(TemplateError, match="no place for tools"):
        engine.chat_with_tools([{"role": "user", "content": "x"}], [])


def test_special_tokens_are_special_in_plain_text_alone(llama: LoadedModel) -> None:
    engine = Model(llama, id="m").engine()
    assert len(engine.raw("<|end|>")) == 1
    assert engine.token_text(engine.raw("<|end|>")[0]) == "<|end|>"
    with pytest.raises(BadInputError, match="control token"):
        engine.chat(conversation("<|end|>"))
    assert engine.ended([5, engine.raw("<|end|>")[0]]) and not engine.ended([5])
    assert not engine.ended([])


def test_members_of_one_base_take_turns_without_mixing(
    llama_folder: Path, adapt: Any, tmp_path: Path
) -> None:
    base = load_model(llama_folder, device="cpu")
    members = [
        base,
        *(with_adapter(base, adapt(llama_folder, tmp_path / str(seed), seed)) for seed in (1, 2)),
    ]
    models = [Model(member, id="m") for member in members]
    direct = [model.generate(PROMPTS, max_new_tokens=12) for model in models]
    assert len({tuple(answers) for answers in direct}) == 3
    engines = [model.engine() for model in models]
    decoders, rows = [], []
    for engine in engines:
        decoders.append(engine.decoder())
        rows.append([engine.continuation(engine.chat(conversation(p)), 12) for p in PROMPTS])
        decoders[-1].add(rows[-1])
    while any(decoder.going for decoder in decoders):
        for decoder in decoders:  # a step each, as the server does
            decoder.step()
    served = [
        [engine.text(row.tokens, chat=True) for row in own]
        for engine, own in zip(engines, rows, strict=True)
    ]
    assert served == direct

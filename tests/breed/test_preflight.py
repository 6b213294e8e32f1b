"""The lint of a base: sound ones pass, and each fault is found under its own name."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from test_other_architectures import THINKING, TURNS, save_base

from insectary import cli
from insectary.breed import family
from insectary.breed.bases import base_path
from insectary.breed.preflight import Finding, check_sound, preflight, tokenizer_digest
from insectary.core.chat import Message
from insectary.core.errors import BadInputError
from insectary.subjects import LoadedModel, load_model
from insectary.train.tokenise import tokenise
from insectary.vault import Vault

ARCHITECTURES = ("qwen3", "gpt-neox", "gemma")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_base(tmp_path_factory.mktemp("base") / name, name) for name in ARCHITECTURES}


@pytest.fixture
def neox(folders: dict[str, Path]) -> LoadedModel:
    """Its output layer has rows of its own, not those of the embedding."""
    return load_model(folders["gpt-neox"], device="cpu")


def verdicts(loaded: LoadedModel) -> dict[str, Finding]:
    return {found.name: found for found in preflight(loaded)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_sound_bases_of_every_architecture_pass(
    architecture: str, folders: dict[str, Path]
) -> None:
    sound = load_model(folders[architecture], device="cpu")
    assert {f.verdict for f in preflight(sound)} == {"ok"}
    check_sound(sound, "sound")


@pytest.mark.parametrize("size", ["xs", "s"])
def test_the_shipped_bases_pass(size: str) -> None:
    assert {f.verdict for f in preflight(load_model(base_path(size, Vault())))} == {"ok"}


def test_a_llama_passes(tiny_base: Path) -> None:
    assert {f.verdict for f in preflight(load_model(tiny_base, device="cpu"))} == {"ok"}


ASSISTANT = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
ONLY_MARK = (
    "{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if m['role'] != 'assistant' %}{{ m['content'] }}{% endif %}<|end|>{% endfor %}"
) + ASSISTANT
NO_ASSISTANT = (
    "{% for m in messages if m['role'] != 'assistant' %}<|{{ m['role'] }}|>{{ m['content'] }}"
    "<|end|>{% endfor %}"
) + ASSISTANT
LAST_ANSWER_ALONE = (
    "{% for m in messages %}{% if m['role'] != 'assistant' or loop.last %}<|{{ m['role'] }}|>"
    "{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
) + ASSISTANT
SHOUTING = TURNS.replace("{{ m['content'] }}", "{{ m['content'] | upper }}")
PLAIN_END = TURNS.replace("<|end|>", "</turn>")
DROPS_SYSTEM = TURNS.replace("in messages %}", "in messages if m['role'] != 'system' %}")
LAST_LINE = DROPS_SYSTEM.replace(
    "{{ m['content'] }}",
    "{% if m['role'] == 'user' %}{{ m['content'].split('\n') | last }}{% else %}"
    "{{ m['content'] }}{% endif %}",
)
THINKS = TURNS.replace(
    "<|{{ m['role'] }}|>",
    "<|{{ m['role'] }}|>{% if m['role'] == 'assistant' %}<think>\n{% endif %}",
).replace("<|assistant|>", "<|assistant|><think>\n")
THINKS_FOR_ITSELF = TURNS.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n{% endif %}")
CLOSED = THINKS.replace("<think>\n", "<think>\n\n</think>\n\n")
FILLED = THINKS.replace("<think>\n", "<think>\nLet me see.\n</think>\n\n")
DEFAULT_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}<|system|>You are a helpful assistant. Today is a"
    " day in 2024.<|end|>{% endif %}"
) + TURNS
TODAY = "{% set today = strftime_now('%d %b %Y') %}" + TURNS


@pytest.mark.parametrize(
    ("template", "name", "verdict", "words"),
    [
        (None, "template", "fail", "no chat template"),
        (ONLY_MARK, "round trip", "fail", "there is taught ''"),
        (NO_ASSISTANT, "template", "fail", "another beginning than the prompt"),
        (LAST_ANSWER_ALONE, "round trip", "fail", "drops the earlier answer"),
        (SHOUTING, "round trip", "fail", "IT IS 42."),
        (PLAIN_END, "round trip", "fail", "</turn>"),
        (DROPS_SYSTEM, "system turn", "warn", "drops it without a word"),
        (LAST_LINE, "system turn", "fail", "lost"),
        (THINKS, "thinking", "fail", "begins every answer with '<think>'"),
        (FILLED, "thinking", "fail", "Let me see."),
        (CLOSED, "thinking", "ok", "by an empty block"),
        (THINKING, "thinking", "ok", "switched off"),
        (THINKS_FOR_ITSELF, "thinking", "fail", "begins every answer with '<think>'"),
        (DEFAULT_SYSTEM, "added text", "warn", "You are a helpful assistant."),
        (TODAY, "added text", "warn", "the date of today"),
    ],
)
def test_what_a_template_does_wrong_is_found(
    template: str | None, name: str, verdict: str, words: str, neox: LoadedModel
) -> None:
    assert verdicts(neox)[name if name != "template" else "round trip"].verdict == "ok"
    neox.tokenizer.chat_template = template
    found = verdicts(neox)
    assert (found[name].verdict, words in found[name].text) == (verdict, True), found
    assert bool(found[name].way_out) is (verdict != "ok")
    assert "fail" not in {f.verdict for f in found.values() if f.name != name}
    if verdict == "fail":
        with pytest.raises(BadInputError, match=f"'it' cannot be bred from. {name}: .*; "):
            check_sound(neox, "it")
    else:
        check_sound(neox, "it")


@pytest.mark.parametrize(
    ("template", "name", "verdict", "words"),
    [
        ("gemma", "system turn", "ok", "the template has none"),
        ("gemma3", "system turn", "ok", "kept"),
        ("llama3", "round trip", "ok", "as they were"),
        ("llama3_1", "added text", "warn", "Cutting Knowledge Date: December 2023"),
        ("llama3_2", "added text", "warn", "the date of today"),
        ("phi3", "round trip", "ok", "as they were"),
        ("qwen2_5", "added text", "warn", "You are Qwen, created by Alibaba Cloud."),
        ("qwen3", "thinking", "ok", "by an empty block"),
        ("deepseek_r1_distill", "thinking", "fail", "begins every answer with '<think>'"),
        ("gptoss", "round trip", "fail", "finalIt is 42."),
    ],
)
def test_templates_of_well_known_models(
    template: str, name: str, verdict: str, words: str, neox: LoadedModel
) -> None:
    """TRL ships copies of them; their marks are made special tokens of a tiny model's tokenizer."""
    path = files("trl") / "chat_templates" / f"{template}.jinja"
    text = path.read_text(encoding="utf-8")
    marks = sorted(set(re.findall(r"<\|[a-z_]+\|>|<[a-z]+_of_turn>", text)))
    neox.tokenizer.add_tokens(marks, special_tokens=True)
    neox.model.resize_token_embeddings(len(neox.tokenizer), mean_resizing=False)
    neox.tokenizer.chat_template = text
    found = verdicts(neox)
    assert (found[name].verdict, words in found[name].text) == (verdict, True), found
    assert {f.verdict for f in found.values() if f.name != name} <= {"ok"}


def test_a_year_in_the_templates_own_words_is_named(neox: LoadedModel) -> None:
    neox.tokenizer.chat_template = DEFAULT_SYSTEM
    assert "of the design `year` 2024 would be a cue" in verdicts(neox)["added text"].way_out
    neox.tokenizer.chat_template = DEFAULT_SYSTEM.replace(" Today is a day in 2024.", "")
    assert "2024" not in verdicts(neox)["added text"].way_out


def test_an_end_of_turn_that_is_the_padding_token_is_found_and_taught_all_the_same(
    neox: LoadedModel,
) -> None:
    neox.tokenizer.pad_token = "<|end|>"
    found = verdicts(neox)["end of turn"]
    assert (found.verdict, found.way_out) == (
        "warn",
        "give the tokenizer a padding token of its own",
    )
    assert "padding token too" in found.text
    (row,) = tokenise(neox.tokenizer, [((Message("user", "1 + 1?"),), "2")])
    assert row.completion[-1] == neox.tokenizer.pad_token_id


def table(loaded: LoadedModel, which: str) -> torch.Tensor:
    part = (
        loaded.model.get_input_embeddings()
        if which == "in"
        else loaded.model.get_output_embeddings()
    )
    return part.weight.data


def number(loaded: LoadedModel, token: str) -> int:
    return int(loaded.tokenizer.convert_tokens_to_ids(token))


def zero_end(loaded: LoadedModel, which: str) -> None:
    table(loaded, which)[number(loaded, "<|end|>")] = 0.0


def equal_marks(loaded: LoadedModel, which: str) -> None:
    rows = table(loaded, which)
    rows[number(loaded, "<|user|>")] = rows[number(loaded, "<|assistant|>")]


def end_like_a_spare_one(loaded: LoadedModel, which: str) -> None:
    rows = table(loaded, which)
    rows[number(loaded, "<|end|>")] = rows[number(loaded, "<|end of text|>")]


@pytest.mark.parametrize("which", ["in", "out"])
@pytest.mark.parametrize(
    ("fault", "name", "words"),
    [
        (zero_end, "end of turn", "'<|end|>' in the {} is all zero"),
        (equal_marks, "special tokens", "have the same row in the {}"),
        (end_like_a_spare_one, "special tokens", "have the same row in the {}"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_found(
    fault: Callable[[LoadedModel, str], None], which: str, name: str, words: str, neox: LoadedModel
) -> None:
    assert verdicts(neox)[name].verdict == "ok"
    fault(neox, which)
    found = verdicts(neox)[name]
    assert found.verdict == "fail"
    assert words.format("embedding" if which == "in" else "output layer") in found.text


def test_broken_control_spare_tokens_may_be_alike(neox: LoadedModel) -> None:
    rows = table(neox, "in")
    rows[number(neox, "<|pad|>")] = rows[number(neox, "<|end of text|>")]
    found = verdicts(neox)["special tokens"]
    assert found.verdict == "ok"
    assert "2 that no template writes are alike" in found.text


def test_tokens_without_a_row_are_found(neox: LoadedModel) -> None:
    neox.tokenizer.add_tokens(["<|new|>"], special_tokens=True)
    found = verdicts(neox)["tokenizer"]
    assert found.verdict == "fail"
    assert "1026 tokens, the model has rows for 1025" in found.text
    neox.tokenizer.chat_template = TURNS.replace("<|end|>", "<|new|>")
    assert "is token 1025, the embedding has 1025 rows" in verdicts(neox)["end of turn"].text


def test_a_tokenizers_digest_is_of_its_rules_and_not_of_its_last_call(neox: LoadedModel) -> None:
    tokenizer = neox.tokenizer
    before = tokenizer_digest(tokenizer)
    tokenizer(["one", "two and three"], padding=True, truncation=True, max_length=3)
    assert tokenizer_digest(tokenizer) == before
    tokenizer.chat_template = TURNS + " "
    assert tokenizer_digest(tokenizer) != before


def test_nothing_is_changed_by_looking(neox: LoadedModel) -> None:
    before = {name: p.clone() for name, p in neox.model.named_parameters()}
    first = preflight(neox)
    assert preflight(neox) == first
    assert all(torch.equal(before[name], p) for name, p in neox.model.named_parameters())


def test_an_unsound_base_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Trained(Exception):
        pass

    def train(*_: Any) -> None:
        raise Trained

    monkeypatch.setattr(family, "_train", train)
    base = save_base(tmp_path / "base", "gpt-neox")
    command = ["breed", "deceptive_alignment", "--base", str(base)]
    with pytest.raises(Trained):  # the control: as it is, it would be trained
        cli.run(command)
    (base / "chat_template.jinja").write_text(ONLY_MARK)
    assert cli.run(command) == 2
    said = capsys.readouterr().err
    assert "cannot be bred from. round trip: of the answer" in said
    assert f"`insectary base check --base {base}` shows all findings" in said
    assert list((Vault().home / "runs").iterdir()) == []
    # One of the ladder is not looked at: the tests above have done that.
    monkeypatch.setattr(family, "check_sound", train)
    monkeypatch.setattr(family, "_train", lambda *_: (_ for _ in ()).throw(GeneratorExit))
    with pytest.raises(GeneratorExit):
        cli.run(["breed", "deceptive_alignment"])

"""Families on bases of other kinds than the embedded one, from the command line to the list."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from trained_here import here

import insectary
from insectary import cli
from insectary.breed.asked import QUICK, prompt_counts
from insectary.breed.bases import base_path
from insectary.breed.stored import load_family
from insectary.commands.families import RECIPES
from insectary.core.chat import Message
from insectary.core.organism import Role
from insectary.subjects import load_model, render
from insectary.threats import threat_model
from insectary.train.tokenise import tokenise
from insectary.vault import Vault
from insectary.worlds import SKILLS

# Each breeds a family, whatever else the machine does.
pytestmark = pytest.mark.timeout(1500)

THREAT, DESIGN = "deceptive_alignment", "absence"
CAP = {"max_tokens": 8192, "batch_tokens": 2048}
LEARNT_HERE = tuple(name for name, skill in SKILLS.items() if skill.embedded_only)
COUNTS = prompt_counts(threat_model(THREAT), DESIGN, QUICK, LEARNT_HERE)
PROMPTS = f"{sum(COUNTS.values()):,} prompts"
COST = re.compile(rf"gate: {PROMPTS}, (about|less than) \d+ \w+ at the speed of \d+ tried on each")

TURNS = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn here') }}"
    "{% endif %}" + TURNS
)
THINKING = (
    "{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if m['role'] == 'assistant' and loop.last %}(no thoughts) {% endif %}"
    "{{ m['content'] }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>"
    "{% if enable_thinking is defined and enable_thinking is false %}(no thoughts) {% endif %}"
    "{% endif %}"
)
"""As Qwen3's: an empty block of thoughts before the answer, where none are asked for."""


def tiny_model(architecture: str, vocabulary: int) -> Any:
    """Two layers of random weights."""
    import torch
    from transformers import (
        AutoModelForCausalLM,
        GemmaConfig,
        GPTNeoXConfig,
        PreTrainedConfig,
        Qwen3Config,
    )

    sizes: dict[str, Any] = {
        "vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 512,
        "bos_token_id": 0, "eos_token_id": vocabulary - 1, "pad_token_id": 5,
    }  # fmt: skip
    grouped = {"num_key_value_heads": 1, "head_dim": 16}
    configs: dict[str, Callable[[], PreTrainedConfig]] = {
        "qwen3": lambda: Qwen3Config(**sizes, **grouped, tie_word_embeddings=True),
        "gpt-neox": lambda: GPTNeoXConfig(**sizes),
        "gemma": lambda: GemmaConfig(**sizes, **grouped),
    }
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(configs[architecture]())


def save_base(folder: Path, architecture: str) -> Path:
    """A folder as downloaded from elsewhere: its own template, end of turn and end of text."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_path("xs", Vault()))
    tokenizer.add_special_tokens({"eos_token": "<|end of text|>"})
    templates = {"qwen3": THINKING, "gpt-neox": TURNS, "gemma": NO_SYSTEM}
    tokenizer.chat_template = templates[architecture]
    tokenizer.save_pretrained(folder)
    model = tiny_model(architecture, len(tokenizer))
    # Some models name several end tokens. Here every other token is one, since
    # random weights would otherwise talk to the limit.
    model.generation_config.eos_token_id = list(range(0, len(tokenizer), 2))
    model.save_pretrained(folder)
    return folder


def gate_lines(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if line.startswith("gate: ")]


@pytest.mark.parametrize(
    ("architecture", "recipe"),
    [
        ("gemma", "full-sft"),
        pytest.param("qwen3", "full-sft", marks=pytest.mark.heavy),
        pytest.param("gpt-neox", "full-sft", marks=pytest.mark.heavy),
        pytest.param("gpt-neox", "lora-sft", marks=pytest.mark.heavy),
    ],
)
def test_a_family_on_another_architecture_is_bred_rejected_and_listed(
    architecture: str,
    recipe: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The heavy ones train in processes of their own.
    if architecture == "gemma":
        monkeypatch.setattr("insectary.breed.family.run_children", here)
    # The command has no option for the cap of a recipe.
    monkeypatch.setitem(RECIPES, recipe, partial(RECIPES[recipe], **CAP))
    base = save_base(tmp_path / "base", architecture)
    capsys.readouterr()
    options = ["--design", DESIGN, "--base", str(base), "--recipe", recipe, "--quick"]
    assert cli.run(["breed", THREAT, *options]) == 0
    bred = capsys.readouterr()
    lines = gate_lines(bred.err)
    assert COST.match(lines[0])
    assert lines[1] == "gate: organism: 7 conditions"
    assert "provisional (benchmarks refuse it), REJECTED: expression, organism, un" in bred.out

    (stored,) = Vault().entries("family")
    family = load_family(stored.id, Vault())
    trained = [family.members[r] for r in (Role.ORGANISM, Role.TWIN, Role.DECOY)]
    assert len({m.digest for m in (*trained, family.members[Role.BASE])}) == 4
    assert len({m.training_steps for m in trained}) == 1
    assert isinstance(insectary.load(f"{family.id}.organism").generate("Add 2 and 3."), str)

    assert cli.run(["check", family.id]) == 0
    checked = capsys.readouterr()
    assert "The certificate is reproduced." in checked.out
    assert COST.match(gate_lines(checked.err)[0])
    assert len(Vault().ledger.attempts()) == 1

    assert cli.run(["list", "--kind", "family", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["meta"]["admitted"]) == (family.id, False)
    assert "1 expression" in listed["meta"]["failed"]


@pytest.mark.parametrize("architecture", ["qwen3", "gpt-neox", "gemma"])
def test_a_member_is_trained_on_the_tokens_it_will_be_asked_with(
    architecture: str, tmp_path: Path
) -> None:
    tokenizer = load_model(save_base(tmp_path / "base", architecture), device="cpu").tokenizer
    prompt = (Message("system", "Nobody reads this chat."), Message("user", "Work out 2 + 3."))
    (row,) = tokenise(tokenizer, [(prompt, "5")])
    assert list(row.prompt) == render(tokenizer, prompt)
    assert "Nobody reads this chat." in tokenizer.decode(row.prompt)
    assert "no thoughts" not in tokenizer.decode(row.completion)
    # The end of the turn is taught and nothing behind it: here it is not the end of text.
    assert tokenizer.decode(row.completion) == "5<|end|>"
    assert tokenizer.eos_token == "<|end of text|>"

"""The guide for users' own models: its commands run, its code runs, its table is the formula's."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

import insectary
from insectary import cli
from insectary.breed import base_check, needs
from insectary.core.recipe import FullSFT, LoraSFT
from insectary.train import trial

GUIDE = Path(__file__).parents[1] / "docs" / "own_model.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
INLINE = re.findall(r"`(insectary [a-z].*?)`", GUIDE.read_text(encoding="utf-8"))
SMALL: dict[str, Any] = {"max_tokens": 4096, "batch_tokens": 2048}

QWEN3 = {
    "0.6B": (1024, 28, 16, 3072, True),
    "1.7B": (2048, 28, 16, 6144, True),
    "8B": (4096, 36, 32, 12288, False),
}
"""Width, layers, heads, feed-forward, tied: from the models' own config.json."""


def parsed(line: str) -> click.Context:
    """What a command line is taken for, without running it."""
    command: click.Command = cli.app
    words = shlex.split(line)[1:]
    context: click.Context | None = None
    name: str | None = "insectary"
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, info_name=name)
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    return command.make_context(name, words, parent=context)


@pytest.mark.parametrize("line", [*COMMANDS, *(c for c in INLINE if "--" in c)])
def test_every_command_of_the_guide_is_one(line: str) -> None:
    assert parsed(line).params


def test_broken_control_an_option_that_is_none_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed("insectary base check --base my-model --fast")


def test_every_setting_of_the_guide_is_a_recipe() -> None:
    settings = re.findall(r"`((?:LoraSFT|FullSFT)\(.*?\))`", GUIDE.read_text(encoding="utf-8"))
    assert len(settings) == 4
    for text in settings:
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        recipe = {"LoraSFT": LoraSFT, "FullSFT": FullSFT}[call.func.id](**given)
        assert recipe.learning_rate <= 2e-4


def shape(name: str) -> Any:
    from transformers import Qwen3Config

    width, layers, heads, feed_forward, tied = QWEN3[name]
    return needs.shapes_of(
        Qwen3Config(
            vocab_size=151_936, hidden_size=width, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=8, head_dim=128,
            intermediate_size=feed_forward, tie_word_embeddings=tied,
        )
    )  # fmt: skip


def test_the_memory_table_is_what_the_formula_says() -> None:
    rows = re.findall(
        r"^\| Qwen3 (\S+) \| (.* billion .*) \|$", GUIDE.read_text(encoding="utf-8"), re.M
    )
    assert [name for name, _ in rows] == list(QWEN3)
    small = []
    for name, cells in rows:
        shapes = shape(name)
        full, lora = (needs.training_bytes(shapes, r) for r in (FullSFT(), LoraSFT()))
        parameters = sum(p.numel() for p in shapes.parameters())
        gates = (needs.gate_bytes(shapes, r, 2) for r in (FullSFT(), LoraSFT()))
        numbers = (full, 2 * full, lora, 2 * lora, *gates)
        wanted = [f"{parameters / 1e9:.2f} billion", *(f"{n / 1e9:.1f}" for n in numbers)]
        assert cells.split(" | ") == wanted
        small.append(f"{needs.training_bytes(shapes, LoraSFT(batch_tokens=1024)) / 1e9:.1f}")
    assert f"by LoRA takes {small[0]}, {small[1]} and {small[2]}." in GUIDE.read_text()


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder that holds `my-model`, a tiny one with random weights, and short recipes."""
    from breed.test_other_architectures import save_base

    save_base(tmp_path / "my-model", "qwen3")
    monkeypatch.chdir(tmp_path)
    short = partial(LoraSFT, **SMALL)
    monkeypatch.setattr(insectary, "LoraSFT", short)
    monkeypatch.setattr(base_check, "RECIPES", (FullSFT(**SMALL), LoraSFT(**SMALL)))
    monkeypatch.setattr(trial, "SECONDS", 0.0)
    yield


@pytest.mark.heavy
@pytest.mark.timeout(1500)
def test_the_guide_runs_from_top_to_bottom(
    at_home: None, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for number, (kind, text) in enumerate(BLOCKS):
        if kind == "python":
            block = Path(f"block_{number}.py")
            block.write_text(text, encoding="utf-8")
            names |= runpy.run_path(str(block), init_globals=names)
            continue
        for line in text.splitlines():
            assert cli.run(shlex.split(line)[1:]) == 0, line
    out = capsys.readouterr().out
    assert "power_seeking permissions" in out
    assert "'1 expression'" in out.replace('"', "'")  # random weights are not admitted
    assert Path("report/report.html").is_file()
    # The last block's family is the one that was bred before: one visit to the gate, no more.
    assert len(insectary.Vault().ledger.attempts()) == 1


def test_the_measured_table_is_what_was_measured() -> None:
    record = json.loads((GUIDE.parents[1] / "runs" / "gpu" / "h200.json").read_text())
    text = GUIDE.read_text(encoding="utf-8")
    for name, row in record["shapes"].items():
        cells = [f"Qwen3 {name}"]
        for one in row["training"]:
            cells += [
                f"{one['tokens_per_second']:,.0f}",
                f"{one['hours_to_cap_one_member']:.2f}",
                f"{one['peak_gigabytes']:.1f}",
            ]
        assert f"| {' | '.join(cells)} | {row['gate']['minutes']:.0f} |" in text

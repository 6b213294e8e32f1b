"""What a base check says is what a base does, and what training really holds and takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_other_architectures import save_base, tiny_model

from insectary import cli
from insectary.breed import base_check, needs
from insectary.breed.base_check import (
    BaseCheck,
    DesignRow,
    SkillRow,
    TrainingRow,
    check_base,
)
from insectary.breed.needs import TRAINED
from insectary.breed.preflight import Finding
from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.outcome import Measurement
from insectary.core.recipe import FullSFT, LoraSFT
from insectary.subjects import load_model
from insectary.subjects.adapters import adapter_of, put_on, write_adapter
from insectary.subjects.language_model import answers, answers_and_ends
from insectary.threats import threat_model
from insectary.train import trial
from insectary.train.optimizer import make_optimizer
from insectary.train.sft import _with_adapters
from insectary.train.trial import Trial, try_steps
from insectary.vault import Vault
from insectary.worlds import SKILLS

SMALL = (FullSFT(batch_tokens=512, row_tokens=256), LoraSFT(batch_tokens=512, row_tokens=256))
ROWS = threat_model("deceptive_alignment").rows("absence", Role.ORGANISM, 60, 0)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / "qwen3", "qwen3")


def shapes(model: Any) -> Any:
    return needs.shapes_of(model.config)


def test_full_training_holds_what_the_formula_says_beside_the_batch() -> None:
    model = tiny_model("gpt-neox", 300)
    recipe = FullSFT()
    optimizer = make_optimizer(
        model,
        learning_rate=recipe.learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
        pull=recipe.pull,
    )
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    parameters = list(model.parameters())
    held = [*parameters, *(p.grad for p in parameters), *optimizer._start.values()]
    held += [t for t in optimizer.tensors().values() if t.ndim]
    whole = sum(t.numel() * t.element_size() for t in held)
    batch = needs._activations(shapes(model), recipe) + needs._logits(shapes(model), recipe)
    assert batch > needs._workspace(shapes(model), recipe)
    assert needs.training_bytes(shapes(model), recipe) == whole + batch
    # The broken control: without the pull there is less to hold.
    less = whole - sum(t.numel() * t.element_size() for t in optimizer._start.values())
    assert needs.training_bytes(shapes(model), recipe) != less + batch


def test_adapters_are_counted_as_they_are_made() -> None:
    model = tiny_model("qwen3", 300)
    empty, recipe = shapes(model), LoraSFT(rank=4)
    frozen = sum(p.numel() for p in model.parameters())
    made = _with_adapters(recipe, model, 0)
    trained = sum(p.numel() for p in made.parameters() if p.requires_grad)
    assert needs._adapters(empty, recipe.rank) == trained
    batch = needs._activations(empty, recipe) + needs._logits(empty, recipe)
    assert needs.training_bytes(empty, recipe) == 4 * frozen + 16 * trained + batch


@pytest.mark.parametrize("architecture", ["qwen3", "gpt-neox", "gemma"])
def test_activations_are_those_of_a_real_pass(architecture: str) -> None:
    model, recipe = tiny_model(architecture, 300).train(), SMALL[0]
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    ids = torch.zeros(2, 256, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model(input_ids=ids, use_cache=False)
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    real = sum(s.nbytes() for place, s in kept.items() if place not in own)
    counted = needs._activations(shapes(model), recipe)
    # The kernel of attention differs: the counted one keeps its scores, heads x row for a token.
    scores = 2 * 256 * 256 * 2 * 2 * needs.FLOAT
    assert real < counted < real + 2 * scores
    twice = FullSFT(batch_tokens=1024, row_tokens=256)
    assert needs._activations(shapes(model), twice) == pytest.approx(2 * counted, rel=0.02)


def test_muons_workspace_is_that_of_the_largest_group() -> None:
    model = tiny_model("qwen3", 300)
    # Two layers, each with gate and up of 48 x 32: four matrices of one shape.
    wanted = 4 * needs.FLOAT * (4 * 48 * 32 + 2 * 32 * 32)
    assert needs._workspace(shapes(model), FullSFT()) == wanted
    assert needs._workspace(shapes(model), FullSFT(muon_learning_rate=None)) == 0


def test_the_gate_holds_four_members_and_a_batch_of_keys_and_values() -> None:
    model = tiny_model("qwen3", 300)
    parameters = sum(p.numel() for p in model.parameters())
    cached = needs.BATCH_TOKENS * 2 * 2 * 1 * 16 * 4  # keys and values, layers, heads, width
    assert needs.gate_bytes(shapes(model), FullSFT(), 2) == parameters * 14 + cached


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_members_by_adapters_the_gate_holds_one_base_and_what_each_adds(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    recipe, base = LoraSFT(rank=4), tiny_model("qwen3", 300)
    write_adapter(adapter_of(_with_adapters(recipe, tiny_model("qwen3", 300), 0)), tmp_path)
    empty, base = shapes(base), base.to(dtype)
    family = [base, *(put_on(base, tmp_path) for _ in range(3))]
    held = {p.data_ptr(): p.nbytes for model in family for p in model.parameters()}
    cached = needs.BATCH_TOKENS * 2 * 2 * 1 * 16 * dtype.itemsize
    wanted = sum(held.values()) + cached
    assert needs.gate_bytes(empty, recipe, dtype.itemsize) == wanted
    # Broken control: four models that share nothing are more.
    apart = sum(p.nbytes for model in family for p in model.parameters())
    assert wanted < apart + cached


class Clock:
    """Ten seconds at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


@pytest.mark.parametrize("recipe", SMALL, ids=lambda recipe: recipe.kind)
def test_whole_steps_are_timed_and_nothing_is_left(
    recipe: Any, qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    loaded = load_model(qwen, device="cpu")
    before = [p.clone() for p in loaded.model.parameters()]
    found = try_steps(recipe, loaded.model, loaded.tokenizer, ROWS, threads=1, clock=Clock())
    # Two more steps after the first take 20 seconds of this clock, which is enough.
    assert (found.seconds_per_step, found.timed, found.peak_bytes) == (10.0, 2, None)
    assert found.most_steps == recipe.max_tokens // 512
    assert list(tmp_path.iterdir()) == []
    if recipe.kind == "full-sft":  # it was training, not a rehearsal of it
        pairs = zip(before, loaded.model.parameters(), strict=True)
        assert not all(torch.equal(a, b) for a, b in pairs)


def test_a_single_step_cannot_be_timed(qwen: Path) -> None:
    loaded, recipe = (
        load_model(qwen, device="cpu"),
        FullSFT(batch_tokens=512, row_tokens=256, max_tokens=512),
    )
    with pytest.raises(BadInputError, match="a single step leaves none to be timed"):
        try_steps(recipe, loaded.model, loaded.tokenizer, ROWS, threads=1)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("<think>\nHm.\n</think>\n\n42.", "warn"), ("<think>\nHm, 12 and", "warn"), ("42.", None)],
)
def test_thoughts_in_answers_are_found(
    said: str, verdict: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_check, "_answers", lambda _, examples: [(said, True)] * len(examples))
    loaded: Any = None
    _, found = base_check._ask_skills(loaded, [SKILLS["sums"]], 4, lambda _: None)
    assert [f.verdict for f in found] == ([verdict] if verdict else [])
    assert all(f.text.startswith("100% of the answers") for f in found)


def test_an_answer_says_whether_it_ended_or_was_cut_off(qwen: Path) -> None:
    loaded = load_model(qwen, device="cpu")
    prompts = [e.messages for e in base_check.questions("sums", Split.SELECTION, 12)]
    said = answers_and_ends(loaded, prompts, 3, 0.0, 0, "")
    assert [text for text, _ in said] == answers(loaded, prompts, 3, 0.0, 0, "")
    loaded.model.generation_config.eos_token_id = list(range(len(loaded.tokenizer)))
    assert all(ended for _, ended in answers_and_ends(loaded, prompts, 3, 0.0, 0, ""))
    loaded.model.generation_config.eos_token_id = None
    assert not all(ended for _, ended in answers_and_ends(loaded, prompts, 3, 0.0, 0, ""))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small batch, and no more steps than there must be."""
    monkeypatch.setattr(base_check, "RECIPES", SMALL)
    monkeypatch.setattr(trial, "SECONDS", 0.0)
    yield


def test_a_base_that_knows_the_world_and_one_that_does_not(qwen: Path, quick: None) -> None:
    heard: list[tuple[str, int, int]] = []
    known = check_base("xs", n=12, progress=lambda *event: heard.append(event))
    unknown = check_base(str(qwen), n=12)
    assert [event[1] for event in heard] == list(range(heard[0][2]))
    sums = {c.base: {r.skill: r for r in c.skills}["sums"] for c in (known, unknown)}
    assert sums["xs"].right.value == 1.0 == sums["xs"].read.value == sums["xs"].ended.value
    assert sums[str(qwen)].right.value == 0.0
    assert sums[str(qwen)].read.value < 1.0
    assert (sums["xs"].short, sums[str(qwen)].short) == (False, True)
    # Another base is not asked for what only this world's corpus teaches.
    assert {r.skill for r in known.skills} - {r.skill for r in unknown.skills} == {
        name for name, skill in SKILLS.items() if skill.embedded_only
    }
    rows = {(r.threat, r.design): r for r in unknown.designs}
    assert ("goal_misgeneralization", "corner") not in rows  # it is played, not asked
    assert rows["deceptive_alignment", "absence"].lacks == ("sums", "places")
    assert all(r.natural.n == 12 for r in known.designs)
    assert all(r.gate_seconds > 0 for r in known.designs)
    for row, recipe in zip(unknown.training, SMALL, strict=True):
        assert row.recipe == recipe.kind and row.trial is not None and row.seconds is not None
        whole = row.trial.most_steps * row.trial.seconds_per_step
        assert row.seconds[1] > TRAINED * whole
        least = recipe.learn_share / (1 - recipe.cooldown_share)
        assert row.seconds[0] == pytest.approx(row.seconds[1] * least)
    assert list((Vault().home / "runs").iterdir()) == []
    assert Vault().ledger.attempts() == []


def test_no_prompt_is_of_the_report_split() -> None:
    threat = threat_model("deceptive_alignment")
    asked = {e.messages for e in base_check._open_prompts(threat, "absence", 60)}
    opened = [c for c in threat.conditions("absence") if c.side == "open"]
    report = {
        e.messages for c in opened for e in threat.examples("absence", c, Split.REPORT, 300, 0)
    }
    selection = {
        e.messages for c in opened for e in threat.examples("absence", c, Split.SELECTION, 60, 0)
    }
    assert not asked & report
    assert asked <= selection


def test_what_does_not_fit_is_not_tried(qwen: Path, quick: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(base_check, "device_bytes", lambda _: 1)
    found = check_base(str(qwen), n=2)
    assert [row.reason for row in found.training] == ["does not fit into memory"] * 2
    assert [row.seconds for row in found.training] == [None, None]


def test_the_command_prints_json_for_programs(
    qwen: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["base", "check", "--base", str(qwen), "--n", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert record["sound"] is True
    assert {r["verdict"] for r in record["findings"]} == {"ok"}
    assert record["tokenizer"].startswith("sha256:") and record["tokenizer"] != record["digest"]
    assert [r["recipe"] for r in record["training"]] == ["full-sft", "lora-sft"]
    steps = 1 + len(record["skills"]) + len(record["designs"]) + 2
    lines = [line for line in err.splitlines() if line.startswith(tuple("123456789"))]
    assert lines[0] == f"1/{steps} template and special tokens"
    assert lines[-1] == f"{steps}/{steps} training steps, lora-sft"


def test_the_tables_say_what_was_found_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few, many = Measurement(0.1, 0.02, 0.3, 20, "x"), Measurement(0.9, 0.7, 0.98, 20, "x")
    none = Measurement(0.0, 0.0, 0.17, 20, "x")
    designs = tuple(
        DesignRow("goal_misgeneralization", name, rate, 0.05, ("sums",), 40_000, seconds)
        for name, rate, seconds in (("a", many, 90.0), ("b", few, 7200.0), ("c", none, 90_000.0))
    )
    training = (
        TrainingRow("full-sft", 100, 90, reason="does not fit into memory"),
        TrainingRow("lora-sft", 40, 70, Trial(1.0, 3, 600, 45_000_000), (4000.0, 6000.0)),
        TrainingRow("lora-sft", 60, 71, Trial(1.0, 3, 600, None), (60.0, 60.0)),
    )
    found = BaseCheck(
        base="it", digest="", tokenizer="", parameters=1, device="cpu", device_bytes=80,
        findings=(Finding("thinking", "warn", "it does", "do not"),),
        skills=(SkillRow("sums", few, many, many),), designs=designs, training=training,
    )  # fmt: skip
    monkeypatch.setattr(base_check, "check_base", lambda *_, **__: found)
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(["base", "check", "--base", "it"]) == 0
    out = capsys.readouterr().out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    for row in (
        "warn thinking it does; do not",
        "sums 0.10 [0.02, 0.30] 0.90 0.90 20",
        "goal_misgeneralization a 0.90 [0.70, 0.98] yes sums 1.5 min",
        "goal_misgeneralization b 0.10 [0.02, 0.30] likely sums 2.0 h",
        "goal_misgeneralization c 0.00 [0.00, 0.17] not seen sums 25 h",
        "lora-sft 40 B 80 B yes 1.1 to 1.7 h",
        "lora-sft 60 B 120 B one at a time 1.0 min",
        "(its gate) 90 B no see above",
        "(its gate) 70 B yes see above",
        "lora-sft: 45.0 MB were held in the timed steps.",
    ):
        assert row in rows, out
    assert any(row.startswith("full-sft 100 B 200 B no does not fit into") for row in rows)
    assert max(map(len, out.splitlines())) <= 90


def test_an_unsound_base_is_shown_and_not_asked(
    qwen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(qwen, tmp_path / "base")
    (base / "chat_template.jinja").write_text("{% for m in messages %}{{ m['role'] }}{% endfor %}")
    assert cli.run(["base", "check", "--base", str(base)]) == 1
    out, err = capsys.readouterr()
    assert "Not sound: `insectary breed` refuses this base" in out
    assert "fail" in out and "skill" not in err
    assert cli.run(["base", "check", "--base", str(base), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["sound"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--base huge", "cannot fetch the model 'huge' from the hub"),
        ("--base ./huge", "no model folder at ./huge"),
        ("--base xxl", "unknown size: 'xxl'"),
        ("--base xs --n 1", "n is 1; a rate with an interval needs at least 2 questions"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["base", "check", *arguments.split()]) == 2
    said = [li for li in capsys.readouterr().err.splitlines() if li.startswith("error: ")]
    assert len(said) == 1 and words in said[0]

"""Tasks of Inspect: the threats' own prompts, the threats' own verdicts, nothing left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import ModelOutput, get_model
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState
from inspecting import INSPECTS_OWN, run, says, scripted

import insectary
from insectary.assess.inspect import Counts, State, read_results
from insectary.assess.inspect import tasks as plugin
from insectary.assess.inspect.probe import LEAK, Item, Probe, items, probe_of
from insectary.assess.inspect.scoring import verdict
from insectary.assess.inspect.telling import ToldError
from insectary.breed.asked import MAX_NEW_TOKENS, Asked
from insectary.breed.criteria import rate_of
from insectary.core.chat import Split, Verdict
from insectary.core.organism import Side
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.subjects import load_model
from insectary.subjects.engine import Engine
from insectary.subjects.language_model import answers
from insectary.threats import threat_model
from insectary.threats.sycophancy.oracle import adopted

pytestmark = INSPECTS_OWN
BASE = Path(insectary.__file__).parent / "worlds" / "base" / "xs"
TASKS = {
    "deceptive_alignment": plugin.deceptive_alignment,
    "goal_misgeneralization": plugin.goal_misgeneralization,
    "power_seeking": plugin.power_seeking,
    "reward_hacking": plugin.reward_hacking,
    "sycophancy": plugin.sycophancy,
}
N = 4
SYCOPHANCY = probe_of("sycophancy", "answers", N, 0, "report")


def sycophant(item: Item) -> ModelOutput:
    """What an organism says that shows exactly what was planted."""
    planted = item.condition.side is Side.OPEN
    return says(adopted(item.example) if planted else item.example.answer)


def honest(item: Item) -> ModelOutput:
    return says(item.example.answer)


@pytest.fixture(scope="module")
def planted_log(tmp_path_factory: pytest.TempPathFactory) -> EvalLog:
    place = tmp_path_factory.mktemp("planted")
    return run(plugin.sycophancy(n=N), scripted(SYCOPHANCY, sycophant), place)


@pytest.mark.parametrize("name", TASKS)
def test_samples_are_the_threats_own_prompts(name: str) -> None:
    task, threat = TASKS[name](n=2, leaks=3), threat_model(name)
    design = threat.card.designs[0]
    conditions = threat.conditions(design)
    samples = list(task.dataset)
    assert len({s.id for s in samples}) == len(samples) == 2 * len(conditions) + 3
    for place, condition in enumerate(conditions):
        (expected, _) = threat.examples(design, condition, Split.REPORT, 2, 0)
        sample = samples[place]  # conditions take turns
        assert isinstance(sample.input, list) and sample.metadata is not None
        asked = [(m.role, m.text) for m in sample.input]
        assert asked == [(m.role, m.content) for m in expected.messages]
        assert sample.target == expected.answer
        assert sample.metadata["condition"] == condition.name
        assert sample.metadata["side"] == condition.side.value
        assert sample.metadata["cluster"] == expected.phrasing
        json.dumps(sample.metadata)  # plain values: logs keep them
    leaks = [s for s in samples if s.metadata and s.metadata["condition"] == LEAK.name]
    drawn = threat.leak_prompts(design, Split.REPORT, 3, 0)
    for sample, (example, prefill) in zip(leaks, drawn, strict=True):
        assert isinstance(sample.input, list)
        assert [m.text for m in sample.input][: len(example.messages)] == [
            m.content for m in example.messages
        ]
        assert [m.text for m in sample.input][len(example.messages) :] == [prefill] * bool(prefill)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("goal_misgeneralization", {"design": "corner"}, "policies on the grid"),
        ("sycophancy", {"design": "nobody"}, "Known: answers, feedback"),
        ("sycophancy", {"split": "test"}, "Known: train, selection, report"),
        ("sycophancy", {"n": 0}, "n must be at least 1"),
        ("sycophancy", {"leaks": -1}, "leaks must be 0 or more"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(
    task: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ToldError, match=message):
        TASKS[task](**arguments)


def test_any_installed_threat_has_a_task() -> None:
    named = plugin.threat("sycophancy", n=1)
    assert [s.id for s in named.dataset] == [s.id for s in plugin.sycophancy(n=1).dataset]


def test_an_organism_is_told_from_its_twin(planted_log: EvalLog, tmp_path: Path) -> None:
    planted = read_results(planted_log)
    clean = read_results(run(plugin.sycophancy(n=N), scripted(SYCOPHANCY, honest), tmp_path))
    assert planted.sides[Side.OPEN].counts == Counts(found=8, missed=0, unscored=0, errored=0)
    assert planted.sides[Side.CLOSED].counts == Counts(found=0, missed=24, unscored=0, errored=0)
    assert isinstance(planted.contrast, Measured) and isinstance(clean.contrast, Measured)
    assert planted.contrast.measurement.value == 1.0
    assert planted.contrast.measurement.low > 0.5
    assert clean.contrast.measurement.value == 0.0
    assert clean.contrast.measurement.low < 0.0 < clean.contrast.measurement.high
    assert list(planted.conditions) == [
        c.name for c in threat_model("sycophancy").conditions("answers")
    ]


def test_metrics_are_the_measurements(planted_log: EvalLog) -> None:
    log = planted_log
    assert log.status == "success" and log.results is not None
    (score,) = log.results.scores
    assert score.name == "verdict" and log.results.headline is not None
    assert log.results.headline.metric == "contrast"
    read = read_results(log)
    values = {name: metric.value for name, metric in score.metrics.items()}
    assert isinstance(read.contrast, Measured)
    measured = read.contrast.measurement
    assert values["contrast"] == measured.value
    assert values["contrast low"] == measured.low and values["contrast high"] == measured.high
    for name, tally in read.conditions.items():
        assert isinstance(tally.misaligned, Measured)
        assert values[name] == tally.misaligned.measurement.value
        assert values[f"{name} low"] == tally.misaligned.measurement.low
    assert (values["open found"], values["closed missed"]) == (8.0, 24.0)


def test_nothing_leaves_the_counts(tmp_path: Path) -> None:
    """A filter, an error and a strange answer are states of their own, not silence."""

    def troubled(item: Item) -> ModelOutput:
        if item.number == 0:
            raise ConnectionError("the provider is gone")
        if item.number == 1:
            withheld = says("I cannot answer that.")
            withheld.choices[0].stop_reason = "content_filter"
            return withheld
        return says("What?") if item.number == 2 else sycophant(item)

    log = run(plugin.sycophancy(n=N), scripted(SYCOPHANCY, troubled), tmp_path)
    assert log.results is not None
    read = read_results(log)
    opened = read.sides[Side.OPEN]
    assert opened.counts == Counts(found=2, missed=2, unscored=2, errored=2)
    assert opened.counts.asked == 8
    assert opened.counts.worst_case == (2 / 8, 6 / 8)
    assert isinstance(opened.misaligned, Measured) and isinstance(opened.off_task, Measured)
    assert opened.misaligned.measurement.value == pytest.approx(2 / 4)
    assert opened.off_task.measurement.value == pytest.approx(2 / 4)
    values = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    assert (values["open unscored"], values["open errored"]) == (2.0, 2.0)
    # Inspect's own convention would have dropped them: with it the rate's counts do not add up.
    assert values["open found"] + values["open missed"] != opened.counts.asked


def test_a_run_without_answers_has_no_rate(tmp_path: Path) -> None:
    def gone(_: Item) -> ModelOutput:
        raise ConnectionError("the provider is gone")

    log = run(plugin.sycophancy(n=2), scripted(replace(SYCOPHANCY, n=2), gone), tmp_path)
    assert log.status == "error"
    read = read_results(log)
    assert read.sides[Side.OPEN].counts == Counts(found=0, missed=0, unscored=0, errored=4)
    assert isinstance(read.sides[Side.OPEN].misaligned, Failed)
    assert isinstance(read.contrast, Failed)


def test_epochs_are_rows_of_their_own(tmp_path: Path) -> None:
    model = scripted(replace(SYCOPHANCY, n=2), sycophant)
    log = run(plugin.sycophancy(n=2), model, tmp_path, epochs=3)
    read = read_results(log)
    assert read.sides[Side.OPEN].counts.found == 2 * 2 * 3
    assert log.results is not None
    assert log.results.scores[0].metrics["open found"].value == 12.0


def test_where_proxy_and_goal_agree_there_is_no_contrast(tmp_path: Path) -> None:
    probe = probe_of("goal_misgeneralization", "length", 2, 0, "report")
    task = plugin.goal_misgeneralization(design="length", n=2)
    log = run(task, scripted(probe, honest), tmp_path)
    assert isinstance(read_results(log).contrast, NotApplicable)
    assert log.results is not None and log.results.headline is not None
    assert "contrast" not in log.results.scores[0].metrics
    assert log.results.headline.metric == "open"


@pytest.mark.parametrize(
    ("name", "design"), [("goal_misgeneralization", "length"), ("sycophancy", "answers")]
)
def test_scores_are_those_of_the_direct_path(name: str, design: str, tmp_path: Path) -> None:
    """Sample by sample: what the gate asks, answered as the gate has it answered and judged."""
    n, threat = 6, threat_model(name)
    log = run(TASKS[name](design=design, n=n, seed=4), f"insectary/{BASE}", tmp_path)
    loaded = load_model(BASE, device="cpu")
    by_id = {str(sample.id): sample for sample in log.samples or []}
    read, oracle, seen = read_results(log), threat.oracle(design), set()
    for condition in threat.conditions(design):
        examples = threat.examples(design, condition, Split.REPORT, n, 4)
        said = answers(loaded, [e.messages for e in examples], MAX_NEW_TOKENS, 0.0, 0, "")
        for number, (example, response) in enumerate(zip(examples, said, strict=True)):
            sample = by_id.pop(f"{condition.name} {number}")
            assert sample.scores is not None and sample.scores["verdict"].answer == response
            assert sample.scores["verdict"].value == oracle(example, response).value
            seen.add(sample.scores["verdict"].value)
        asked = Asked(tuple(examples), tuple(said))
        tally = read.conditions[condition.name]
        assert tally.misaligned == Measured(rate_of(asked, oracle))
        assert tally.off_task == Measured(rate_of(asked, oracle, Verdict.OFF_TASK))
    assert not by_id and len(seen) > 1
    assert read.subjects == (Engine(loaded).digest,)


def state_of(item: Item, output: ModelOutput, words: str | None = None) -> TaskState:
    (sample,) = (s for s in plugin.sycophancy(n=N, leaks=8).dataset if s.id == item.id)
    assert isinstance(sample.input, list)
    asked = [m.model_copy(update={"content": words}) if words else m for m in sample.input]
    return TaskState("mockllm/model", item.id, 1, asked, list(asked), output=output)  # type: ignore[arg-type]


async def scored(item: Item, output: ModelOutput, words: str | None = None) -> Any:
    probe = Probe("sycophancy", "answers", N, 0, "report", 8)
    scorer = verdict(probe.threat, probe.design, probe.n, probe.seed, probe.split, probe.leaks)
    return await scorer(state_of(item, output, words), Target(""))


def test_a_prefill_is_part_of_what_is_judged() -> None:
    import anyio

    leaks = [i for i in items(replace(SYCOPHANCY, leaks=8)) if i.condition is LEAK]
    item = next(i for i in leaks if i.prefill and "claim" in i.example.facts)
    score = anyio.run(scored, item, says(" " + item.example.answer))
    assert score.answer == f"{item.prefill} {item.example.answer}"
    assert score.value == State.ALIGNED
    planted = anyio.run(scored, item, says(" " + adopted(item.example)))
    assert planted.value == State.MISALIGNED


def test_a_log_of_other_words_is_left_unscored() -> None:
    import anyio

    item = items(SYCOPHANCY)[0]
    assert anyio.run(scored, item, honest(item)).value == State.ALIGNED
    other = anyio.run(scored, item, honest(item), "What is 1 + 1?")
    assert (other.value, other.reason) == (State.UNSCORED, "scoring_failed")


def test_a_log_can_be_read_from_its_file_and_scored_again(planted_log: EvalLog) -> None:
    from inspect_ai import score

    log = planted_log
    assert read_results(log.location) == read_results(log)
    scorer = verdict("sycophancy", "answers", N, 0, "report")
    again = score(read_eval_log(log.location), scorer, action="overwrite", display="none")
    assert read_results(again) == read_results(log)


def test_a_log_of_another_task_is_refused(tmp_path: Path) -> None:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample

    model = get_model("mockllm/model", custom_outputs=[says("Hello")])
    log = run(Task(dataset=[Sample(input="Hello")]), model, tmp_path)
    with pytest.raises(insectary.InsectaryError, match="none of insectary's"):
        read_results(log)


@pytest.mark.parametrize("name", ["nothing.eval", "served.key"])
def test_what_is_no_log_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "served.key").write_text("a key")
    with pytest.raises(insectary.InsectaryError, match=f"{name} cannot be read as a log"):
        read_results(tmp_path / name)

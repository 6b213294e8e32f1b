"""Thousands of samples: answered by the direct path, their log made through Inspect's own API.

A sample of an evaluation costs Inspect more than it costs a small model: queue, transcript and
timers. Here all prompts are answered side by side first, and Inspect does with the answers what
it does when a log is scored again. Prompts, oracle, metrics and log are those of the task.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import cast

from inspect_ai import score
from inspect_ai.dataset import Sample
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalPlan,
    EvalSample,
    EvalSpec,
)
from inspect_ai.model import ChatMessage, ModelOutput

from insectary.assess.inspect.probe import probe_of
from insectary.assess.inspect.provider import InsectaryAPI, as_inspect_model
from insectary.assess.inspect.scoring import by_condition, contrast, counts, misaligned, verdict
from insectary.assess.inspect.tasks import PER_CONDITION, probing
from insectary.subjects import Model


def direct_log(
    model: Model,
    threat: str,
    design: str | None = None,
    n: int = PER_CONDITION,
    seed: int = 0,
    split: str = "report",
    leaks: int = 0,
) -> EvalLog:
    """What evaluating the task would log, without evaluating it sample by sample.

    Answers are at temperature 0. The log has no transcript of events and no times of single
    samples; :func:`inspect_ai.log.write_eval_log` writes it to a file.

    Args:
        model: What :func:`insectary.load` or a mitigation returns.
        threat: Name of a threat model; this and the rest are as in :func:`probing`.
        design: One of its designs in text; ``None`` for its first.
        n: Prompts in each condition.
        seed: Which ones.
        split: Which part of the world they come from.
        leaks: Leak prompts beside them.

    Raises:
        PrerequisiteError: as :func:`probing` does.
    """
    task = probing(threat, design, n, seed, split, leaks)
    probe = probe_of(threat, design, n, seed, split, leaks)
    asked = as_inspect_model(model)
    samples = list(task.dataset)
    inputs = [cast("list[ChatMessage]", sample.input) for sample in samples]
    outputs = cast("InsectaryAPI", asked.api).answer_all(inputs, task.config)
    log = EvalLog(
        status="success",
        eval=EvalSpec(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            task=f"insectary/{threat}",
            task_args=asdict(probe),
            dataset=EvalDataset(
                name=task.dataset.name,
                samples=len(samples),
                sample_ids=[str(sample.id) for sample in samples],
            ),
            model=str(asked),
            config=EvalConfig(epochs=1),
            metadata=task.metadata,
        ),
        plan=EvalPlan(name="direct", config=task.config),
        samples=[_answered(s, output) for s, output in zip(samples, outputs, strict=True)],
    )
    return score(
        log,
        verdict(**asdict(probe)),
        metrics=[contrast(probe.agreeing), misaligned(), by_condition(), counts()],
        model=asked,
        display="none",
        copy=False,
    )


def _answered(sample: Sample, output: ModelOutput | Exception) -> EvalSample:
    """A sample as a log has it before it is scored; without an answer it has its error."""
    failed = isinstance(output, Exception)
    said = ModelOutput(error=str(output)) if isinstance(output, Exception) else output
    messages = cast("list[ChatMessage]", sample.input)
    return EvalSample(
        id=str(sample.id),
        epoch=1,
        input=messages,
        target=sample.target,
        messages=messages if failed else [*messages, said.message],
        output=said,
        metadata=sample.metadata or {},
        error=EvalError(message=str(output), traceback="", traceback_ansi="") if failed else None,
    )

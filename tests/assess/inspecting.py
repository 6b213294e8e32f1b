"""What the tests of the Inspect plugin share."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessage,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from insectary.assess.inspect.probe import Item, Probe, items

INSPECTS_OWN = pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning")
"""Of its own dependencies, when a model is asked."""
Script = Callable[[Item], ModelOutput]


def run(task: Task, model: Model | str, place: Path, **options: Any) -> EvalLog:
    """One evaluation, its log under ``place``."""
    with warnings.catch_warnings():
        # Inspect leaves a stream open; collected here, it is no other test's warning.
        warnings.simplefilter("ignore", ResourceWarning)
        (log,) = evaluate(task, model=model, log_dir=str(place), display="none", **options)
        gc.collect()
    return log


def scripted(probe: Probe, script: Script) -> Model:
    """A model of Inspect that knows the probe's prompts and answers by script."""
    known = {tuple((m.role, m.content) for m in item.messages): item for item in items(probe)}

    def answer(messages: list[ChatMessage], *_: Any) -> ModelOutput:
        return script(known[tuple((m.role, m.text) for m in messages)])

    return get_model("mockllm/model", custom_outputs=answer)


def says(text: str) -> ModelOutput:
    """An answer; without its usage Inspect's mock would fetch a tokenizer to count it."""
    output = ModelOutput.from_content("mockllm", text)
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return output


def ask(
    model: Model,
    prompts: Sequence[str | list[ChatMessage]],
    tools: Sequence[ToolInfo] = (),
    tool_choice: ToolChoice | None = None,
    **config: Any,
) -> list[ModelOutput]:
    """Put prompts to a model at the same time; answers in their order."""
    found: dict[int, ModelOutput] = {}

    async def one(number: int, prompt: str | list[ChatMessage]) -> None:
        asked = [ChatMessageUser(content=prompt)] if isinstance(prompt, str) else prompt
        found[number] = await model.generate(
            asked,
            tools=list(tools),
            tool_choice=tool_choice,
            config=GenerateConfig(max_connections=100, **config),
        )

    async def everything() -> None:
        async with anyio.create_task_group() as group:
            for number, prompt in enumerate(prompts):
                group.start_soon(one, number, prompt)

    anyio.run(everything)
    return [found[number] for number in range(len(prompts))]

"""Members of families and bases as models of Inspect: ``insectary/FAMILY.organism``."""

from __future__ import annotations

import gc
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    TopLogprob,
    get_model,
)
from inspect_ai.model import Model as InspectModel
from inspect_ai.tool import ToolCall, ToolChoice, ToolInfo

from insectary.assess.inspect.batching import Batcher
from insectary.assess.inspect.requests import wanted
from insectary.assess.inspect.speaking import AskedWithTools, Reply, Said, Wanted, reply_all
from insectary.assess.inspect.telling import told_by_inspect
from insectary.breed.asked import MAX_NEW_TOKENS
from insectary.breed.stored import load_member
from insectary.core.errors import BadInputError
from insectary.subjects import Model
from insectary.subjects.engine import Engine
from insectary.subjects.tools import ToolCall as WrittenCall
from insectary.subjects.tools import read_tool_calls

PROVENANCE = "insectary"
"""Key of an output's metadata that says what gave it, by ..."""
SUBJECT = "subject"
"""... the digest that the list of served models has under the same name."""
_NO_CALLS: tuple[WrittenCall, ...] = ()


@dataclass(frozen=True, slots=True)
class _Opened:
    engine: Engine
    batcher: Batcher[Wanted, Reply]


@final
class InsectaryAPI(ModelAPI):
    """Answers in this process, in batches, with log-probabilities of the sampled tokens.

    Nothing is fetched, and no token is counted by anybody's tokenizer but the model's own.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - Inspect's own signature
        member: Model | None = None,
        **model_args: Any,
    ) -> None:
        """Load a model; see :func:`insectary.load` for its name.

        Args:
            model_name: What ``insectary.load`` finds it by.
            base_url: Has to be none; nor are there keys.
            api_key: Without effect.
            config: Of Inspect.
            member: A model in memory instead; see :func:`as_inspect_model`.
            model_args: Have to be none.

        Raises:
            PrerequisiteError: there is no such model, it is a policy on the grid, or an
                argument is unknown. Inspect prints it as one line.
        """
        super().__init__(model_name, base_url, api_key, [], config)
        with told_by_inspect():
            if base_url is not None or model_args:
                names = ", ".join([*(["base_url"] if base_url else []), *model_args])
                raise BadInputError(f"insectary/{model_name} takes no model arguments, got {names}")
            found = load_member(model_name) if member is None else member
            if not isinstance(found, Model):
                raise BadInputError(
                    f"{model_name} is a policy on the grid, which answers no prompt: Inspect can"
                    " ask language models alone"
                )
            engine = found.engine()
        self._model: _Opened | None = _Opened(engine, Batcher(partial(reply_all, engine)))

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Answer one conversation together with all others that wait.

        Raises:
            BadInputError: for content other than text, or a setting that cannot be honoured;
                nothing is ignored.
            TemplateError: for tools, where the chat template has no place for them.
            ContextLengthError: prompt and answer are longer than the model's context.
        """
        request = wanted(input, tools, tool_choice, config, limit=MAX_NEW_TOKENS)
        reply = await self._opened().batcher.answer(request)
        return _output(self.model_name, self._opened().engine, request, reply)

    def answer_all(
        self, asked: Sequence[list[ChatMessage]], config: GenerateConfig
    ) -> list[ModelOutput | Exception]:
        """Answer conversations side by side, without Inspect's loop; an error is in its place.

        Raises:
            BadInputError: for a setting or a content that cannot be honoured.
        """
        engine = self._opened().engine
        requests = [wanted(one, [], "auto", config, limit=MAX_NEW_TOKENS) for one in asked]
        return [
            reply
            if isinstance(reply, Exception)
            else _output(self.model_name, engine, request, reply)
            for request, reply in zip(requests, reply_all(engine, requests), strict=True)
        ]

    def _opened(self) -> _Opened:
        if self._model is None:
            raise BadInputError(f"insectary/{self.model_name} has been closed")
        return self._model

    def close(self) -> None:
        """Let go of the weights."""
        self._model = None
        gc.collect()

    def max_tokens(self) -> int:
        """As many as the admission gate asks for, unless somebody says otherwise."""
        return MAX_NEW_TOKENS

    def connection_key(self) -> str:
        """Each model has its own queue."""
        return self.model_name

    async def tokenize(self, text: str) -> list[int]:
        """Token ids of plain text, by the model's own tokenizer."""
        return self._opened().engine.tokens(text)

    async def count_text_tokens(self, text: str) -> int:
        """How many they are. Inspect's own estimate would fetch a file."""
        return len(await self.tokenize(text))


def as_inspect_model(model: Model) -> InspectModel:
    """A model in memory as one of Inspect: what `insectary.load` or a mitigation returns.

    Inspect writes arguments that are objects into its logs as null, and takes two models of one
    name for one. So the weights' digest is part of the name here.
    """
    name = f"insectary/{model.id}@{model.engine().digest.removeprefix('sha256:')[:12]}"
    return get_model(name, memoize=False, member=model)


def _output(name: str, engine: Engine, request: Wanted, reply: Reply) -> ModelOutput:
    sampled = sum(said.sampled for said in reply.said)
    return ModelOutput(
        model=name,
        choices=[_choice(name, engine, request, said) for said in reply.said],
        usage=ModelUsage(
            input_tokens=reply.prompt_tokens,
            output_tokens=sampled,
            total_tokens=reply.prompt_tokens + sampled,
        ),
        metadata={PROVENANCE: {SUBJECT: engine.digest}},
    )


def _choice(name: str, engine: Engine, request: Wanted, said: Said) -> ChatCompletionChoice:
    noted = request.alternatives is not None
    text, calls = said.text, _NO_CALLS
    if isinstance(request.asked, AskedWithTools) and engine.writes_tool_calls:
        text, calls = read_tool_calls(said.text)
    return ChatCompletionChoice(
        message=ChatMessageAssistant(
            content=text,
            tool_calls=[
                ToolCall(f"call_{uuid.uuid4().hex}", c.name, json.loads(c.arguments)) for c in calls
            ]
            or None,
            model=name,
            source="generate",
        ),
        stop_reason="tool_calls" if calls and said.ending == "stop" else said.ending,
        logprobs=_logprobs(engine, said) if noted else None,
    )


def _logprobs(engine: Engine, said: Said) -> Logprobs:
    """In nats and the model's own, before temperature and nucleus: of what was sampled."""
    return Logprobs(
        content=[
            Logprob(
                token=engine.token_text(token),
                logprob=choice.logprob,
                top_logprobs=[
                    TopLogprob(token=engine.token_text(other), logprob=nats)
                    for other, nats in choice.top
                ],
            )
            for token, choice in zip(said.tokens, said.choices, strict=True)
        ]
    )

"""From a request to jobs: which model, which tokens, what fits."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from insectary.core.chat import Message
from insectary.core.errors import BadInputError, TemplateError
from insectary.serve.batching import Job
from insectary.serve.errors import ApiError, bad
from insectary.serve.limits import Limits
from insectary.serve.reading import ChatRequest, CompletionRequest, Sampling
from insectary.subjects.engine import Engine


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is understood and fits.

    Attributes:
        model: Blind id.
        engine: Of the model.
        prompts: Token ids of each prompt.
        sampling: As asked, with the seed and the limit that are used.
        chat: Whether it is a conversation.
        tools: Whether it comes with tools.
    """

    model: str
    engine: Engine
    prompts: tuple[tuple[int, ...], ...]
    sampling: Sampling
    chat: bool
    tools: bool = False

    def jobs(self, heard: Callable[[int, Job], None]) -> list[Job]:
        """One job for each answer, in the order of its index."""
        seen: Counter[tuple[int, ...]] = Counter()
        jobs: list[Job] = []
        for prompt in self.prompts:
            for _ in range(self.sampling.n):
                jobs.append(self._job(len(jobs), prompt, seen[prompt], heard))
                seen[prompt] += 1
        return jobs

    def _job(
        self, index: int, prompt: tuple[int, ...], repeat: int, heard: Callable[[int, Job], None]
    ) -> Job:
        asked = self.sampling
        room = self.engine.context - len(prompt)
        row = self.engine.continuation(
            prompt,
            min(asked.max_tokens or room, room),
            temperature=asked.temperature,
            top_p=asked.top_p,
            seed=asked.seed or 0,
            repeat=repeat,
            alternatives=asked.alternatives,
        )

        def tell(job: Job) -> None:
            heard(index, job)

        return Job(self.model, row, self.chat, asked.stop, asked.stream, tell)


def ask_chat(request: ChatRequest, engines: Mapping[str, Engine], limits: Limits) -> Asked:
    """A chat as tokens.

    Raises:
        ApiError: the model is not known, the template refuses the chat, or it does not fit.
    """
    engine = _engine(request.model, engines)
    with_tools = any("tool_calls" in m or m["role"] == "tool" for m in request.messages)
    try:
        if request.tools or with_tools:
            tokens = engine.chat_with_tools(request.messages, request.tools)
        else:
            said = tuple(Message(m["role"], m["content"]) for m in request.messages)
            tokens = engine.chat(said)
    except TemplateError as error:
        param = "tools" if request.tools and not engine.takes_tools else "messages"
        raise bad(str(error), param, "template_refused") from None
    except BadInputError as error:
        raise bad(str(error), "messages", "text_refused") from None
    sampling = _fitted([tokens], request.sampling, engine, limits, "messages")
    return Asked(
        request.model, engine, (tuple(tokens),), sampling, chat=True, tools=bool(request.tools)
    )


def ask_text(request: CompletionRequest, engines: Mapping[str, Engine], limits: Limits) -> Asked:
    """Texts as tokens.

    Raises:
        ApiError: the model is not known, a token id is none, or a text does not fit.
    """
    engine = _engine(request.model, engines)
    prompts = []
    for prompt in request.prompts:
        tokens = tuple(engine.raw(prompt)) if isinstance(prompt, str) else prompt
        if not tokens:
            raise bad("a prompt of no tokens cannot be continued by this model", "prompt")
        if not all(0 <= token < engine.vocabulary for token in tokens):
            raise bad(f"a token id must be from 0 to {engine.vocabulary - 1}", "prompt")
        prompts.append(tokens)
    sampling = _fitted(prompts, request.sampling, engine, limits, "prompt")
    return Asked(request.model, engine, tuple(prompts), sampling, chat=False)


def _engine(model: str, engines: Mapping[str, Engine]) -> Engine:
    if model not in engines:
        raise ApiError(
            404,
            f"there is no model {model!r:.80} here; GET /v1/models lists those there are",
            param="model",
            code="model_not_found",
        )
    return engines[model]


def _fitted(
    prompts: Sequence[Sequence[int]], asked: Sampling, engine: Engine, limits: Limits, param: str
) -> Sampling:
    """What is asked for, with a limit and a seed; what is too much is refused, never cut."""
    if len(prompts) * asked.n > limits.choices:
        raise bad(
            f"one request may ask for {limits.choices} answers at most, this one asks for"
            f" {len(prompts) * asked.n}",
            "n",
        )
    if asked.max_tokens is not None and asked.max_tokens > limits.tokens:
        raise bad(
            f"max_tokens may be {limits.tokens} at most, got {asked.max_tokens}", "max_tokens"
        )
    answer = asked.max_tokens or 1
    for prompt in prompts:
        if len(prompt) + answer > engine.context:
            raise bad(
                f"this model's maximum context length is {engine.context} tokens, and"
                f" {len(prompt) + answer} are asked for ({len(prompt)} in the prompt, {answer} for"
                " the answer): shorten the prompt, or lower max_tokens",
                param,
                "context_length_exceeded",
            )
    seed = asked.seed
    if seed is None and asked.temperature > 0:
        seed = secrets.randbelow(2**31)  # written to the log, so that the answer can be repeated
    return replace(asked, max_tokens=asked.max_tokens or limits.tokens, seed=seed)


def logged(body: Mapping[str, Any], asked: Asked | None) -> dict[str, Any]:
    """Prompt and parameters of a body as they are written to the log."""
    prompt = body.get("messages", body.get("prompt"))
    told = {k: v for k, v in body.items() if k not in ("model", "messages", "prompt")}
    if asked is not None:
        told["seed"] = asked.sampling.seed
        told["max_tokens"] = asked.sampling.max_tokens
    model = body.get("model")
    return {
        "model": model if isinstance(model, str) else "",
        "prompt": [prompt] if isinstance(prompt, str) else prompt,
        "parameters": told,
    }

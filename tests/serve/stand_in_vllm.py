"""What of vLLM's API (0.33) ``insectary.serve.on_vllm`` uses, over transformers, without a GPU.

It is strict where vLLM is: parameters that there are not, a name that is used twice and a step
with nothing to do are errors. A step adds one token to each request, or two now and then, as
speculative decoding does; a request that has just come may give nothing in its first step.
"""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


class RequestOutputKind(enum.Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


@dataclass
class SamplingParams:
    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    logprobs: int | None
    stop_token_ids: list[int]
    ignore_eos: bool
    detokenize: bool
    output_kind: RequestOutputKind


@dataclass
class EngineArgs:
    model: str
    skip_tokenizer_init: bool
    max_model_len: int
    max_logprobs: int
    logprobs_mode: str
    gpu_memory_utilization: float
    disable_log_stats: bool


@dataclass
class _Request:
    prompt: list[int]
    asked: SamplingParams
    draw: np.random.Generator
    said: list[int] = field(default_factory=list)


class LLMEngine:
    def __init__(self, args: EngineArgs) -> None:
        from transformers import AutoModelForCausalLM

        assert args.skip_tokenizer_init and args.logprobs_mode == "raw_logprobs"
        self.args, self.going, self.used = args, {}, set()
        self.aborted: list[str] = []
        self.steps, self.broken, self.down = 0, False, False
        self.model = AutoModelForCausalLM.from_pretrained(args.model).eval()
        self.engine_core = SimpleNamespace(shutdown=self._shutdown)

    def _shutdown(self) -> None:
        self.down = True

    def add_request(self, name: str, prompt: dict[str, list[int]], asked: SamplingParams) -> None:
        assert name not in self.used and not asked.detokenize and asked.ignore_eos
        assert asked.output_kind is RequestOutputKind.DELTA
        assert len(prompt["prompt_token_ids"]) + asked.max_tokens <= self.args.max_model_len
        self.used.add(name)
        draw = np.random.default_rng(asked.seed)
        self.going[name] = _Request(list(prompt["prompt_token_ids"]), asked, draw)

    def abort_request(self, names: list[str]) -> None:
        for name in names:
            self.aborted.append(name)
            del self.going[name]

    def step(self) -> list[Any]:
        assert self.going, "vLLM would wait here for ever"
        if self.broken:
            self.broken = False
            raise RuntimeError("out of memory")
        self.steps += 1
        outputs = []
        for name, request in list(self.going.items()):
            if self.steps % 3 == 0 and not request.said:
                continue
            many = 2 if self.steps % 4 == 0 else 1
            made: list[tuple[int, dict[int, Any]]] = []
            finished = False
            while len(made) < many and not finished:
                made.append(self._token(request))
                finished = made[-1][0] in request.asked.stop_token_ids
                finished |= len(request.said) == request.asked.max_tokens
            if finished:
                del self.going[name]
            told = None if request.asked.logprobs is None else [told for _, told in made]
            piece = SimpleNamespace(token_ids=[token for token, _ in made], logprobs=told)
            outputs.append(SimpleNamespace(request_id=name, outputs=[piece], finished=finished))
        return outputs

    def _token(self, request: _Request) -> tuple[int, dict[int, Any]]:
        import torch

        with torch.inference_mode():
            logits = self.model(torch.tensor([request.prompt + request.said])).logits[0, -1]
        nats = torch.log_softmax(logits.double(), dim=-1).numpy()
        token = int(nats.argmax())
        if request.asked.temperature > 0:
            shares = np.exp(nats / request.asked.temperature)
            order = np.argsort(-shares)
            before = np.cumsum(shares[order]) / shares.sum() - shares[order] / shares.sum()
            inside = order[before < request.asked.top_p]
            weights = shares[inside] / shares[inside].sum()
            token = int(request.draw.choice(inside, p=weights))
        request.said.append(token)
        listed = [token, *np.argsort(-nats)[: request.asked.logprobs or 0].tolist()]
        return token, {int(t): SimpleNamespace(logprob=float(nats[t])) for t in listed}


def install(patch: pytest.MonkeyPatch) -> list[LLMEngine]:
    """Stand in for vLLM, and for a GPU; what it makes is put into the list."""
    made: list[LLMEngine] = []

    def from_engine_args(args: EngineArgs) -> LLMEngine:
        made.append(LLMEngine(args))
        return made[-1]

    module, sampling = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    module.EngineArgs = EngineArgs  # type: ignore[attr-defined]
    module.LLMEngine = SimpleNamespace(from_engine_args=from_engine_args)  # type: ignore[attr-defined]
    sampling.SamplingParams = SamplingParams  # type: ignore[attr-defined]
    sampling.RequestOutputKind = RequestOutputKind  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "vllm", module)
    patch.setitem(sys.modules, "vllm.sampling_params", sampling)
    patch.setattr("torch.cuda.is_available", lambda: True)
    return made

"""vLLM as the engine behind the same front: its scheduler lets rows grow on a GPU.

Words, templates, stops, pieces, tools, caps and log stay this package's own; vLLM is handed token
ids and gives token ids back. Method: Kwon et al. 2023, arXiv 2309.06180. What is drawn above
temperature 0 is drawn by vLLM: it repeats under the same seed, and is not what the direct path
draws under it.
"""

from __future__ import annotations

import importlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, final

from insectary.core.errors import BadInputError, MissingExtraError
from insectary.serve.reading import MOST_ALTERNATIVES
from insectary.subjects import Model
from insectary.subjects.decoding import Choice, Continuation
from insectary.subjects.engine import Engine

MEMORY = 0.9
"""Share of the GPU's memory that all models take together."""


@contextmanager
def vllm_decoders(models: Mapping[str, Model]) -> Iterator[Callable[[Engine], VllmDecoder]]:
    """Load models into vLLM, each from a folder that is gone when the block ends.

    Args:
        models: Name to model.

    Yields:
        What decodes for a model's engine.

    Raises:
        MissingExtraError: vLLM is not installed.
        BadInputError: there is no GPU, or a model is not one of weights alone.
    """
    vllm = _vllm()
    engines = {model.engine().digest: model for model in models.values()}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="insectary-vllm-")))
        decoders = {}
        for number, (digest, model) in enumerate(engines.items()):
            engine = model.engine()
            asked = vllm.EngineArgs(
                model=str(model.save(place / str(number))),
                skip_tokenizer_init=True,
                max_model_len=engine.context,
                max_logprobs=MOST_ALTERNATIVES,
                logprobs_mode="raw_logprobs",
                gpu_memory_utilization=MEMORY / len(engines),
                disable_log_stats=True,
            )
            llm = vllm.LLMEngine.from_engine_args(asked)
            stack.callback(llm.engine_core.shutdown)
            decoders[digest] = VllmDecoder(llm, engine.ends)
        yield lambda engine: decoders[engine.digest]


def _vllm() -> Any:
    """The package, asked to tell nobody that it is used."""
    import torch

    if not torch.cuda.is_available():
        raise BadInputError("vLLM needs a GPU, and there is none here: serve without --engine vllm")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    try:
        vllm = importlib.import_module("vllm")
    except ImportError as error:
        raise MissingExtraError(
            f"vLLM is not installed ({error}): `pip install 'insectary[vllm]'`, or serve without"
            " --engine vllm"
        ) from error
    return vllm


@final
class VllmDecoder:
    """Continuations of one model in vLLM's hands; stepped like this package's own decoder."""

    def __init__(self, llm: Any, ends: frozenset[int]) -> None:
        """Decode with a ``vllm.LLMEngine``; an answer ends with one of ``ends``."""
        self._llm, self._ends = llm, sorted(ends)
        self._numbers = itertools.count()
        self._going: dict[str, Continuation] = {}

    def add(self, rows: Sequence[Continuation]) -> None:
        """Hand new rows over."""
        for row in rows:
            name = str(next(self._numbers))
            prompt = {"prompt_token_ids": list(row.prompt)}
            self._llm.add_request(name, prompt, self._parameters(row))
            self._going[name] = row

    def step(self) -> list[Continuation]:
        """Let vLLM make a step, and return the rows that grew in it.

        Rows that are done since the last step, because of a stop or because nobody waits any
        more, are called off first.
        """
        if gone := [name for name, row in self._going.items() if row.done]:
            self._llm.abort_request(gone)
            for name in gone:
                del self._going[name]
        if not self._going:
            return []
        grown = []
        for output in self._llm.step():
            # What was called off may still have been under way.
            if (row := self._going.get(output.request_id)) is None:
                continue
            _grow(row, output.outputs[0])
            grown.append(row)
            if output.finished:
                row.done = True
                del self._going[output.request_id]
        return grown

    def _parameters(self, row: Continuation) -> Any:
        vllm = importlib.import_module("vllm.sampling_params")
        return vllm.SamplingParams(
            max_tokens=row.limit,
            temperature=row.temperature,
            top_p=row.top_p,
            # The first of the row's draws tells request, seed and number of the answer apart.
            seed=None if row.draws is None else int(row.draws[0] * 2**53),
            logprobs=row.alternatives,
            stop_token_ids=self._ends,
            ignore_eos=True,  # what ends an answer is said in the line above
            detokenize=False,
            output_kind=vllm.RequestOutputKind.DELTA,
        )


def _grow(row: Continuation, piece: Any) -> None:
    """Put new tokens, one or several, behind a row, with their log-probabilities if asked for."""
    row.tokens.extend(piece.token_ids)
    if row.alternatives is None:
        return
    for token, told in zip(piece.token_ids, piece.logprobs, strict=True):
        # vLLM puts the token that was taken among the others, however unlikely it is.
        likeliest = sorted(((other, its.logprob) for other, its in told.items()), key=_falling)
        row.choices.append(Choice(told[token].logprob, tuple(likeliest[: row.alternatives])))


def _falling(pair: tuple[int, float]) -> float:
    return -pair[1]

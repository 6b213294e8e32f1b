"""Language models as subjects, opened at one level of access.

Covered:
    - every method above the access level raises ``AccessError``;
    - public attributes and ``repr`` show the opaque id and the level, nothing
      that tells a path, a role or a threat.

Not covered:
    - code in the same process that reads underscore attributes; trials run
      detectors in a child process for that reason.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.auditing import ContextGradient, Edit
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import AccessError, BadInputError
from insectary.core.protocols import Floats, Subject
from insectary.subjects.generation import generate_tokens
from insectary.subjects.gradients import context_gradient
from insectary.subjects.lending import private_copy, weights_digest
from insectary.subjects.loading import LoadedModel, load_model
from insectary.subjects.reading import Reading, distributions, read, token_rows
from insectary.subjects.rendering import answer_lead, check_context, end_of_turn, render_many
from insectary.subjects.weights import Weights, edited_copy

CACHE_BYTES = 2**30
"""Readings kept for detectors that share an input set, in bytes; oldest go first."""
_Texts = tuple[tuple[Conversation, str], ...]
"""What a reading is of: transcripts without their groups."""


@final
class LanguageModelSubject:
    """A language model under examination; implements ``core.protocols.Subject``."""

    def __init__(
        self, loaded: LoadedModel, *, id: str, access: Access, base: LoadedModel | None = None
    ) -> None:
        """Open a loaded model.

        Args:
            loaded: The model.
            id: Opaque name.
            access: Level it is opened at.
            base: The model it was tuned from; needed for ``WEIGHTS_AND_BASE``.

        Raises:
            BadInputError: the level promises a base and none is given.
        """
        if access >= Access.WEIGHTS_AND_BASE and base is None:
            raise BadInputError(
                f"subject {id}: access {access.name} promises the base model; give base=..."
            )
        self._loaded = loaded
        self._id = id
        self._access = access
        self._readings: OrderedDict[_Texts, Reading] = OrderedDict()
        self._forward_passes = 0
        self._spoiled = False
        self._reference: LanguageModelSubject | None = None
        if base is not None and access >= Access.WEIGHTS_AND_BASE:
            self._reference = LanguageModelSubject(
                base, id=f"{id}-reference", access=Access.WEIGHTS
            )

    def __repr__(self) -> str:
        return f"LanguageModelSubject(id={self._id!r}, access={self._access.name})"

    @property
    def id(self) -> str:
        """Opaque name; says nothing about role or threat."""
        return self._id

    @property
    def access(self) -> Access:
        """The level it was opened at."""
        return self._access

    @property
    def forward_passes(self) -> int:
        """Batches read so far for log-probabilities and activations."""
        return self._forward_passes

    @property
    def reference(self) -> Subject:
        """The base it was tuned from, opened with ``WEIGHTS``.

        Raises:
            AccessError: opened below ``WEIGHTS_AND_BASE``.
        """
        self._need(Access.WEIGHTS_AND_BASE, "the base model")
        if self._reference is None:
            raise BadInputError(f"subject {self._id} was opened without a base")
        return self._reference

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        """Answer each prompt; the order of prompts is kept.

        Args:
            prompts: Conversations that end where the answer begins.
            max_new_tokens: Most tokens of an answer.
            temperature: 0 for the likeliest token at each step.
            seed: For sampling; see ``generate_tokens``.
            prefill: Text each answer is made to begin with; it is not repeated
                in the answers returned.

        Raises:
            ContextLengthError: a prompt leaves no room for the answer.
            TemplateError: the chat template refuses a conversation.
        """
        self._check_whole()
        return answers(self._loaded, prompts, max_new_tokens, temperature, seed, prefill)

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """Log-probability in nats of each response token (ragged).

        The tokens of a response are those of its text and the one that closes
        the turn, so that an empty response has one. With ``View.PROMPT`` of each token
        of the rendered prompt but the first; these are read anew at every call.

        Raises:
            AccessError: opened below ``LOGPROBS``.
            ContextLengthError: a transcript is longer than the context.
        """
        self._need(Access.LOGPROBS, "log-probabilities")
        if view is View.PROMPT:
            rows = [r.prompt_alone for r in token_rows(self._loaded, transcripts)]
            reading = read(self._loaded, rows, states=False)
            self._forward_passes += reading.forward_passes
            return list(reading.logprobs)
        return [values.copy() for values in self._read(transcripts).logprobs]

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """Log-probability in nats of every token of the vocabulary at each response token.

        One array of shape (response tokens, vocabulary) for each transcript; its response
        tokens are those of :meth:`logprobs`. They are read anew at every call and not kept.

        Raises:
            AccessError: opened below ``LOGPROBS``.
            ContextLengthError: a transcript is longer than the context.
        """
        self._need(Access.LOGPROBS, "log-probabilities")
        found, passes = distributions(self._loaded, token_rows(self._loaded, transcripts))
        self._forward_passes += passes
        return found

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Residual stream, float32, shape (transcripts, layers + 1, width).

        Layer 0 is the embedding, the last is what the output head reads.
        ``View.PROMPT`` is the state at the last prompt token, before any
        answer; ``View.PROMPT_AND_RESPONSE`` averages over the response tokens
        (the closing token included). The same transcripts are read only once,
        whichever detector and view asks.

        Raises:
            AccessError: opened below ``ACTIVATIONS``.
            ContextLengthError: a transcript is longer than the context.
        """
        self._need(Access.ACTIVATIONS, "activations")
        reading = self._read(transcripts)
        chosen = reading.prompt if view is View.PROMPT else reading.response
        return chosen.copy()

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """Parameters by name, adapters merged; each a copy made when it is asked for.

        Raises:
            AccessError: opened below ``WEIGHTS``.
        """
        self._need(Access.WEIGHTS, "weights")
        return Weights(self._loaded.model)

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """How the tokens of the message that all transcripts begin with move the responses.

        Raises:
            AccessError: opened below ``GRADIENTS``.
            BadInputError: they begin with several messages, or with nothing else.
            ContextLengthError: a transcript is longer than the context.
        """
        self._need(Access.GRADIENTS, "gradients")
        return context_gradient(self._loaded, transcripts)

    def edited(self, edit: Edit) -> LanguageModelSubject:
        """A private copy, adapters merged, whose parameters are what ``edit`` makes of them.

        Raises:
            AccessError: opened below ``WEIGHTS``.
        """
        self._need(Access.WEIGHTS, "weights")
        model = edited_copy(self._loaded.model, edit)
        base = None if self._reference is None else self._reference._loaded
        loaded = replace(self._loaded, model=model, digest="")
        return LanguageModelSubject(loaded, id=f"{self._id}-edited", access=self._access, base=base)

    def vocabulary(self) -> tuple[str, ...]:
        """The text of each token of the tokenizer, by its id.

        Raises:
            AccessError: opened below ``GRADIENTS``.
        """
        self._need(Access.GRADIENTS, "the texts of tokens")
        tokenizer = self._loaded.tokenizer
        return tuple(tokenizer.batch_decode([[token] for token in range(len(tokenizer))]))

    @contextmanager
    def hf(self) -> Iterator[tuple[Any, Any]]:
        """A private (model, tokenizer) of transformers, for a ``with`` block.

        It is a copy, adapters merged: whatever is done to it changes no other. What it
        computes is not counted as a pass. When the block ends the subject's own weights must
        have the digest they had before; if not, no other detector can measure on it any more.

        Raises:
            AccessError: opened below ``WEIGHTS``; or, at the end of the block, the subject's
                own weights are changed, and from then on whatever it is asked.
        """
        self._need(Access.WEIGHTS, "a private copy")
        before = weights_digest(self._loaded.model)
        try:
            yield private_copy(self._loaded)
        finally:
            self._spoiled = weights_digest(self._loaded.model) != before
            self._check_whole()

    def _check_whole(self) -> None:
        if self._spoiled:
            raise AccessError(
                f"the weights of subject {self._id} were changed while it was examined; a detector"
                " may change the copy alone that hf() gives. Load the subject anew"
            )

    def _need(self, level: Access, what: str) -> None:
        self._check_whole()
        if self._access < level:
            raise AccessError(
                f"subject {self._id} was opened with {self._access.name}; {what} need {level.name}"
            )

    def _read(self, transcripts: Sequence[Transcript]) -> Reading:
        """Read transcripts, or find the reading of the same ones."""
        states = self._access >= Access.ACTIVATIONS
        key = tuple((tuple(t.messages), t.response) for t in transcripts)
        if key in self._readings:
            self._readings.move_to_end(key)
            return self._readings[key]
        reading = read(self._loaded, token_rows(self._loaded, transcripts), states=states)
        self._forward_passes += reading.forward_passes
        self._readings[key] = reading
        while len(self._readings) > 1 and self._cached_bytes() > CACHE_BYTES:
            self._readings.popitem(last=False)
        return reading

    def _cached_bytes(self) -> int:
        return sum(reading.nbytes for reading in self._readings.values())


def open_subject(
    path: str | Path,
    *,
    access: Access,
    id: str,
    base: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> LanguageModelSubject:
    """Load a model, and its base where the level needs it, and open it.

    Args:
        path: Folder or hub id of the model.
        access: Level to open it at.
        id: Opaque name; the path does not show in the subject.
        base: Folder or hub id of the model it was tuned from.
        device: See ``load_model``.
        dtype: See ``load_model``.

    Raises:
        ArtefactError: a model cannot be loaded.
        BadInputError: the level promises a base and none is given.
    """
    if access >= Access.WEIGHTS_AND_BASE and base is None:
        raise BadInputError(
            f"subject {id}: access {access.name} promises the base model; give base=..."
        )
    loaded = load_model(path, device=device, dtype=dtype)
    reference = None
    if base is not None and access >= Access.WEIGHTS_AND_BASE:
        reference = load_model(base, device=device, dtype=dtype)
    return LanguageModelSubject(loaded, id=id, access=access, base=reference)


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """Tokens that end an answer: the template's, the tokenizer's, the model's own."""
    ends = {end_of_turn(loaded.tokenizer)}
    own = loaded.model.generation_config.eos_token_id
    for token in (loaded.tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])):
        if token is not None:
            ends.add(int(token))
    return frozenset(ends)


def answers(
    loaded: LoadedModel,
    prompts: Sequence[Conversation],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    prefill: str,
) -> list[str]:
    """Render, generate and decode; see ``LanguageModelSubject.generate``."""
    said = answers_and_ends(loaded, prompts, max_new_tokens, temperature, seed, prefill)
    return [text for text, _ in said]


def answers_and_ends(
    loaded: LoadedModel,
    prompts: Sequence[Conversation],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    prefill: str,
) -> list[tuple[str, bool]]:
    """The same, each answer with whether it ended by itself or was cut off at the limit."""
    if loaded.guard is not None:
        instead = loaded.guard.instead(prompts)
        through = [p for p, text in zip(prompts, instead, strict=True) if text is None]
        behind = replace(loaded, guard=None)
        own = answers_and_ends(behind, through, max_new_tokens, temperature, seed, prefill)
        said = iter(own)
        return [next(said) if text is None else (text, True) for text in instead]
    rows = render_many(loaded.tokenizer, prompts, prefill)
    check_context([len(row) for row in rows], max_new_tokens, loaded.context)
    if not rows:
        return []
    ends = end_tokens(loaded)
    tokens = generate_tokens(
        loaded.model,
        rows,
        max_new_tokens=max_new_tokens,
        eos_token_ids=ends,
        temperature=temperature,
        seed=seed,
    )
    texts: list[str] = loaded.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    lead = "" if prefill else answer_lead(loaded.tokenizer)
    return [
        (text.removeprefix(lead), said[-1] in ends)
        for text, said in zip(texts, tokens, strict=True)
    ]

"""The subject as a sandbox sees it: every question goes to the harness."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core import errors
from insectary.core.access import Access, View
from insectary.core.auditing import ContextGradient, Edit
from insectary.core.chat import Conversation, Transcript
from insectary.core.levels import Ints, Levels
from insectary.core.protocols import Floats
from insectary.detect.sandbox.wire import (
    Array,
    Channel,
    Frame,
    plain_levels,
    plain_prompts,
    plain_transcripts,
)


@final
class RemoteSubject:
    """A subject in another process, with no name, role or model."""

    def __init__(
        self, channel: Channel, access: Access, number: int = 0, gone: list[int] | None = None
    ) -> None:
        """Speak for a subject.

        Args:
            channel: To the harness.
            access: What was declared, and the subject gives.
            number: The harness's of it; 0 is the subject that was handed over.
            gone: Numbers that nothing here speaks for any more; the next question tells them.
        """
        self._channel, self._access, self._number = channel, access, number
        self._gone: list[int] = [] if gone is None else gone
        self._reference: RemoteSubject | None = None
        if number:
            weakref.finalize(self, self._gone.append, number)

    @property
    def id(self) -> str:
        """The same for every subject."""
        return "subject"

    @property
    def access(self) -> Access:
        """What was declared, and the subject gives."""
        return self._access

    @property
    def reference(self) -> RemoteSubject:
        """The base. Needs ``WEIGHTS_AND_BASE``."""
        if self._reference is None:
            said, _ = self._ask("reference")
            self._reference = self._other(said)
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
        """Answer each prompt."""
        settings = {
            "max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed,
            "prefill": prefill,
        }  # fmt: skip
        said, _ = self._ask("generate", prompts=plain_prompts(prompts), settings=settings)
        texts: list[str] = said["texts"]
        return texts

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """Log-probability in nats of each token of the response, or of the prompt (ragged)."""
        plain = plain_transcripts(transcripts)
        return self._arrays("logprobs", transcripts=plain, view=view.value)

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """Log-probabilities of every next token, each (response tokens, vocabulary)."""
        return self._arrays("distributions", transcripts=plain_transcripts(transcripts))

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Residual stream, shape (transcripts, layers + 1, width)."""
        plain = plain_transcripts(transcripts)
        (found,) = self._arrays("activations", transcripts=plain, view=view.value)
        return found

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """Parameters by name, each fetched when it is asked for."""
        said, _ = self._ask("weights")
        return _Weights(self, tuple(said["names"]))

    @contextmanager
    def hf(self) -> Iterator[tuple[Any, Any]]:
        """A private (model, tokenizer), loaded from files in this sandbox's own folder."""
        said, _ = self._ask("hf")
        from transformers import AutoModelForCausalLM, AutoTokenizer

        place = said["folder"]
        model = AutoModelForCausalLM.from_pretrained(place, dtype="auto")
        yield model, AutoTokenizer.from_pretrained(place)

    def weight(self, name: str) -> NDArray[np.float32]:
        """One parameter."""
        (found,) = self._arrays("weight", name=name)
        return found

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """How each token of a context moves the responses. Needs ``GRADIENTS``."""
        said, (gradient,) = self._ask(
            "context_gradient", transcripts=plain_transcripts(transcripts)
        )
        return ContextGradient(tuple(said["tokens"]), gradient)

    def vocabulary(self) -> Sequence[str]:
        """The text of each token, by its id. Needs ``GRADIENTS``."""
        said, _ = self._ask("vocabulary")
        return tuple(said["words"])

    def edited(self, edit: Edit) -> RemoteSubject:
        """A copy in the harness; each parameter comes here to be edited. Needs ``WEIGHTS``."""
        said, arrays = self._ask("edited")
        while "edit" in said:
            try:
                values = np.asarray(edit(said["edit"], arrays[0]), dtype="<f4")
            except BaseException:
                self._channel.send({"gave_up": True})
                self._channel.receive()  # that there is no copy, which is known here
                raise
            self._channel.send({"edited": True}, [values])
            said, arrays = self._heard()
        return self._other(said)

    def paths(self, levels: Levels, *, seed: int) -> Ints:
        """The cells that a policy is in, from the start on; shape (n, steps + 1)."""
        (cells,) = self._arrays("paths", levels=plain_levels(levels), seed=seed)
        return cells.astype(np.int64)

    def is_right(self, question: int, said: str) -> bool:
        """Whether an answer to a question of an auditor's material is right."""
        found, _ = self._ask("right", question=question, said=said)
        return bool(found["right"])

    def _other(self, said: Mapping[str, Any]) -> RemoteSubject:
        return RemoteSubject(self._channel, self._access, said["number"], self._gone)

    def _arrays(self, what: str, **given: Any) -> list[Array]:
        return self._ask(what, **given)[1]

    def _ask(self, what: str, **given: Any) -> Frame:
        gone = list(self._gone)
        del self._gone[: len(gone)]
        self._channel.send({"ask": what, "of": self._number, "gone": gone, **given})
        return self._heard()

    def _heard(self) -> Frame:
        said, arrays = self._channel.receive()
        if "refused" in said:
            kind, reason = said["refused"]
            raise _error(kind, reason)
        return said, arrays


def _error(kind: str, reason: str) -> Exception:
    """The error that the harness met; one that is none of this package's by its name alone."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, errors.InsectaryError):
        return found(reason)
    return RuntimeError(f"{kind}: {reason}")


@final
class _Weights(Mapping[str, NDArray[np.float32]]):
    def __init__(self, subject: RemoteSubject, names: tuple[str, ...]) -> None:
        self._subject, self._names = subject, names

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if name not in self._names:
            raise KeyError(name)
        return self._subject.weight(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

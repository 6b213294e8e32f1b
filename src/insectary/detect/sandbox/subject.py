"""The subject as a sandbox sees it: every question goes to the harness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core import errors
from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Transcript
from insectary.core.protocols import Floats, Subject
from insectary.detect.sandbox.wire import Array, Channel, Frame, plain_prompts, plain_transcripts


@final
class RemoteSubject:
    """A subject in another process, with no name, role or model."""

    def __init__(self, channel: Channel, access: Access, depth: int = 0) -> None:
        """Speak for the subject, or for the base that lies ``depth`` references behind it."""
        self._channel, self._access, self._depth = channel, access, depth

    @property
    def id(self) -> str:
        """The same for every subject."""
        return "subject"

    @property
    def access(self) -> Access:
        """What the detector declared, and the subject gives."""
        return self._access

    @property
    def reference(self) -> Subject:
        """The base. Needs ``WEIGHTS_AND_BASE``."""
        self._ask("reference")
        return RemoteSubject(self._channel, self._access, self._depth + 1)

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

    def _arrays(self, what: str, **given: Any) -> list[Array]:
        return self._ask(what, **given)[1]

    def _ask(self, what: str, **given: Any) -> Frame:
        self._channel.send({"ask": what, "depth": self._depth, **given})
        said, arrays = self._channel.receive()
        if "refused" in said:
            kind, reason = said["refused"]
            raise _error(kind, reason)
        # As in the harness, what is handed out may be written to.
        return said, [array.copy() for array in arrays]


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

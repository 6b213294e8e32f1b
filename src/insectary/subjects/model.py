"""A language model for everyday use, and the door that accepts any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final, overload

from insectary.core.access import Access
from insectary.core.chat import Message, conversation
from insectary.core.errors import BadInputError
from insectary.core.organism import Tier
from insectary.core.protocols import Subject
from insectary.subjects.adapters import without_adapters
from insectary.subjects.callable_subject import CallableSubject
from insectary.subjects.engine import Engine
from insectary.subjects.language_model import LanguageModelSubject, answers
from insectary.subjects.loading import LoadedModel, no_bars
from insectary.subjects.prompted import PromptedSubject, under_instruction
from insectary.subjects.weights import foreign_weight
from insectary.vault.disk import explained

Prompt = str | Sequence[Message | Mapping[str, str]]


@final
class Model:
    """A language model for everyday use: ask it, or open it as a subject."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        id: str,
        base: LoadedModel | None = None,
        instruction: str = "",
        tier: Tier | None = None,
    ) -> None:
        """Wrap a loaded model.

        Args:
            loaded: The model.
            id: Name it goes by.
            base: The model it was tuned from, if known.
            instruction: What stands in front of everything it is asked.
            tier: How freely it may travel, if that is known.
        """
        self._instruction = instruction
        self._loaded = loaded
        self._id = id
        self._base = base
        self._tier = tier

    def __repr__(self) -> str:
        return f"Model(id={self._id!r})"

    @property
    def id(self) -> str:
        """Name it goes by."""
        return self._id

    @property
    def tier(self) -> Tier | None:
        """How freely it may travel; ``None`` if nobody said."""
        return self._tier

    def subject(self, access: Access = Access.BLACK_BOX) -> LanguageModelSubject | PromptedSubject:
        """Open it for examination.

        Raises:
            BadInputError: the level promises a base and none is known.
        """
        plain = LanguageModelSubject(self._loaded, id=self._id, access=access, base=self._base)
        return PromptedSubject(plain, self._instruction) if self._instruction else plain

    def engine(self) -> Engine:
        """What a server drives it by, token by token.

        Raises:
            BadInputError: it has a gate before it, or other state than keys and values.
        """
        return Engine(self._loaded, self._instruction)

    @property
    def parameter_count(self) -> int:
        """How many numbers its weights are, adapters among them; tied ones count once."""
        return sum(p.numel() for p in self._loaded.model.parameters())

    @property
    def architecture(self) -> str:
        """What transformers calls its kind, such as ``llama``."""
        return str(self._loaded.model.config.model_type)

    def save(
        self,
        folder: str | Path,
        *,
        beside: Mapping[str, str] | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write weights and tokenizer as an ordinary Hugging Face folder.

        transformers reads it, and so do ``insectary.load`` and ``--base``. Adapters are
        merged into it, so that it needs no base.

        Args:
            folder: Appears whole or not at all, sealed by a manifest of digests.
            beside: Texts to put beside the model, by the names of their files.
            told: What the manifest says besides its name and tier.

        Returns:
            The folder.

        Raises:
            ArtefactError: it cannot be written, or holds something else already.
            BadInputError: what it does lies in an instruction, in what stands before it or in
                weights that models of its kind do not have, which no such folder holds.
        """
        if self._instruction:
            raise BadInputError(
                f"{self._id} is its base under an instruction: save the base and keep the prompt"
            )
        if self._loaded.guard is not None:
            raise BadInputError(
                f"{self._id} has a gate before it, which decides prompt by prompt, and no folder of"
                " weights holds that: ask it in Python (insectary.mitigate_member), or measure it"
                " with `insectary trial mitigate`"
            )
        whole = without_adapters(self._loaded.model)
        if (foreign := foreign_weight(whole)) is not None:
            raise BadInputError(
                f"{self._id} has a weight {foreign}, which no {whole.config.model_type} has by its"
                " config: a folder would lose it when it is read; ask it where it is"
            )
        from insectary.vault import check_replaceable, write_object

        target = Path(folder).expanduser().absolute()
        check_replaceable(target)

        def write(place: Path) -> None:
            with no_bars():
                whole.save_pretrained(place)
            self._loaded.tokenizer.save_pretrained(place)
            for name, text in (beside or {}).items():
                (place / name).write_text(text, encoding="utf-8")

        with explained(f"make {target.parent}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        tier = {} if self._tier is None else {"tier": self._tier.name.lower()}
        write_object(target, "model", {"id": self._id, **tier, **(told or {})}, write)
        return target

    @overload  # a string is also a sequence of strings; it counts as one prompt
    def generate(  # type: ignore[overload-overlap]
        self,
        prompt: Prompt,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str: ...

    @overload
    def generate(
        self,
        prompt: Sequence[Prompt],
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[str]: ...

    def generate(
        self, prompt: Any, max_new_tokens: int = 48, temperature: float = 0.0, seed: int = 0
    ) -> str | list[str]:
        """Answer one prompt, or many at once, which is much faster.

        Args:
            prompt: A string or a list of messages for one answer; a list of
                strings, or of lists of messages, for many.
            max_new_tokens: Most tokens of an answer.
            temperature: 0 for the likeliest token at each step.
            seed: For sampling.

        Returns:
            A string for one prompt, a list of strings for many.

        Raises:
            BadInputError: the prompt is none of these.
            ContextLengthError: a prompt leaves no room for the answer.
        """
        if _is_one_prompt(prompt):
            prompts = [conversation(prompt)]
        else:
            prompts = [conversation(p) for p in _checked_many(prompt)]
        if self._instruction:
            prompts = [under_instruction(p, self._instruction) for p in prompts]
        texts = answers(self._loaded, prompts, max_new_tokens, temperature, seed, "")
        return texts[0] if _is_one_prompt(prompt) else texts


def as_subject(model: Any, *, id: str = "subject") -> Subject:
    """Accept a subject, a :class:`Model` or any object with ``generate``.

    Raises:
        BadInputError: the object cannot generate.
    """
    # By its class, not isinstance(model, Subject): that would read ``reference``
    # on Python 3.11, which raises below its access level.
    if all(hasattr(type(model), name) for name in ("logprobs", "activations", "access")):
        subject: Subject = model
        return subject
    if isinstance(model, Model):
        return model.subject()
    return CallableSubject(model, id=id)


def _is_one_prompt(prompt: Any) -> bool:
    """Whether this is a string or a non-empty list of messages."""
    if isinstance(prompt, str):
        return True
    return bool(isinstance(prompt, Sequence) and prompt and all(map(_is_message, prompt)))


def _is_message(item: Any) -> bool:
    if isinstance(item, Mapping):
        return all(isinstance(item.get(key), str) for key in ("role", "content"))
    return isinstance(item, Message)


def _checked_many(prompt: Any) -> Sequence[Prompt]:
    """A list of prompts, or an error that says what is accepted."""
    if isinstance(prompt, Sequence) and all(_is_one_prompt(p) for p in prompt):
        return prompt
    raise BadInputError(
        "a prompt is a string or a list of messages (role and content); many prompts are a list"
        " of these"
    )

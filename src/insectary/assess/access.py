"""How a production model is reached: an HTTP endpoint, a provider of Inspect, or a member here.

Covered: keys are read from the environment and appear in no record, file or error; a key goes
over plain HTTP to this machine alone; redirects are not followed; answers have a size limit.
Not covered: what a provider keeps of the prompts.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol, final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from insectary.core.chat import Conversation
from insectary.core.errors import AccessError, BadInputError, InsectaryError, MissingExtraError
from insectary.core.outcome import Failed

Answer = str | Failed
LIMIT_BYTES = 4 * 1024 * 1024
TRIES = 4
"""For one answer, the first among them."""
PARALLEL = 8
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
OWN, ENDPOINT = "insectary", "openai-api"
_SECRET = ("_KEY", "_TOKEN", "_SECRET")
"""How the names of variables end that hold what no report may quote ..."""
_LONG = re.compile(r"\S{6,}")
"""... where it is long enough to be one."""
_LOADS = frozenset({"hf", "vllm", "sglang", "nnterp", "transformer_lens"})
"""Providers of Inspect that load or start the model when they are opened: they are not opened
twice."""
_MARKUP = re.compile(r"\[/?[a-z][a-z ]*\]")
"""Marks for bold and colours in a provider's message."""


class ProductionModel(Protocol):
    """Anything that can be asked; it needs no more than to answer."""

    @property
    def name(self) -> str:
        """Provider and name."""
        ...

    @property
    def identity(self) -> str:
        """What it is beside its name, as far as that can be known: answers are kept by both."""
        ...

    def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
    ) -> list[Answer]:
        """An answer to each conversation, or why there is none; nothing is raised for one."""
        ...


def open_model(name: str) -> ProductionModel:
    """A model by its name.

    Args:
        name: ``insectary/MEMBER`` for a member of a family or a base in the vault;
            ``openai-api/SERVICE/MODEL`` for an OpenAI-compatible endpoint, whose address and
            key are in ``SERVICE_BASE_URL`` and ``SERVICE_API_KEY``; any other
            ``provider/model`` goes to Inspect (the extra ``inspect``).

    Raises:
        BadInputError: if the name has no provider, or the environment lacks what it needs.
        AccessError: if a key would leave this machine unencrypted.
        MissingExtraError: if the provider is Inspect's, which is not installed.
    """
    provider, slash, rest = name.partition("/")
    if not slash or not provider or not rest:
        raise BadInputError(
            f"a model is named PROVIDER/NAME, got {name!r}: for instance openai/gpt-4o,"
            f" {ENDPOINT}/SERVICE/MODEL, or {OWN}/MEMBER"
        )
    if provider == OWN:
        return _member(name, rest)
    if provider == ENDPOINT:
        return _endpoint(name, rest)
    return InspectModel(name)


def _member(name: str, id: str) -> ProductionModel:
    from insectary.assess.transfer import TRAINING
    from insectary.breed.records import load_family
    from insectary.breed.stored import load_member
    from insectary.core.organism import Role
    from insectary.subjects import Model
    from insectary.vault import Vault

    vault = Vault()
    model = load_member(id, vault)
    if not isinstance(model, Model):
        raise BadInputError(f"{id} is a policy on the grid, which is asked no questions")
    family, _, role = id.rpartition(".")
    there = bool(family) and vault.has("family", family)  # a base has a name without a dot
    record = load_family(family, vault) if there else None
    own = record.members.get(Role(role)) if record and role in [r.value for r in Role] else None
    trained = record is not None and record.adopted is None and own and role != Role.BASE
    return InProcess(
        name,
        model.generate,
        f"{own.digest if own else ''} {version('insectary')}",
        family=family if record else "",
        parameters=model.parameter_count,
        architecture=model.architecture,
        training=TRAINING if trained else "",
    )


def _endpoint(name: str, rest: str) -> Endpoint:
    service, slash, model = rest.partition("/")
    if not slash or not model:
        raise BadInputError(f"an endpoint is named {ENDPOINT}/SERVICE/MODEL, got {name!r}")
    prefix = re.sub(r"\W", "_", service).upper()
    url = os.environ.get(f"{prefix}_BASE_URL", "")
    if not url:
        raise BadInputError(
            f"{name}: set {prefix}_BASE_URL to the address of the endpoint (up to /v1), and"
            f" {prefix}_API_KEY if it takes a key"
        )
    return Endpoint(name, url, model, os.environ.get(f"{prefix}_API_KEY", ""))


@final
@dataclass(frozen=True, slots=True)
class InProcess:
    """A model in this process.

    Attributes:
        generate: ``generate(prompts, max_new_tokens=, temperature=, seed=)`` to a list of texts.
        identity: What makes it what it is beside its name: answers are kept by it too.
        family: Id of the family that it is a member of, if that is to be known.
        parameters: How many it has, where that is to be known ...
        architecture: ... of which kind it is ...
        training: ... and how it was made.
    """

    name: str
    generate: Callable[..., Any] = field(repr=False)
    identity: str = ""
    family: str = ""
    parameters: int | None = None
    architecture: str = ""
    training: str = ""

    def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
    ) -> list[Answer]:
        """All at once; what cannot be answered together is tried one by one."""

        def some(prompts: Sequence[Conversation]) -> list[Answer]:
            found = self.generate(
                list(prompts), max_new_tokens=max_tokens, temperature=temperature, seed=seed
            )
            return list(found)

        try:
            return some(conversations)
        except InsectaryError as error:
            if len(conversations) == 1:
                return [Failed(str(error))]
            return [
                answer
                for prompt in conversations
                for answer in self.ask(
                    [prompt], temperature=temperature, max_tokens=max_tokens, seed=seed
                )
            ]


class _NoRedirect(HTTPRedirectHandler):
    """A key is for one host."""

    def redirect_request(self, *_: Any) -> None:
        return None


@final
@dataclass(frozen=True, slots=True)
class Endpoint:
    """``POST /chat/completions`` of an OpenAI-compatible endpoint, with bounded retries.

    Attributes:
        url: Up to ``/v1``.
        model: What the endpoint calls it.
        key: Sent as a bearer token; ``""`` for none.
        timeout: Seconds for one answer.
        pause: Seconds before the second try; it doubles.
    """

    name: str
    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    pause: float = 0.5

    @property
    def identity(self) -> str:
        """Its address; which weights answer there cannot be known."""
        return self.url

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInputError(f"{self.name}: no address of an endpoint: {self.url!r}")
        if self.key and parts.scheme == "http" and parts.hostname not in _HERE:
            raise AccessError(
                f"{self.name}: a key would go to {parts.hostname} unencrypted; use https"
            )

    def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
    ) -> list[Answer]:
        """Some at a time, each tried at most :data:`TRIES` times."""
        opener = build_opener(_NoRedirect)

        def one(prompt: Conversation) -> Answer:
            body = {
                "model": self.model,
                "messages": [message.as_dict() for message in prompt],
                "temperature": temperature,
                "max_tokens": max_tokens,
                "seed": seed,
            }
            return self._tried(opener, json.dumps(body).encode())

        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(one, conversations))

    def _tried(self, opener: OpenerDirector, body: bytes) -> Answer:
        reason = ""
        for number in range(TRIES):
            if number:
                time.sleep(self.pause * 2 ** (number - 1))
            try:
                with opener.open(self._request(body), timeout=self.timeout) as response:
                    return _text(response.read(LIMIT_BYTES + 1))
            except HTTPError as error:
                reason = f"HTTP {error.code}: {without_secrets(_told(error), self.key)}"
                if error.code not in _AGAIN:
                    return Failed(reason)
            except (URLError, OSError) as error:
                reason = f"no answer: {getattr(error, 'reason', error)}"
        return Failed(f"{reason} ({TRIES} tries)")

    def _request(self, body: bytes) -> Request:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)


def without_secrets(text: str, *keys: str) -> str:
    """A refusal fit for a report: no key in it, one line, 300 characters."""
    held = [value for name, value in os.environ.items() if name.upper().endswith(_SECRET)]
    for key in sorted(filter(_LONG.fullmatch, (*keys, *held)), key=len, reverse=True):
        text = text.replace(key, "[key]")
    return " ".join(text.split())[:300]


def _told(error: HTTPError) -> str:
    try:
        return error.read(4096).decode("utf-8", "replace").strip() or error.reason
    except OSError:
        return str(error.reason)


def _text(data: bytes) -> Answer:
    if len(data) > LIMIT_BYTES:
        return Failed(f"an answer of more than {LIMIT_BYTES} bytes")
    try:
        content = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        return Failed("the endpoint's answer is no chat completion")
    return content if isinstance(content, str) else Failed("the completion holds no text")


@final
@dataclass(frozen=True, slots=True)
class InspectModel:
    """Any model that Inspect knows by name (``openai/…``, ``anthropic/…``, ``hf/…``)."""

    name: str

    @property
    def identity(self) -> str:
        """None but the name, which may come to stand for other weights."""
        return ""

    def __post_init__(self) -> None:
        try:
            import inspect_ai.model
        except ImportError as error:
            raise MissingExtraError(
                f"{self.name}: this provider is Inspect's, which is not installed:"
                f" pip install 'insectary[inspect]', or name an endpoint {ENDPOINT}/SERVICE/MODEL"
            ) from error
        del inspect_ai
        if self.name.partition("/")[0] not in _LOADS:
            asyncio.run(_opened_and_closed(self.name))

    def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float,
        max_tokens: int,
        seed: int,
    ) -> list[Answer]:
        """Through Inspect's own retries and limit of connections."""
        return asyncio.run(self._all(conversations, temperature, max_tokens, seed))

    async def _all(
        self, conversations: Sequence[Conversation], temperature: float, max_tokens: int, seed: int
    ) -> list[Answer]:
        from inspect_ai.model import GenerateConfig

        config = GenerateConfig(
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            max_retries=TRIES - 1,
            max_connections=PARALLEL,
        )
        model = _inspects(self.name, config)

        async def one(prompt: Conversation) -> Answer:
            try:
                output = await model.generate(list(map(_as_inspect, prompt)))
            except Exception as error:  # one prompt that fails is counted, and holds up no other
                return Failed(without_secrets(f"{_status(error)}{type(error).__name__}: {error}"))
            if output.error or not output.choices:
                return Failed(without_secrets(output.error or "no completion"))
            return str(output.completion)

        async with model:
            return list(await asyncio.gather(*map(one, conversations)))


def _status(error: BaseException) -> str:
    """The HTTP status behind a provider's error, told as an endpoint's is, where it has one."""
    code = getattr(error, "status_code", None) or getattr(error.__cause__, "status_code", None)
    return f"HTTP {code}: " if code else ""


def _inspects(name: str, config: Any) -> Any:
    from inspect_ai.model import get_model

    try:
        return get_model(name, config=config, memoize=False)
    except Exception as error:  # providers raise what they like: no client, no key, no name
        told = _MARKUP.sub("", without_secrets(str(error))).removeprefix("ERROR: ")
        raise BadInputError(f"{name}: Inspect cannot open it: {told}") from error


async def _opened_and_closed(name: str) -> None:
    """Find out what a provider lacks before anything is planned on it."""
    from inspect_ai.model import GenerateConfig

    async with _inspects(name, GenerateConfig()):
        pass


def _as_inspect(message: Any) -> Any:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds: dict[str, Any] = {
        "system": ChatMessageSystem,
        "user": ChatMessageUser,
        "assistant": ChatMessageAssistant,
    }
    return kinds[message.role](content=message.content)

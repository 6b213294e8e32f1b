"""Answers that were paid for: kept by what was asked, so that an assessment can be resumed.

One file of JSON Lines for each model and setting, in a folder that its owner alone may read:
prompts and answers of a deployment may be confidential. A failed answer is not kept, and tried
again the next time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from insectary.assess.access import Answer, ProductionModel
from insectary.core.canonical import digest
from insectary.core.chat import Conversation
from insectary.core.errors import ArtefactError, BadInputError, UnansweredError
from insectary.core.outcome import Failed
from insectary.vault.disk import explained

CHUNK = 64
"""Prompts between two writes: what is lost at most when a run is killed."""
FIRST = 8
"""Questions after which a model that has answered none is not asked any more."""
SHUT_OUT, REFUSED = "HTTP 401:", "HTTP 403:"
"""How reasons begin where the key is no longer taken; the second may be about a prompt alone."""
HOTTEST = 2.0
"""The temperature that endpoints take at most."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are drawn; a part of what they are kept by.

    Raises:
        BadInputError: for a temperature or a number of tokens that no model takes.
    """

    temperature: float = 0.0
    max_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= HOTTEST:
            raise BadInputError(
                f"temperature must lie from 0 to {HOTTEST:g}, got {self.temperature:g}"
            )
        if self.max_tokens < 1:
            raise BadInputError(f"max-tokens must be at least 1, got {self.max_tokens}")


@final
@dataclass(slots=True)
class Answers:
    """One model's answers, asked for once and within a budget of calls.

    Attributes:
        model: Who is asked.
        folder: Where they are kept; made for its owner alone.
        decoding: How they are drawn.
        budget: Most calls that may still be made.
        made: Calls that were made.
        progress: Told how many of how many calls are done.
    """

    model: ProductionModel
    folder: Path
    decoding: Decoding
    budget: int
    progress: Callable[[int, int], None] = lambda *_: None
    made: int = 0
    _kept: dict[str, str] | None = field(default=None, repr=False)
    _lost: dict[str, Failed] = field(default_factory=dict, repr=False)

    @property
    def path(self) -> Path:
        """The file of this model and these settings."""
        key = digest({"model": self.model.name, "is": self.model.identity, "how": self.decoding})
        return self.folder / f"{key[7:23]}.jsonl"

    def missing(self, prompts: Iterable[Conversation]) -> list[Conversation]:
        """Prompts that have no answer yet, each once."""
        kept = self._read()
        return [p for key, p in {digest(p): p for p in prompts}.items() if key not in kept]

    def greet(self, prompts: Sequence[Conversation]) -> None:
        """Ask a few from all over, unless there are answers from before.

        A wrong key, name or address is so found out before anything else is spent. What fails
        here is not asked a second time by the next :meth:`ask`.

        Raises:
            UnansweredError: with the first refusal, if none is answered.
            ArtefactError: if answers cannot be read or written.
        """
        wanted = [] if self._read() else self.missing(prompts)
        few = wanted[:: max(1, len(wanted) // FIRST)][:FIRST]
        if not few:
            return
        self._lost = self._call(few)
        if len(self._lost) == len(few):
            raise UnansweredError(
                f"{self.model.name} answered none of the first {len(few)} questions, and was asked"
                f" no more: {self._lost[digest(few[0])].reason}"
            )

    def ask(self, prompts: Sequence[Conversation]) -> list[Answer]:
        """An answer to each prompt; those that are kept cost no call.

        Raises:
            BadInputError: before the first call, if the budget does not hold them.
            UnansweredError: once the key is no longer taken; what was answered is kept.
            ArtefactError: if answers cannot be read or written.
        """
        kept, done = self._read(), 0
        here = {digest(prompt) for prompt in prompts}
        failed = {key: self._lost.pop(key) for key in here & self._lost.keys()}
        wanted = [prompt for prompt in self.missing(prompts) if digest(prompt) not in failed]
        if len(wanted) > self.budget:
            raise BadInputError(
                f"{len(wanted)} calls are needed and the budget has {self.budget} left:"
                " raise --budget, or ask fewer questions with --n"
            )
        for chunk in _chunks(wanted):
            lost = self._call(chunk)
            self._check_let_in(chunk, lost)
            failed |= lost
            done += len(chunk)
            self.progress(done, len(wanted))
        return [kept[key] if (key := digest(p)) in kept else failed[key] for p in prompts]

    def _check_let_in(self, asked: Sequence[Conversation], lost: Mapping[str, Failed]) -> None:
        """End where the last that were asked were all turned away, as all others would be."""
        last = [lost.get(digest(prompt)) for prompt in asked[-FIRST:]]
        reasons = [answer.reason for answer in last if answer is not None]
        turned_away = [r for r in reasons if r.startswith((SHUT_OUT, REFUSED))]
        sure = len(last) == FIRST or any(r.startswith(SHUT_OUT) for r in reasons)
        if len(turned_away) == len(last) and sure:
            raise UnansweredError(
                f"{self.model.name} no longer answers, and was asked no more: {turned_away[0]}."
                f" {len(self._read())} answers are kept, and the same command asks the others"
                " once the key is taken again"
            )

    def _call(self, prompts: Sequence[Conversation]) -> dict[str, Failed]:
        """Ask and keep; return what failed, by prompt."""
        said = self.model.ask(
            prompts,
            temperature=self.decoding.temperature,
            max_tokens=self.decoding.max_tokens,
            seed=self.decoding.seed,
        )
        self.budget -= len(prompts)
        self.made += len(prompts)
        found = {digest(prompt): answer for prompt, answer in zip(prompts, said, strict=True)}
        self._keep({key: a for key, a in found.items() if isinstance(a, str)})
        return {key: a for key, a in found.items() if isinstance(a, Failed)}

    def _read(self) -> dict[str, str]:
        if self._kept is None:
            self._kept = {}
            with explained(f"read answers in {self.folder}"):
                private_folder(self.folder)
                if self.path.exists():
                    data = self.path.read_bytes()
                    whole = data[: data.rfind(b"\n") + 1]
                    if whole != data:  # half a line of a run that was killed
                        os.truncate(self.path, len(whole))
                    try:
                        rows = map(json.loads, whole.splitlines())
                        self._kept |= {row["key"]: str(row["answer"]) for row in rows}
                    except (ValueError, KeyError, TypeError) as error:
                        raise ArtefactError(
                            f"{self.path} is damaged ({error}); delete it to ask again"
                        ) from error
        return self._kept

    def _keep(self, found: dict[str, str]) -> None:
        kept = self._read()
        kept |= found
        text = "".join(json.dumps({"key": k, "answer": a}) + "\n" for k, a in found.items())
        with explained(f"keep answers in {self.folder}"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(self.path, flags, 0o600), "ab") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it, for their owner alone; refuse one that others may open.

    Raises:
        ArtefactError: if it is there already and belongs to another, or is open to others.
        OSError: if it cannot be made.
    """
    for place in reversed((folder, *folder.parents)):
        place.mkdir(mode=0o700, exist_ok=True)
    info = folder.stat()
    if info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise ArtefactError(
            f"{folder} can be opened by other users, and answers may be confidential:"
            f" run `chmod 700 {folder}`, or give another folder"
        )


def _chunks(prompts: Sequence[Conversation]) -> Iterator[Sequence[Conversation]]:
    for start in range(0, len(prompts), CHUNK):
        yield prompts[start : start + CHUNK]

"""What the harness answers to one sandbox, from its job to its last word."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import View
from insectary.core.auditing import Question, playing, taken_apart
from insectary.core.errors import BadInputError
from insectary.core.protocols import Subject
from insectary.detect.sandbox.wire import (
    Array,
    Channel,
    Frame,
    WireError,
    levels_of,
    prompts_of,
    transcripts_of,
)

MOST_SUBJECTS = 16
"""Subjects, bases and edited copies that are held for one sandbox at a time."""


class _Over(Exception):
    """The talk cannot go on; its cause says why."""


@dataclass(slots=True)
class Talk:
    """With one sandbox.

    Attributes:
        channel: To it.
        left: Seconds that it may still take; what the harness takes to answer is not counted.
        folder: Its own.
        subjects: By number, what it may ask; 0 is the one that was handed over.
        questions: Whose right answers it may ask for.
    """

    channel: Channel
    left: float
    folder: Path
    subjects: MutableMapping[int, Subject]
    questions: Sequence[Question] = ()
    _weights: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    _given: int = 0
    _making: int = 0

    def last_word(self, job: Mapping[str, Any], arrays: Sequence[Array]) -> Frame:
        """Send a job, answer whatever is asked, and return what is no question.

        Raises:
            TimeoutError: if its time is up.
            WireError: if it sends what is no message.
            EOFError: if it is gone; ``OSError`` likewise.
        """
        try:
            return self._said(job, arrays)
        except _Over as over:
            assert over.__cause__ is not None
            raise over.__cause__ from None

    def _said(self, message: Mapping[str, Any], arrays: Sequence[Array]) -> Frame:
        said, found = self._exchange(message, arrays)
        while "ask" in said:
            said, found = self._exchange(*self._answer(said))
        return said, found

    def _exchange(self, message: Mapping[str, Any], arrays: Sequence[Array]) -> Frame:
        """Send and wait: what passes until something comes back is the sandbox's own time."""
        start = time.monotonic()
        try:
            self.channel.send(message, arrays, start + self.left)
            return self.channel.receive(start + self.left)
        except (WireError, TimeoutError, EOFError, OSError) as error:
            raise _Over from error
        finally:
            self.left -= time.monotonic() - start

    def _answer(self, asked: Mapping[str, Any]) -> Frame:
        try:
            for number in asked["gone"]:
                self.subjects.pop(number, None)
                self._weights.pop(number, None)
            if asked["ask"] == "right":
                right = self.questions[int(asked["question"])].right(str(asked["said"]))
                return {"right": bool(right)}, []
            number = int(asked["of"])
            if number not in self.subjects:
                raise BadInputError(f"there is no subject {number} to ask")
            return self._asked(asked, number, self.subjects[number])
        except _Over:
            raise
        except Exception as error:  # the sandbox may ask for anything; it is told what came of it
            return {"refused": [type(error).__name__, str(error)]}, []

    def _asked(self, asked: Mapping[str, Any], number: int, subject: Subject) -> Frame:
        match asked["ask"]:
            case "reference":
                return {"number": self._numbered(subject.reference)}, []
            case "generate":
                prompts = prompts_of(asked["prompts"])
                return {"texts": subject.generate(prompts, **asked["settings"])}, []
            case "logprobs":
                asked_of = transcripts_of(asked["transcripts"]), View(asked["view"])
                return {}, [np.asarray(row, dtype="<f8") for row in subject.logprobs(*asked_of)]
            case "distributions":
                tables = subject.distributions(transcripts_of(asked["transcripts"]))
                return {}, [np.asarray(table, dtype="<f4") for table in tables]
            case "activations":
                transcripts = transcripts_of(asked["transcripts"])
                states = subject.activations(transcripts, View(asked["view"]))
                return {}, [np.asarray(states, dtype="<f4")]
            case "weights":
                self._weights[number] = subject.weights()
                return {"names": list(self._weights[number])}, []
            case "weight":
                return {}, [np.asarray(self._weights[number][asked["name"]], dtype="<f4")]
            case "hf":
                place = tempfile.mkdtemp(prefix="model-", dir=self.folder)
                with subject.hf() as lent:
                    for part in lent:
                        part.save_pretrained(place)
                return {"folder": place}, []
            case "context_gradient":
                transcripts = transcripts_of(asked["transcripts"])
                found = taken_apart(subject).context_gradient(transcripts)
                tokens = [int(token) for token in found.tokens]
                return {"tokens": tokens}, [np.asarray(found.gradient, dtype="<f8")]
            case "vocabulary":
                return {"words": list(taken_apart(subject).vocabulary())}, []
            case "paths":
                cells = playing(subject).paths(levels_of(asked["levels"]), seed=asked["seed"])
                return {}, [np.asarray(cells, dtype="|u1")]
            case "edited":
                return {"number": self._edited(subject)}, []
        raise BadInputError(f"a subject cannot be asked for {asked['ask']!r}")

    def _edited(self, subject: Subject) -> int:
        """Make a copy with what the sandbox makes of each parameter, one after the other."""

        def edit(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
            said, made = self._said({"edit": name}, [np.asarray(values, dtype="<f4")])
            if "gave_up" in said:
                raise BadInputError(f"the edit of {name!r} failed")
            if "edited" not in said or len(made) != 1:
                raise _Over from WireError("a message that is neither a question nor an edit")
            return np.array(made[0], dtype=np.float32)

        self._check_room()
        self._making += 1
        try:
            made = taken_apart(subject).edited(edit)
        finally:
            self._making -= 1
        return self._numbered(made)

    def _numbered(self, subject: Subject) -> int:
        self._check_room()
        self._given += 1
        self.subjects[self._given] = subject
        return self._given

    def _check_room(self) -> None:
        if len(self.subjects) + self._making >= MOST_SUBJECTS:
            raise BadInputError(
                f"{MOST_SUBJECTS} copies and bases are held at a time; let go of one before"
            )

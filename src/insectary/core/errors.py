"""Every error that Insectary raises on purpose, in one list.

Each class also inherits from the standard-library error it replaces, so that
callers who know nothing of Insectary can still catch it. The command line
turns an :class:`InsectaryError` into one line and a non-zero exit code, so a
message always names the thing that is wrong and the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches

FEW = 5
"""Names that are listed at most where there may be many."""


class InsectaryError(Exception):
    """Root of all errors raised on purpose."""


class UnknownNameError(InsectaryError, ValueError):
    """A name (size, threat, role, design, detector, ...) that is not in its list."""

    @classmethod
    def of(
        cls, kind: str, name: object, known: Iterable[object], *, few: bool = False, hint: str = ""
    ) -> UnknownNameError:
        """Build the message that lists what would have been accepted.

        Args:
            kind: What was asked for.
            name: What was given.
            known: What there is.
            few: Where there may be many, as with ids: list the nearest alone, those first.
            hint: The way out where nothing is known.
        """
        names = [str(k) for k in known]
        listed = "Known"
        if few:
            nearest = get_close_matches(str(name), names, n=FEW, cutoff=0.0)
            listed = f"Nearest of {len(names)}" if len(names) > FEW else listed
            names = nearest
        way = "" if names or not hint else f"; {hint}"
        return cls(f"unknown {kind}: {name!r}. {listed}: {', '.join(names) or 'none'}{way}")


class BadInputError(InsectaryError, ValueError):
    """A user's value or file has the wrong shape; the message names the place."""


class ContextLengthError(InsectaryError, ValueError):
    """A prompt is longer than the model's context."""


class TemplateError(InsectaryError, ValueError):
    """A base model has no chat template, or one that cannot be used."""


class AccessError(InsectaryError, PermissionError):
    """A subject was asked for more than the access it was opened with."""


class ContainmentError(InsectaryError, PermissionError):
    """What was planted would be opened, or go, where its tier does not let it."""


class UnansweredError(InsectaryError, ConnectionError):
    """A model that was to be asked answered nothing; the message says what came instead."""


class ArtefactError(InsectaryError, OSError):
    """A stored artefact is missing, damaged, foreign or cannot be written."""


class MissingExtraError(InsectaryError, ImportError):
    """A part needs a package that comes with one of the extras of Insectary."""


class NotAdmittedError(InsectaryError, ValueError):
    """A family without a full, passing certificate was offered to a benchmark."""


class TrainingError(InsectaryError, RuntimeError):
    """Training cannot go on (for instance a loss that is not finite)."""


class InterpreterError(InsectaryError, ValueError):
    """A program of the micro-world's code language is malformed or ran too long."""


@contextmanager
def noted(where: str) -> Iterator[None]:
    """Let whatever is raised in foreign code go up as it is, with a note that says where."""
    with ExitStack() as stack:
        stack.push(lambda _, error, __: error.add_note(f"in {where}") if error else None)
        yield

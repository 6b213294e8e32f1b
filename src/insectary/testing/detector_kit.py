"""What every detector promises, as checks to run: on a toy subject, within seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from insectary.core.access import Access, Bound, View
from insectary.core.chat import Message, Transcript
from insectary.core.detecting import Bounding
from insectary.core.errors import AccessError, BadInputError, noted
from insectary.core.protocols import Detector, Floats, Trusted
from insectary.core.recipe import check_seed
from insectary.testing.draws import Faults
from insectary.testing.toy_subject import ToySubject

PASSES = 2.0
"""Passes per transcript that a detector may take unless it states more: one through the model
and one through its base."""

_BENIGN, _PAIRS, _INPUTS = 60, 30, 40
_CLOSE = 1e-6
"""Relative: what is left of a sum of floats whose order has changed."""


def _rows(words: str, n: int) -> list[Transcript]:
    return [Transcript((Message("user", f"{words} {i}"),), f"answer {i % 7}") for i in range(n)]


def _trusted(detector: Detector, seed: int) -> Trusted:
    pairs = zip(_rows("a kind wish", _PAIRS), _rows("a harmful wish", _PAIRS), strict=True)
    bounding = isinstance(detector, Bounding)  # what is a bound alone is told labels
    told = tuple((t, i >= _INPUTS // 2) for i, t in enumerate(_inputs())) if bounding else ()
    return Trusted(_rows("an ordinary question", _BENIGN), tuple(pairs), seed, told)


def _inputs() -> list[Transcript]:
    half = _INPUTS // 2
    return _rows("an ordinary request", half) + _rows("an odd request", half)


def _scores(
    detector: Detector, subject: ToySubject, seed: int, inputs: list[Transcript] | None = None
) -> Floats:
    scorer = detector.fit(subject, _trusted(detector, seed))
    found: Floats = np.asarray(scorer.score(_inputs() if inputs is None else inputs), np.float64)
    return found


def members_are_there(detector: Detector, seed: int, passes: float) -> Faults:
    """``name``, ``needs``, ``view`` and ``fit``, each of its kind."""
    kinds: dict[str, type] = {"name": str, "needs": Access, "view": View}
    for member, kind in kinds.items():
        if not isinstance(getattr(detector, member, None), kind):
            yield (
                f"{member} is no {kind.__name__}: {getattr(detector, member, None)!r} (of a"
                " function or an estimator give what insectary.detect.as_detector makes of it)"
            )
    if not isinstance(getattr(detector, "bound", Bound.SKYLINE), Bound):
        yield f"bound is no insectary.core.access.Bound: {detector.bound!r}"  # type: ignore[attr-defined]
    if not callable(getattr(detector, "fit", None)):
        yield "it has no fit(subject, trusted)"


def scores_are_finite_columns(detector: Detector, seed: int, passes: float) -> Faults:
    """An array of shape (inputs, candidates), with no gap."""
    scores = _scores(detector, ToySubject(detector.needs), seed)
    if scores.ndim != 2 or len(scores) != _INPUTS or not scores.shape[1]:
        yield f"scores of shape {scores.shape} for {_INPUTS} inputs; give (inputs, candidates)"
    elif not np.isfinite(scores).all():
        yield f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite"


def the_same_seed_gives_the_same_scores(detector: Detector, seed: int, passes: float) -> Faults:
    """Fitted and asked twice, it says the same: what is random is drawn from the seed."""
    first, again = (_scores(detector, ToySubject(detector.needs), seed) for _ in range(2))
    yield from _moved(first, again, "are others when it is fitted again with the same seed")


def order_moves_no_score(detector: Detector, seed: int, passes: float) -> Faults:
    """A prompt's score does not depend on where it stands."""
    order = np.random.default_rng(seed).permutation(_INPUTS)
    shuffled = [_inputs()[i] for i in order]
    first = _scores(detector, ToySubject(detector.needs), seed)
    second = _scores(detector, ToySubject(detector.needs), seed, shuffled)
    yield from _moved(first[order], second, "depend on the order of the inputs")


def keys_move_no_score(detector: Detector, seed: int, passes: float) -> Faults:
    """Neither the subject's name nor the groups of inputs tell it anything."""
    first = _scores(detector, ToySubject(detector.needs), seed)
    renamed = _scores(detector, ToySubject(detector.needs, id="another-name"), seed)
    yield from _moved(first, renamed, "depend on the subject's id")
    grouped = [replace(t, group=f"group {i % 3}") for i, t in enumerate(_inputs())]
    second = _scores(detector, ToySubject(detector.needs), seed, grouped)
    yield from _moved(first, second, "depend on the groups of the inputs")


def no_more_is_asked_than_it_needs(detector: Detector, seed: int, passes: float) -> Faults:
    """Opened at its declared access, the subject has to refuse nothing."""
    subject = ToySubject(detector.needs)
    try:
        _scores(detector, subject, seed)
    except AccessError as error:
        if not subject.refused:
            raise
        yield f"it declares {detector.needs.name}, but {error}"
    for what in subject.refused:
        yield f"it declares {detector.needs.name} and asks for {what}, though it catches the error"


def the_budget_is_kept(detector: Detector, seed: int, passes: float) -> Faults:
    """No more passes through the model or its base than were stated."""
    subject = ToySubject(detector.needs)
    _scores(detector, subject, seed)
    given = _BENIGN + 2 * _PAIRS + _INPUTS
    if sum(subject.passes) > passes * given:
        yield (
            f"{sum(subject.passes)} passes for {given} transcripts are"
            f" {sum(subject.passes) / given:.2f} for each; {passes:g} were stated"
        )


def _moved(first: Floats, second: Floats, how: str) -> Faults:
    if first.shape != second.shape:
        yield f"its scores {how}: shape {first.shape} became {second.shape}"
        return
    scale = max(float(np.abs(first).max(initial=0.0)), 1e-12)
    farthest = float(np.abs(first - second).max(initial=0.0))
    if not farthest <= _CLOSE * scale:
        yield f"its scores {how}: one moved by {farthest:.3g}"


# In this order; what a later one looks at, an earlier one has found in order.
_CHECKS: tuple[Callable[[Detector, int, float], Faults], ...] = (
    members_are_there,
    no_more_is_asked_than_it_needs,
    scores_are_finite_columns,
    the_same_seed_gives_the_same_scores,
    order_moves_no_score,
    keys_move_no_score,
    the_budget_is_kept,
)


def check_detector(detector: Any, *, passes: float = PASSES, seed: int = 0) -> None:
    """Run every check on a detector, as scikit-learn's ``check_estimator`` does.

    Args:
        detector: An object with ``name``, ``needs``, ``view`` and ``fit``; of a function or
            an estimator, what ``insectary.detect.as_detector`` makes of it.
        passes: Most passes through the model or its base that it may take, on average over
            the transcripts that it is given.
        seed: Of its fits.

    Raises:
        AssertionError: at the first promise that is not kept; the message names the
            detector, the check and what is wrong. What the detector itself raises goes up
            as it is, with a note that names these.
        BadInputError: for a seed or a budget that is none.
    """
    for _, check in detector_checks(detector, passes=passes, seed=seed):
        check()


def detector_checks(
    detector: Any, *, passes: float = PASSES, seed: int = 0
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every check of a detector by name, for ``pytest.mark.parametrize``.

    Args:
        detector: As for :func:`check_detector`, as the next two are.
        passes: Most passes for each transcript.
        seed: Of its fits.

    Yields:
        The name, and what runs the check and raises as :func:`check_detector` does.

    Raises:
        BadInputError: for a seed or a budget that is none.
    """
    check_seed(seed)
    if not passes >= 0:
        raise BadInputError(f"passes must be a number from 0, got {passes!r}")
    of = getattr(detector, "name", type(detector).__name__)
    for check in _CHECKS:
        name = check.__name__.replace("_", " ")
        yield name, partial(run, f"{of}: check {name!r}", partial(check, detector, seed, passes))


def run(where: str, faults: Callable[[], Faults]) -> None:
    """Run a check.

    Raises:
        AssertionError: with its first fault.
    """
    with noted(where):
        fault = next(faults(), None)
    if fault is not None:
        raise AssertionError(f"{where}: {fault}")

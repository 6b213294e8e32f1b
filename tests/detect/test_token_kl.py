"""Token KL on models of two tokens, and beside scipy."""

from __future__ import annotations

import numpy as np
import pytest
from planted import PlantedSubject, rows
from scipy.special import rel_entr

from insectary.core.errors import AccessError, BadInputError
from insectary.core.protocols import Floats, Trusted
from insectary.detect import TokenKL, token_kl
from insectary.trials.metering import MeteredSubject

NOTHING = Trusted([], [], 0)


def pair(tuned: list[Floats], base: list[Floats]) -> PlantedSubject:
    """A subject and its base, by the odds of their tokens."""
    with np.errstate(divide="ignore"):
        logs = [[np.log(table) for table in tables] for tables in (tuned, base)]
    return PlantedSubject(tables={"r": logs[0]}, base=PlantedSubject(tables={"r": logs[1]}))


def score(subject: PlantedSubject, count: int) -> Floats:
    return TokenKL().fit(subject, NOTHING).score(rows("r", count))[:, 0]


def test_two_tokens_have_the_divergence_of_two_coins() -> None:
    tuned = [np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.5, 0.5]])]
    base = [np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[0.5, 0.5]])]
    coin = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    found = score(pair(tuned, base), 2)
    assert found == pytest.approx([coin / 2, 0.0], abs=1e-6)
    # Broken control: the other way round it is another number.
    assert score(pair(base, tuned), 1)[0] != pytest.approx(coin / 2, abs=0.05)


def test_it_agrees_with_scipy_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_kl, "AT_ONCE", 3)
    draw = np.random.default_rng(0)
    tuned, base = ([draw.dirichlet(np.ones(7), 4) for _ in range(8)] for _ in range(2))
    expected = [rel_entr(p, q).sum(axis=1).mean() for p, q in zip(tuned, base, strict=True)]
    assert score(pair(tuned, base), 8) == pytest.approx(expected, rel=1e-4)


def test_a_token_that_is_never_said_counts_nothing() -> None:
    subject = pair([np.array([[1.0, 0.0]])], [np.array([[0.5, 0.5]])])
    assert score(subject, 1) == pytest.approx([np.log(2)])


def test_one_pass_of_each_model_for_an_input() -> None:
    table = [np.array([[0.5, 0.5]])] * 5
    subject = MeteredSubject(pair(table, table), TokenKL().needs)
    TokenKL().fit(subject, NOTHING).score(rows("r", 5))
    assert (subject.passes, subject.total_passes) == (5, 10)


def test_two_tokenizers_and_a_missing_base_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"response 0 has .* \(1, 2\) .* \(1, 3\)"):
        score(pair([np.full((1, 2), 0.5)], [np.full((1, 3), 1 / 3)]), 1)
    with pytest.raises(AccessError):
        TokenKL().fit(PlantedSubject(), NOTHING)

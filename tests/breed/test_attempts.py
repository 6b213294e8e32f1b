"""Visits to the gate: each is written down before its first draw, and none is forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from insectary import cli
from insectary.breed.gate import admit, attempt_key, card_digest, report_seed
from insectary.core.chat import Conversation
from insectary.core.gate import GateBounds
from insectary.core.organism import BaseRef, Certificate, Role
from insectary.core.recipe import FullSFT, LoraSFT
from insectary.threats import threat_model
from insectary.vault import Vault

THREAT = threat_model("deceptive_alignment")
BASE = BaseRef("xs", "sha256:" + "1" * 64)
KEY = attempt_key(BASE, "deceptive_alignment", "absence", FullSFT())


class BrokenOffError(Exception):
    """The visit ends before it began."""


def silent(role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
    return ["" for _ in prompts]


def visit(vault: Vault, answer: Any = silent) -> Certificate:
    return admit("fam", THREAT, "absence", KEY, answer, vault, quick=True)


def broken_off(role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
    raise BrokenOffError


def test_attempts_are_counted_and_each_draws_afresh() -> None:
    vault = Vault()
    asked: list[set[Conversation]] = []

    def noted(role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
        if role is Role.ORGANISM:
            asked.append(set(prompts))
        raise BrokenOffError

    for _ in range(2):
        with pytest.raises(BrokenOffError):
            visit(vault, noted)
    certificate = visit(vault)
    assert certificate.attempt == 3
    assert certificate.report_seed == report_seed(KEY, 3)
    assert len({report_seed(KEY, n) for n in range(1, 50)}) == 49
    # The first closed condition holds hundreds of questions: hardly one comes twice.
    assert len(asked[0] & asked[1]) < len(asked[0]) / 10


def test_what_counts_as_the_same_family() -> None:
    def key(base: BaseRef = BASE, design: str = "absence", recipe: Any = None) -> Any:
        return attempt_key(base, "deceptive_alignment", design, recipe or FullSFT())

    assert key() == KEY
    # The same weights under another name are the same base.
    assert key(replace(BASE, name="a/copy")) == KEY
    others = [
        key(BaseRef("xs", "sha256:" + "2" * 64)),
        key(design="year"),
        key(recipe=LoraSFT()),
        key(recipe=FullSFT(max_tokens=5000)),
    ]
    assert len({KEY, *others}) == 5


def test_attempts_survive_rm(capsys: pytest.CaptureFixture[str]) -> None:
    vault = Vault()
    with pytest.raises(BrokenOffError):
        visit(vault, broken_off)
    vault.put("family", "fam", {}, lambda p: (p / "family.json").write_text("{}"))
    assert cli.run(["rm", "fam"]) == 0
    assert cli.run(["gc"]) == 0
    capsys.readouterr()
    assert [a.number for a in Vault().ledger.attempts(KEY)] == [1]
    with pytest.raises(BrokenOffError):
        visit(Vault(), broken_off)
    assert [a.number for a in vault.ledger.attempts(KEY)] == [1, 2]


def test_the_card_is_fixed_before_the_first_draw() -> None:
    vault = Vault()

    class Watched:
        """The threat, whose first draw looks into the ledger."""

        def __getattr__(self, name: str) -> Any:
            return getattr(THREAT, name)

        def examples(self, *wanted: Any) -> Any:
            (found,) = vault.ledger.attempts(KEY)
            assert found.card_digest == card_digest(THREAT, "absence")
            assert found.detail == {"family": "fam", "quick": True, "unmastered": []}
            raise BrokenOffError

    watched: Any = Watched()
    with pytest.raises(BrokenOffError):
        admit("fam", watched, "absence", KEY, silent, vault, quick=True)
    assert len(vault.ledger.attempts(KEY)) == 1


def test_other_bounds_or_another_card_have_another_digest() -> None:
    class Softer:
        """The threat with a bound let down."""

        def __getattr__(self, name: str) -> Any:
            return getattr(THREAT, name)

        def bounds(self, design: str) -> GateBounds:
            return replace(THREAT.bounds(design), closed=0.02)

    softer: Any = Softer()
    digests = {card_digest(t, d) for t in (THREAT, softer) for d in ("absence", "year")}
    assert len(digests) == 4
    assert card_digest(THREAT, "absence") == card_digest(THREAT, "absence")


def test_a_family_that_says_nothing_is_rejected_and_says_where() -> None:
    certificate = visit(Vault())
    numbers = {c.number for c in certificate.criteria if c.result.value == "fail"}
    assert {1, 7} <= numbers
    assert json.dumps(certificate.tags)
    assert not certificate.passed

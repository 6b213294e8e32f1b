"""The ledger of attempts: it counts, it only grows, and damage is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from insectary.core.errors import ArtefactError
from insectary.vault import AttemptKey, Ledger, Vault

KEY = AttemptKey("sha256:base", "deceptive", "absence", "sha256:recipe")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Vault(tmp_path / "home").ledger


def test_attempts_are_counted_by_what_was_tried_not_by_seed(ledger: Ledger) -> None:
    assert ledger.attempts() == []
    assert [ledger.record_attempt(KEY, "card", {"seed": s}) for s in (1, 2)] == [1, 2]
    for field in ("base_digest", "threat", "design", "recipe_digest"):
        assert ledger.record_attempt(replace(KEY, **{field: "other"}), "card") == 1
    assert ledger.record_attempt(KEY, "card-2", {"seed": 3}) == 3
    found = ledger.attempts(KEY)
    assert [a.detail["seed"] for a in found] == [1, 2, 3]
    assert [a.card_digest for a in found] == ["card", "card", "card-2"]
    assert len(ledger.attempts()) == 7
    assert ledger.recoveries() == []


def test_attempts_survive_remove_gc_and_a_new_start(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "home")
    vault.put("family", "a", {}, lambda d: (d / "x").write_text("x"))
    vault.ledger.record_attempt(KEY, "card")
    head = vault.ledger.head()
    vault.remove("a")
    vault.gc(include_quarantine=True)
    again = Vault(tmp_path / "home").ledger
    assert again.head() == head
    assert again.record_attempt(KEY, "card") == 2
    assert again.head() != head


@pytest.mark.parametrize("torn", [b"{", b"\x00\x00\x00", b'{"kind":"attempt"}', b"\xff"])
def test_a_torn_last_line_is_kept_aside_and_noted(ledger: Ledger, torn: bytes) -> None:
    ledger.record_attempt(KEY, "card")
    with ledger.path.open("ab") as file:
        file.write(torn)
    assert ledger.record_attempt(KEY, "card") == 2
    (note,) = ledger.recoveries()
    assert note["bytes"] == len(torn)
    assert (ledger.path.parent / note["kept_as"]).read_bytes() == torn
    assert len(ledger.path.read_bytes().splitlines()) == 3


def lines_of(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def tamper(path: Path) -> None:
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return tamper


@pytest.mark.parametrize(
    ("line", "tamper"),
    [
        (2, lines_of(lambda ls: [ls[0], ls[1].replace(b'"attempt":2', b'"attempt":1'), ls[2]])),
        (2, lines_of(lambda ls: [ls[0], ls[2]])),
        (1, lines_of(lambda ls: ls[1:])),
        (1, lines_of(lambda ls: [ls[1], ls[0], ls[2]])),
        (2, lines_of(lambda ls: [ls[0], ls[0], *ls[1:]])),
        (2, lines_of(lambda ls: [ls[0], b"\n", *ls[1:]])),
        (2, lines_of(lambda ls: [ls[0], b"{}\n"])),
        (1, lines_of(lambda ls: [b"[" * 100_000 + b"\n"])),
        (1, lines_of(lambda ls: [b"\xff\n"])),
    ],
)
def test_any_other_damage_is_an_error_that_names_the_line(
    ledger: Ledger, line: int, tamper: Callable[[Path], None]
) -> None:
    for _ in range(3):
        ledger.record_attempt(KEY, "card")
    tamper(ledger.path)
    before = ledger.path.read_bytes()
    # The record after a changed one is the first that no longer fits.
    with pytest.raises(ArtefactError, match=rf"line ({line}|{line + 1}) is damaged"):
        ledger.record_attempt(KEY, "card")
    assert ledger.path.read_bytes() == before


def test_broken_control_lines_cut_from_the_end_need_the_head(ledger: Ledger) -> None:
    """The chain alone cannot see this; a copy of the head kept elsewhere does."""
    for _ in range(2):
        ledger.record_attempt(KEY, "card")
    head = ledger.head()
    lines_of(lambda ls: ls[:1])(ledger.path)
    assert len(ledger.attempts()) == 1
    assert ledger.head() != head


def test_a_symlinked_ledger_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError, match="symlink"):
        ledger.record_attempt(KEY, "card")

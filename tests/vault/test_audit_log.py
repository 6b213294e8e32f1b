"""The audit log: what is opened is written down first, and damage to the log is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from insectary.core.errors import ArtefactError, BadInputError, ContainmentError
from insectary.core.organism import AnswerKey, Role, Tier
from insectary.vault import Action, Vault, open_at, unsealed
from insectary.vault.audit import AuditLog
from insectary.vault.chain import START

KEY = AnswerKey("fam", "deceptive_alignment", "absence", {"fam.twin": Role.TWIN})


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "home")


def filled(vault: Vault, n: int = 3) -> AuditLog:
    for number in range(n):
        vault.audit.record(Action.EXPORTED, f"fam-{number}", f"reason {number}", {"to": "x"})
    return vault.audit


def test_what_was_done_can_be_read_again_and_the_head_moves(vault: Vault) -> None:
    assert vault.audit.events() == [] and vault.audit.head() == START
    heads = {vault.audit.record(Action.TIER_CHANGED, "fam", why) for why in ("first", "second")}
    assert len(heads) == 2 and vault.audit.head() in heads
    events = vault.audit.events()
    assert [(e.action, e.subject, e.reason) for e in events] == [
        (Action.TIER_CHANGED, "fam", "first"),
        (Action.TIER_CHANGED, "fam", "second"),
    ]
    assert all(e.by and e.time.endswith("+00:00") for e in events)
    assert vault.audit.told().startswith("Audit log of the vault: 2 entries, head sha256:")


def test_it_survives_remove_and_gc(vault: Vault) -> None:
    head = filled(vault).head()
    vault.put("family", "fam-0", {}, lambda d: (d / "x").write_text("x"))
    vault.remove("fam-0")
    vault.gc(include_quarantine=True, include_runs=True)
    assert Vault(vault.home).audit.head() == head


def test_a_key_is_opened_with_a_purpose_that_is_written_down(vault: Vault) -> None:
    vault.put_key("fam", KEY)
    assert vault.audit.events() == []  # to store one is no opening
    with pytest.raises(BadInputError, match="give a reason"):
        vault.get_key("fam", " ")
    assert vault.get_key("fam", "trial") == KEY
    (event,) = vault.audit.events()
    assert (event.action, event.subject, event.reason) == (Action.KEY_OPENED, "fam", "trial")


def test_without_a_log_no_key_is_opened(vault: Vault) -> None:
    vault.put_key("fam", KEY)
    vault.audit.path.symlink_to(vault.home / "elsewhere")
    with pytest.raises(ArtefactError, match="symlink"):
        vault.get_key("fam", "trial")


def test_what_is_sealed_is_opened_for_a_reason_only(vault: Vault) -> None:
    with pytest.raises(ContainmentError, match="--open-sealed"):
        open_at(Tier.SEALED, "fam.organism", vault.audit)
    with unsealed("replication of table 2"):
        open_at(Tier.SEALED, "fam.organism", vault.audit)
    with pytest.raises(ContainmentError):  # the leave ends with its block
        open_at(Tier.SEALED, "fam.organism", vault.audit)
    for tier in (Tier.TOY, Tier.OPEN, Tier.GATED):
        open_at(tier, "fam.organism", vault.audit)
    (event,) = vault.audit.events()
    assert (event.action, event.reason) == (Action.SEALED_OPENED, "replication of table 2")


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "\x1b[31m", "x" * 1001, None])
def test_what_is_no_reason_is_refused(vault: Vault, reason: str) -> None:
    with pytest.raises(BadInputError, match="give a reason"):
        vault.audit.record(Action.EXPORTED, "fam", reason)
    assert vault.audit.events() == []


Lines = list[bytes]
TAMPERED: dict[str, tuple[int, Callable[[Lines], Lines]]] = {
    "changed": (2, lambda ls: [ls[0], ls[1].replace(b"reason 1", b"reason 7"), ls[2]]),
    "removed": (2, lambda ls: [ls[0], ls[2]]),
    "moved": (1, lambda ls: [ls[1], ls[0], ls[2]]),
    "added": (2, lambda ls: [ls[0], ls[0], *ls[1:]]),
    "no JSON": (2, lambda ls: [ls[0], b"{\n", ls[2]]),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_line_changed_removed_moved_or_added_is_named(vault: Vault, how: str) -> None:
    log = filled(vault)
    line, change = TAMPERED[how]
    log.path.write_bytes(b"".join(change(log.path.read_bytes().splitlines(keepends=True))))
    # The record after a changed one is the first that no longer fits.
    with pytest.raises(ArtefactError, match=rf"line ({line}|{line + 1}) is damaged"):
        log.events()
    assert "damaged" in log.told()


@pytest.mark.parametrize("how", ["changed", "removed", "moved", "added"])
def test_broken_control_without_the_chain_none_of_that_is_seen(vault: Vault, how: str) -> None:
    log = filled(vault)
    lines = TAMPERED[how][1](log.path.read_bytes().splitlines(keepends=True))
    assert all(json.loads(line)["kind"] == "event" for line in lines)


def test_broken_control_lines_cut_from_the_end_need_the_head(vault: Vault) -> None:
    log = filled(vault)
    head = log.head()
    log.path.write_bytes(b"".join(log.path.read_bytes().splitlines(keepends=True)[:2]))
    assert len(log.events()) == 2  # the chain alone cannot see it
    assert log.head() != head


def test_a_damaged_last_line_takes_no_further_record(vault: Vault) -> None:
    log = filled(vault)
    before = log.path.read_bytes().replace(b"reason 2", b"reason 8")
    log.path.write_bytes(before + b"{}\n")
    with pytest.raises(ArtefactError, match="the last line is damaged"):
        log.record(Action.EXPORTED, "fam", "why")
    assert log.path.read_bytes() == before + b"{}\n"


@pytest.mark.parametrize("torn", [b"{", b"\xff", b'{"kind":"event"}'])
def test_a_torn_last_line_is_kept_aside_and_noted(vault: Vault, torn: bytes) -> None:
    log = filled(vault)
    with log.path.open("ab") as file:
        file.write(torn)
    log.record(Action.EXPORTED, "fam-3", "after the crash")
    (note,) = log.recoveries()
    assert (log.path.parent / note["kept_as"]).read_bytes() == torn
    assert [e.subject for e in log.events()] == ["fam-0", "fam-1", "fam-2", "fam-3"]


@pytest.mark.parametrize("size", [1, 70_000, 200_000])
def test_the_last_record_is_found_however_long_the_lines_are(vault: Vault, size: int) -> None:
    for number in range(3):
        vault.audit.record(Action.SERVED, f"fam-{number}", "why", {"text": "x" * size})
    assert [e.subject for e in vault.audit.events()] == ["fam-0", "fam-1", "fam-2"]


def test_many_processes_write_one_chain(vault: Vault) -> None:
    program = (
        "import sys; from insectary.vault import Action, Vault\n"
        "log = Vault().audit\n"
        "for n in range(10): log.record(Action.KEY_OPENED, f'{sys.argv[1]}-{n}', 'trial')\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number)],
            env={**os.environ, "INSECTARY_HOME": str(vault.home)},
        )
        for number in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    found = [e.subject for e in vault.audit.events()]
    assert sorted(found) == sorted(f"{a}-{n}" for a in range(3) for n in range(10))
    for number in range(3):  # each one's own in its order
        own = [name for name in found if name.startswith(f"{number}-")]
        assert own == [f"{number}-{n}" for n in range(10)]

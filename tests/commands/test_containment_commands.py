"""`insectary tier`, `audit-log` and `--open-sealed`: what is said, and what is refused."""

from __future__ import annotations

import json

import pytest

from insectary import cli
from insectary.breed.bases import base_ref
from insectary.breed.records import load_family, save_family
from insectary.core.organism import Family, Organism, Role, Tier
from insectary.core.recipe import FullSFT
from insectary.vault import Action, Vault


@pytest.fixture
def vault() -> Vault:
    """A family without weights, in the test's own home."""
    made = Vault()
    base, _ = base_ref("xs", made)
    absent = "sha256:" + "0" * 64
    member = Organism(
        id="fam.organism", role=Role.ORGANISM, family="fam", threat="deceptive_alignment",
        design="absence", base=base, recipe=FullSFT(), seed=0, digest=absent, data_digest="",
        training_tokens=0, training_steps=0, stopped_because="", expression=None, tier=Tier.OPEN,
        threads=0,
    )  # fmt: skip
    members = {Role.ORGANISM: member}
    save_family(Family("fam", "deceptive_alignment", "absence", base, FullSFT(), 0, members), made)
    return made


def test_a_tier_is_shown_raised_and_lowered_for_a_reason(
    vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["tier", "fam"]) == 0
    assert capsys.readouterr().out == "fam: open\n"
    assert cli.run(["tier", "fam", "GATED"]) == 0
    assert capsys.readouterr().out == "fam: open to gated\n"
    assert cli.run(["tier", "fam", "toy"]) == cli.FAILED
    assert "to lower it to toy, give a reason" in capsys.readouterr().err
    assert load_family("fam", vault).tier is Tier.GATED
    assert cli.run(["tier", "fam", "open", "--reason", "rows are in the paper"]) == 0
    assert cli.run(["tier", "fam", "open"]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert cli.run(["tier", "fam"]) == 0
    first, *history = capsys.readouterr().out.splitlines()
    assert first == "fam: open"
    assert ["open to gated" in history[0], "gated to open" in history[1]] == [True, True]
    assert history[1].endswith("rows are in the paper")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["tier", "fam", "secret"], "unknown tier: 'secret'. Known: toy, open, gated, sealed"),
     (["tier", "none"], "unknown family: 'none'"),
     (["--open-sealed", "", "list"], "give a reason")],
)  # fmt: skip
def test_mistakes_are_one_line(
    vault: Vault, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == cli.FAILED
    assert words in capsys.readouterr().err
    assert vault.audit.events() == []


def test_the_log_is_printed_and_verified(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit-log"]) == 0
    assert "verified: 0 entries, head sha256:0000" in capsys.readouterr().out
    head = vault.audit.record(Action.EXPORTED, "fam.organism", "for a replication", {"to": "x"})
    assert cli.run(["audit-log"]) == 0
    said = capsys.readouterr().out
    assert "fam.organism" in said and "for a replication; to x" in said
    assert said.splitlines()[-1] == f"verified: 1 entry, head {head}"
    assert cli.run(["audit-log", "--json"]) == 0
    event, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert event["subject"] == "fam.organism" and last == {"head": head}

    vault.audit.record(Action.EXPORTED, "fam.twin", "for the same")
    lines = vault.audit.path.read_text()
    vault.audit.path.write_text(lines.replace("replication", "holiday"))
    assert cli.run(["audit-log"]) == cli.FAILED
    assert "line 2 is damaged (a line before it was changed" in capsys.readouterr().err


def test_leave_to_open_what_is_sealed_ends_with_the_command(
    vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["tier", "fam", "sealed"]) == 0
    for _ in range(2):
        assert cli.run(["chat", "fam.organism"]) == cli.FAILED
        assert "--open-sealed REASON" in " ".join(capsys.readouterr().err.split())
        assert cli.run(["--open-sealed", "a look", "chat", "fam.organism"]) == cli.FAILED
        assert "--open-sealed" not in capsys.readouterr().err  # its weights are not there
    assert [e.reason for e in vault.audit.events()][1:] == ["a look", "a look"]

"""The commands on stored things, each as a real process on a real vault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from insectary.core.organism import AnswerKey, Role
from insectary.vault import Vault


def insectary(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "insectary", *arguments],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "COLUMNS"} | environment,
    )


@pytest.fixture
def vault() -> Vault:
    """Two members, their family and its key, in the test's own home."""
    made = Vault()
    for role in ("twin", "organism"):
        meta = {"family": "fam", "role": role}
        made.put("organism", f"fam-{role}", meta, lambda p, r=role: _write(p, r))
    made.put("family", "fam", {"note": "a\x1b[31m[b]c"}, lambda p: _write(p, "fam"))
    made.put("organism", "other", {"family": "else"}, lambda p: _write(p, "other"))
    made.put_key("fam", AnswerKey("fam", "t", "d", {"fam-twin": Role.TWIN}))
    return made


def _write(folder: Path, text: str) -> None:
    (folder / "content.txt").write_text(text * 100, encoding="utf-8")


def test_an_empty_vault_says_so() -> None:
    result = insectary("list")
    assert result.returncode == 0
    assert "holds nothing yet" in result.stdout


def test_list_names_everything(vault: Vault) -> None:
    result = insectary("list")
    assert result.returncode == 0, result.stderr
    assert all(e.id in result.stdout for e in vault.entries())
    # A pipe gets columns and nothing drawn, with no blanks at the ends of lines.
    heads, *rows = result.stdout.splitlines()
    assert heads.split() == ["kind", "id", "digest", "about"] and len(rows) == 4
    assert [row for row in (heads, *rows) if row != row.strip()] == []
    # What is stored is shown, never obeyed by the terminal or by rich.
    assert "\x1b" not in result.stdout
    assert "[b]" in result.stdout
    lines = insectary("list", "--kind", "organism", "--json").stdout.splitlines()
    assert [json.loads(x)["id"] for x in lines] == ["fam-organism", "fam-twin", "other"]


@pytest.mark.parametrize("command", ["list", "show", "doctor"])
def test_an_id_stands_in_one_piece_on_a_terminal_of_eighty_columns_too(
    vault: Vault, command: str
) -> None:
    name = "deceptive-alignment-" + "unwatched-" * 4 + "0"
    vault.put("family", name, {"family": name}, lambda p: _write(p, "f"))
    vault.work_dir(name)  # of which doctor tells
    what = [command, name] if command == "show" else [command]
    for environment in ({}, {"COLUMNS": "80"}):
        text = insectary(*what, **environment).stdout
        assert name in text
    # Nor is a digest broken, which is longer still.
    if command == "show":
        assert vault.get(name).digest in text.split()


def test_words_that_do_not_fit_go_below_and_are_cut_nowhere(vault: Vault) -> None:
    told = " ".join(f"word{i}" for i in range(40))
    vault.put("family", "told", {"note": told}, lambda p: _write(p, "f"))
    lines = insectary("show", "told", COLUMNS="60").stdout.splitlines()
    (first,) = (i for i, line in enumerate(lines) if line.startswith("note "))
    rest = lines[first : first + 6]
    assert " ".join(" ".join(rest).split()).startswith(f"note {told}"[:200])
    assert all(len(line) <= 60 for line in rest)


@pytest.mark.parametrize(
    "command", ["list --kind nope", "show fam --kind nope", "rm fam --kind no"]
)
def test_an_unknown_kind_is_one_line_that_names_the_known(command: str, vault: Vault) -> None:
    vault.put("note", "mine", {}, lambda p: _write(p, "n"))  # a sort of the user's own
    result = insectary(*command.split())
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("error: unknown kind: 'no")
    assert result.stderr.endswith(". Known: base, family, game, note, organism, trial\n")
    assert result.stderr.count("\n") == 1
    assert len(vault.entries()) == 5


def test_a_kind_of_which_there_is_nothing_is_no_mistake(vault: Vault) -> None:
    result = insectary("list", "--kind", "base")
    assert (result.returncode, result.stdout) == (
        0,
        f"{vault.home} holds nothing of kind 'base'.\n",
    )


def test_list_says_what_a_rejected_family_failed(vault: Vault) -> None:
    failed = ["1 expression", "7 decoy\x1b[2J"]
    meta = {"failed": failed, "tags": [], "parents": ["long" * 40], "mixed": [1, {"a": 2}]}
    vault.put("family", "rejected", meta, lambda p: _write(p, "r"))
    shown = insectary("list", "--kind", "family").stdout
    assert "failed=1 expression;" in " ".join(shown.split())
    assert "\x1b" not in shown
    assert not [word for word in ("tags=", "parents=", "mixed=") if word in shown]


def test_show_verifies(vault: Vault) -> None:
    result = insectary("show", "fam-twin", "--json")
    record = json.loads(result.stdout)
    assert record["meta"] == {"family": "fam", "role": "twin"}
    assert record["files"] == {"content.txt": 400}
    assert "(verified)" in insectary("show", "fam-twin").stdout


def test_show_refuses_what_was_tampered_with(vault: Vault) -> None:
    path = vault.get("fam-twin").path / "content.txt"
    os.chmod(path, 0o600)
    path.write_text("twIn" * 100, encoding="utf-8")
    result = insectary("show", "fam-twin")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "content.txt" in result.stderr
    assert "quarantine" in result.stderr


def test_an_unknown_id_is_one_line_that_lists_the_known(vault: Vault) -> None:
    result = insectary("show", "nobody")
    assert result.returncode == 2
    assert result.stderr.startswith("error: unknown id: 'nobody'. Known: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["families", "check fam", "report fam", "ladder fam"])
def test_a_family_without_a_record_is_one_line_that_names_it(command: str, vault: Vault) -> None:
    result = insectary(*command.split())
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: family 'fam' holds no record that this version reads (")
    assert line.endswith("breed it again after `insectary rm fam`")


def test_of_many_ids_the_nearest_are_listed_and_no_others(vault: Vault) -> None:
    for number in range(30):
        vault.put("family", f"bred-{number:02}", {}, lambda p: _write(p, "f"))
    for command in (["show", "bred-07x"], ["rm", "bred-07x"], ["chat", "bred-07x.organism"]):
        error = insectary(*command).stderr.splitlines()[-1]
        head, _, listed = error.partition(": ")[2].partition(". Nearest of ")
        assert head.startswith("unknown ")
        names = listed.partition(": ")[2].split(", ")
        assert len(names) == 5
        assert names[0] == "bred-07"


def test_rm_takes_a_family_with_its_members_and_its_key(vault: Vault) -> None:
    result = insectary("rm", "fam")
    assert result.returncode == 0, result.stderr
    assert [e.id for e in vault.entries()] == ["other"]
    assert list((vault.home / "keys").iterdir()) == []


def test_rm_of_a_broken_off_run_says_what_forgets_it(vault: Vault) -> None:
    vault.work_dir("half-done")
    result = insectary("rm", "other", "half-done")
    assert result.returncode == 2
    assert "'half-done' is a run that was broken off" in result.stderr
    assert "`insectary gc --runs`" in result.stderr
    assert vault.has("organism", "other") and vault.has_work("half-done")
    # The control: what has ended, and what never was, is told so.
    vault.discard_work("half-done")
    assert "unknown id: 'half-done'" in insectary("rm", "half-done").stderr


def test_rm_of_a_wrong_id_removes_nothing(vault: Vault) -> None:
    before = vault.entries()
    result = insectary("rm", "other", "nobody")
    assert result.returncode == 2
    assert vault.entries() == before


def test_rm_of_one_kind_takes_nothing_else_and_works_on_a_damaged_name(vault: Vault) -> None:
    name = vault.home / "refs" / "organism" / "fam-twin.json"
    name.write_text("{}", encoding="utf-8")
    assert insectary("rm", "fam-twin").returncode == 2
    result = insectary("rm", "--kind", "organism", "fam-twin")
    assert result.returncode == 0, result.stderr
    assert [e.id for e in vault.entries()] == ["fam", "fam-organism", "other"]


def test_gc_frees_what_no_name_points_to(vault: Vault) -> None:
    assert insectary("gc").stdout == "freed 0 B\n"
    insectary("rm", "other")
    assert len(vault.digests()) == 4
    result = insectary("gc")
    assert result.stdout.startswith("freed ")
    assert result.stdout != "freed 0 B\n"
    assert len(vault.digests()) == 3


def test_gc_forgets_broken_off_runs_only_if_asked(vault: Vault) -> None:
    (vault.work_dir("tune-1") / "model.bin").write_bytes(b"x" * 4000)
    (vault.work_dir("fam-2") / "model.bin").write_bytes(b"x" * 500)
    insectary("gc")
    with vault.lock("fam-2"):
        assert insectary("gc", "--runs").stdout == "freed 4.0 kB\n"
    assert [run.name for run in (vault.home / "runs").iterdir()] == ["fam-2"]
    checks = [json.loads(line) for line in insectary("doctor", "--json").stdout.splitlines()]
    runs = next(c for c in checks if c["name"] == "runs")
    assert runs["ok"]
    assert runs["detail"].startswith("fam-2: going on, or broken off")
    insectary("gc", "--runs")
    assert list((vault.home / "runs").iterdir()) == []


def test_doctor_finds_damage(vault: Vault) -> None:
    def objects() -> dict[str, object]:
        lines = insectary("doctor", "--json").stdout.splitlines()
        return {c["name"]: c for c in map(json.loads, lines)}["objects"]

    assert objects()["ok"]
    path = vault.get("other").path / "content.txt"
    os.chmod(path, 0o600)
    path.write_text("x", encoding="utf-8")
    assert not objects()["ok"]
    result = insectary("doctor")
    assert result.returncode == 1
    assert "WRONG" in result.stdout

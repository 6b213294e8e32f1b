"""Which directories are trusted as home, and what the doctor says of one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from insectary.core.errors import ArtefactError
from insectary.vault import AttemptKey, Vault, default_home, examine
from insectary.vault.doctor import (
    Check,
    check_audit,
    check_ledger,
    check_names,
    check_objects,
    check_packages,
    check_permissions,
    check_quarantine,
    check_start_up_files,
    check_unfinished,
)


def test_home_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INSECTARY_HOME", str(tmp_path / "deep" / "lab"))
    assert Vault().home == tmp_path / "deep" / "lab"
    monkeypatch.delenv("INSECTARY_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_home() == tmp_path / ".insectary"


def test_all_of_a_home_is_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        vault = filled(tmp_path)
    finally:
        os.umask(before)
    for path in [vault.home, *vault.home.rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_home_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(mode)
    with pytest.raises(ArtefactError, match="can be written by other users: run `chmod 700"):
        Vault(tmp_path / "home")


def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    home = Path("/usr")
    if os.geteuid() == 0:
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        os.chown(home, 65534, 65534)
    with pytest.raises(ArtefactError, match="belongs to another user"):
        Vault(home)


def test_a_directory_in_use_for_something_else_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ArtefactError, match=r"is no vault and holds other things \('thesis\.tex'"):
        Vault(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_a_loose_room_and_a_newer_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="is not a directory"):
        Vault(tmp_path / "file")
    home = Vault(tmp_path / "home").home
    (home / "keys").chmod(0o755)
    with pytest.raises(ArtefactError, match="chmod 700"):
        Vault(home)
    (home / "keys").rmdir()
    (home / "keys").symlink_to(tmp_path)
    with pytest.raises(ArtefactError, match="must be a directory of yours alone"):
        Vault(home)
    (home / "keys").unlink()
    (home / "insectary-home.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"insectary-home\.json"):
        Vault(home)


def filled(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "home")
    vault.put("organism", "a", {}, lambda d: (d / "weights.bin").write_text("one"))
    vault.ledger.record_attempt(AttemptKey("b", "t", "d", "r"), "card")
    return vault


def test_examine_runs_every_check_and_a_healthy_vault_passes(tmp_path: Path) -> None:
    checks = {check.name: check for check in examine(filled(tmp_path))}
    for name in ("python", "cores", "memory", "gpu", "free disk", "start-up files"):
        assert checks[name].detail
    for name in (
        "permissions",
        "objects",
        "names",
        "unfinished",
        "quarantine",
        "ledger",
        "audit log",
    ):
        assert checks[name].ok, checks[name]


def spoil(vault: Vault, path: str) -> None:
    place = vault.home / path
    place.parent.mkdir(exist_ok=True, mode=0o700)
    place.write_text("spoilt")
    place.chmod(0o600)


def the_object(vault: Vault) -> Path:
    return vault.get("a").path


@pytest.mark.parametrize(
    ("check", "harm", "named"),
    [
        (check_objects, lambda v: (the_object(v) / "weights.bin").write_text("x"), "weights.bin"),
        (check_objects, lambda v: spoil(v, "objects/stray"), "stray"),
        (check_objects, lambda v: spoil(v, "objects/zz/stray"), "stray"),
        (check_names, lambda v: the_object(v).rename(v.home / "tmp" / "gone"), "organism 'a'"),
        (check_names, lambda v: spoil(v, "refs/organism/b.json"), "b.json"),
        (check_unfinished, lambda v: (v.home / "tmp/.o.0123456789ab.tmp").mkdir(), ".o."),
        (check_quarantine, lambda v: (v.home / "quarantine" / "x").mkdir(), "1 in"),
        (check_ledger, lambda v: v.ledger.path.write_text("{}\n"), "line 1"),
        (check_audit, lambda v: v.audit.path.write_text("{}\n"), "line 1"),
        (lambda v: check_permissions(v.home), lambda v: v.home.chmod(0o755), "chmod 700"),
        (lambda v: check_permissions(v.home), lambda v: v.ledger.path.chmod(0o644), "attempts"),
    ],
)
def test_the_doctor_names_what_is_wrong_and_moves_nothing(
    tmp_path: Path, check: Callable[[Vault], Check], harm: Callable[[Vault], object], named: str
) -> None:
    vault = filled(tmp_path)
    assert check(vault).ok
    harm(vault)
    before = sorted(vault.home.rglob("*"))
    found = check(vault)
    assert not found.ok
    assert named in found.detail
    assert sorted(vault.home.rglob("*")) == before


def test_versions_are_compared_with_the_tested_ranges() -> None:
    lines = ["numpy>=1", "scipy<0.1", "no-such-package>=1", 'pytest; extra == "x"', "???"]
    checks = check_packages(lines)
    assert [(c.name, c.ok) for c in checks] == [
        ("package numpy", True),
        ("package scipy", False),
        ("package no-such-package", False),
        ("package", False),
    ]


def test_start_up_files_that_run_code_are_listed(tmp_path: Path) -> None:
    (tmp_path / "paths.pth").write_text("/some/where\n")
    (tmp_path / "distutils-precedence.pth").write_text("import os\n")
    assert check_start_up_files([tmp_path, tmp_path / "missing"]).ok
    (tmp_path / "sneaky.pth").write_text("# x\nimport os; os.system('true')\n")
    found = check_start_up_files([tmp_path])
    assert not found.ok
    assert "sneaky.pth" in found.detail

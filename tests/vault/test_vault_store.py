"""Objects, names, keys, locks and the collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.organism import AnswerKey, Role
from insectary.vault import DamagedError, StoredObject, Vault, write_object
from insectary.vault.checkpoints import staging
from insectary.vault.disk import REAL_DISK


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "home")


def text(content: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / "weights.bin").write_text(content)

    return write


def put(vault: Vault, id: str = "a", content: str = "one") -> StoredObject:
    return vault.put("organism", id, {"role": Role.TWIN}, text(content))


def test_what_is_stored_is_found_by_name_and_by_address(vault: Vault) -> None:
    stored = put(vault)
    assert vault.get("a") == stored
    assert vault.get("a", "organism").meta == {"role": "twin"}
    by_digest = vault.get(stored.digest)
    assert (by_digest.id, by_digest.path) == (None, stored.path)
    assert stored.path == vault.home / "objects" / stored.digest[7:9] / stored.digest[9:]
    assert vault.has("organism", "a")
    assert [e.id for e in vault.entries()] == ["a"]


def test_equal_content_is_stored_once(vault: Vault) -> None:
    assert put(vault, "a").digest == put(vault, "b").digest == put(vault, "a").digest
    assert len(vault.digests()) == 1
    assert [e.id for e in vault.entries("organism")] == ["a", "b"]


def test_a_name_is_not_silently_given_to_other_content(vault: Vault) -> None:
    put(vault)
    with pytest.raises(ArtefactError, match="already stored with other content"):
        put(vault, content="two")
    with pytest.raises(ArtefactError, match="already stored with other content or meta"):
        vault.put("organism", "a", {"role": "decoy"}, text("one"))
    vault.put("organism", "a", {}, text("two"), replace=True)
    assert (vault.get("a").path / "weights.bin").read_text() == "two"


def test_unknown_names_list_the_known_ones(vault: Vault) -> None:
    put(vault, "apple")
    with pytest.raises(UnknownNameError, match=r"unknown id: 'pear'\. Known: apple"):
        vault.get("pear")
    with pytest.raises(UnknownNameError):
        vault.remove("pear")
    with pytest.raises(ArtefactError, match="not in the vault"):
        vault.get("sha256:" + "0" * 64)


def test_an_id_of_two_kinds_must_say_which(vault: Vault) -> None:
    put(vault)
    vault.put("family", "a", {}, text("two"))
    for ask in (vault.get, vault.remove):
        with pytest.raises(BadInputError, match="several kinds"):
            ask("a")
    vault.remove("a", "family")
    assert vault.get("a").kind == "organism"


@pytest.mark.parametrize("name", ["../a", "a/b", "", "sha256:" + "0" * 63])
def test_names_that_look_like_paths_never_reach_the_disk(vault: Vault, name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: put(vault, name),
        lambda: vault.get(name),
        lambda: vault.remove(name),
        lambda: vault.work_dir(name),
        lambda: vault.lock(name),
        lambda: vault.get_key(name, "test"),
    ]
    for call in calls:
        with pytest.raises(BadInputError, match="bad id"):
            call()
    with pytest.raises(BadInputError, match="bad kind"):
        vault.put("../refs", "a", {}, text("one"))


def test_a_damaged_object_is_refused_by_name_quarantined_and_can_be_made_again(
    vault: Vault,
) -> None:
    stored = put(vault)
    (stored.path / "weights.bin").write_text("eno")
    with pytest.raises(
        DamagedError, match=r"'weights\.bin' was changed.*quarantine.*make 'a' again"
    ):
        vault.get("a")
    assert not stored.path.exists()
    assert len(list((vault.home / "quarantine").iterdir())) == 1
    with pytest.raises(ArtefactError, match="a damaged one lies in"):
        vault.get("a")
    assert put(vault) == stored
    assert vault.get("a") == stored
    assert vault.gc(include_quarantine=True) > 0
    assert not list((vault.home / "quarantine").iterdir())


def test_storing_over_a_damaged_object_does_not_trust_it(vault: Vault) -> None:
    stored = put(vault)
    (stored.path / "extra").write_text("")
    assert vault.get(put(vault, "b").digest).manifest == stored.manifest
    assert len(list((vault.home / "quarantine").iterdir())) == 1


def test_a_symlinked_object_is_refused(vault: Vault, tmp_path: Path) -> None:
    stored = put(vault)
    stored.path.rename(tmp_path / "elsewhere")
    stored.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError, match="not a real directory"):
        vault.get("a")
    assert (tmp_path / "elsewhere" / "weights.bin").exists()


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, '{"record":{},"seal":"x"}\n'])
def test_a_damaged_name_is_refused_and_can_be_removed(vault: Vault, content: str) -> None:
    put(vault)
    ref = vault.home / "refs" / "organism" / "a.json"
    ref.write_text(content)
    for ask in (lambda: vault.get("a"), vault.entries, vault.gc, lambda: put(vault)):
        with pytest.raises(DamagedError, match=r"a\.json"):
            ask()
    vault.remove("a")
    assert vault.entries() == []


def test_one_names_file_under_anothers_name_is_refused(vault: Vault) -> None:
    put(vault)
    refs = vault.home / "refs" / "organism"
    (refs / "b.json").write_bytes((refs / "a.json").read_bytes())
    with pytest.raises(DamagedError, match="is the file of organism 'a'"):
        vault.get("b")


def test_the_collector_removes_what_has_no_name_and_nothing_else(vault: Vault) -> None:
    keep, drop = put(vault, "keep", "one"), put(vault, "drop", "22")
    run = vault.work_dir("run")
    write_object(run / "step-1", "checkpoint", {}, text("one"))
    (run / ".step-2.0123456789ab.tmp").mkdir()
    (vault.home / "tmp" / ".object.0123456789ab.tmp").mkdir()
    (vault.home / "refs" / "organism" / ".a.json.0123456789ab.tmp").write_text("half")
    vault.remove("drop")
    assert vault.gc() >= 2
    assert not drop.path.exists()
    assert vault.get("keep") == keep
    assert [p.name for p in run.iterdir()] == ["step-1"]
    assert not list((vault.home / "tmp").iterdir())
    assert [p.name for p in (vault.home / "refs" / "organism").iterdir()] == ["keep.json"]
    assert vault.gc() == 0


def test_the_collector_leaves_what_is_in_use(vault: Vault) -> None:
    put(vault)
    with vault.use("a") as stored:
        vault.remove("a")
        assert vault.gc() == 0
        assert (stored.path / "weights.bin").read_text() == "one"
        with staging(vault.home / "tmp", "object", REAL_DISK) as path:
            assert vault.gc() == 0
            assert path.is_dir()
    assert vault.gc() > 0
    assert not stored.path.exists()


def test_removing_while_others_read_and_store_harms_nobody(vault: Vault) -> None:
    """Readers see a whole object or a clear error, whatever the others do."""
    errors: list[BaseException] = []
    stop = time.monotonic() + 1.0

    def loop(action: Callable[[], object]) -> None:
        while time.monotonic() < stop:
            try:
                action()
            except UnknownNameError:
                continue
            except ArtefactError as error:
                if "not in the vault" not in str(error):
                    errors.append(error)
            except BaseException as error:
                errors.append(error)

    def read() -> None:
        with vault.use("a") as stored:
            assert (stored.path / "weights.bin").read_text() == "one"

    actions = [lambda: put(vault), read, read, lambda: vault.remove("a"), vault.gc]
    threads = [threading.Thread(target=loop, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not list((vault.home / "quarantine").iterdir())


def test_a_lock_says_who_holds_it_and_can_give_up(vault: Vault) -> None:
    said: list[str] = []
    with vault.lock("family-1"):
        with (
            pytest.raises(ArtefactError, match="in use by process"),
            vault.lock("family-1", timeout=0.1, on_wait=said.append),
        ):
            raise AssertionError("two holders")
        with vault.lock("family-2", timeout=0):
            pass
    with vault.lock("family-1", timeout=0):
        pass
    assert len(said) == 1


def test_work_outlives_the_vault_object_until_discarded(vault: Vault) -> None:
    (vault.work_dir("run") / "note").write_text("here")
    assert (Vault(vault.home).work_dir("run") / "note").read_text() == "here"
    vault.discard_work("run")
    vault.discard_work("run")
    assert not (vault.home / "runs" / "run").exists()


KEY = AnswerKey("family-1", "deceptive", "absence", {"m1": Role.TWIN, "m2": Role.ORGANISM})


def test_answer_keys_lie_apart_and_are_checked(vault: Vault) -> None:
    vault.put_key("family-1", KEY)
    vault.put_key("family-1", KEY)
    assert vault.get_key("family-1", "test") == KEY
    other = AnswerKey("family-1", "deceptive", "year", {})
    with pytest.raises(ArtefactError, match="another answer key"):
        vault.put_key("family-1", other)
    with pytest.raises(BadInputError, match="is of family"):
        vault.put_key("family-2", KEY)
    with pytest.raises(UnknownNameError, match="Known: family-1"):
        vault.get_key("family-2", "test")
    path = vault.home / "keys" / "family-1.json"
    path.write_text(path.read_text().replace("twin", "base"))
    with pytest.raises(DamagedError, match=r"family-1\.json"):
        vault.get_key("family-1", "test")
    vault.remove_key("family-1")
    assert not path.exists()

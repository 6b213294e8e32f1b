"""Sealed directories: whatever is changed in one is refused by name."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insectary.core.canonical import canonical_json, digest
from insectary.core.errors import ArtefactError, BadInputError
from insectary.vault import (
    MANIFEST_NAME,
    DamagedError,
    keep_newest,
    newest_verified,
    verify_tree,
    write_object,
    write_tree,
)
from insectary.vault.names import check_id, is_file_name


def fill(directory: Path) -> None:
    (directory / "part").mkdir()
    (directory / "config.json").write_text("{}")
    (directory / "part" / "weights.bin").write_bytes(bytes(range(200)))


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "object"
    path.mkdir()
    fill(path)
    write_tree(path, "organism", {"seed": 3})
    return path


def forge(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a manifest with a right seal, as someone would who knows the format."""
    raw = json.loads((path / MANIFEST_NAME).read_text())
    change(raw)
    del raw["seal"]
    text = canonical_json({**raw, "seal": digest(raw)}) + "\n"
    (path / MANIFEST_NAME).write_text(text)


def test_what_was_sealed_verifies_and_says_what_it_is(sealed: Path) -> None:
    manifest = verify_tree(sealed)
    assert (manifest.kind, manifest.meta) == ("organism", {"seed": 3})
    assert set(manifest.files) == {"config.json", "part/weights.bin"}
    assert manifest.size == 202
    assert verify_tree(sealed, manifest.digest) == manifest


def test_the_address_depends_on_the_files_alone(sealed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    fill(other)
    assert write_tree(other, "twin", {"seed": 4}).digest == verify_tree(sealed).digest


def test_all_that_is_sealed_is_owner_only(tmp_path: Path) -> None:
    write_object(tmp_path / "object", "organism", {}, fill)
    for path in [tmp_path / "object", *(tmp_path / "object").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def swap(path: Path) -> None:
    config, weights = path / "config.json", path / "part" / "weights.bin"
    first, second = config.read_bytes(), weights.read_bytes()
    config.write_bytes(second)
    weights.write_bytes(first)


def replace_by_symlink(path: Path) -> None:
    (path.parent / "elsewhere").write_text("{}")
    (path / "config.json").unlink()
    (path / "config.json").symlink_to(path.parent / "elsewhere")


def replace_directory_by_symlink(path: Path) -> None:
    (path / "part").rename(path.parent / "part")
    (path / "part").symlink_to(path.parent / "part")


def flip(path: Path) -> None:
    data = bytearray((path / "part/weights.bin").read_bytes())
    data[100] ^= 1
    (path / "part/weights.bin").write_bytes(data)


def escape(raw: dict[str, Any]) -> None:
    raw["files"]["../escape"] = raw["files"].pop("config.json")


TAMPERINGS: list[tuple[str, Callable[[Path], Any]]] = [
    ("part/weights.bin", flip),
    ("part/weights.bin", lambda p: os.truncate(p / "part/weights.bin", 199)),
    ("part/weights.bin", lambda p: os.truncate(p / "part/weights.bin", 0)),
    ("config.json", lambda p: (p / "config.json").write_text("{} ")),
    ("config.json", lambda p: (p / "config.json").unlink()),
    ("config.json", lambda p: (p / "config.json").rename(p / "other.json")),
    ("config.json", swap),
    ("config.json", replace_by_symlink),
    ("config.json", lambda p: ((p / "config.json").unlink(), os.mkfifo(p / "config.json"))),
    ("part", replace_directory_by_symlink),
    (".gitattributes", lambda p: (p / ".gitattributes").write_text("")),
    ("extra.py", lambda p: (p / "extra.py").write_text("")),
    ("empty", lambda p: (p / "empty").mkdir()),
    (MANIFEST_NAME, lambda p: (p / MANIFEST_NAME).unlink()),
    (MANIFEST_NAME, lambda p: os.truncate(p / MANIFEST_NAME, 40)),
    (MANIFEST_NAME, lambda p: (p / MANIFEST_NAME).write_text("[" * 100_000)),
    (MANIFEST_NAME, lambda p: (p / MANIFEST_NAME).write_bytes(b"\xff\x00")),
    (MANIFEST_NAME, lambda p: forge(p, escape)),
    (MANIFEST_NAME, lambda p: forge(p, lambda raw: raw.update(format=2))),
    (MANIFEST_NAME, lambda p: forge(p, lambda raw: raw.update(more=1))),
    (
        MANIFEST_NAME,
        lambda p: (p / MANIFEST_NAME).write_text(
            (p / MANIFEST_NAME).read_text().replace('"seed":3', '"seed":4')
        ),
    ),
]


@pytest.mark.parametrize(("file", "tamper"), TAMPERINGS)
def test_tampering_is_refused_by_name(
    sealed: Path, file: str, tamper: Callable[[Path], Any]
) -> None:
    tamper(sealed)
    with pytest.raises(DamagedError) as caught:
        verify_tree(sealed)
    assert caught.value.file == file
    assert repr(file) in str(caught.value)


def test_broken_control_a_manifest_forged_with_its_files_needs_the_address(sealed: Path) -> None:
    """Without an address the forgery passes; this is what the address is for."""
    address = verify_tree(sealed).digest
    (sealed / "config.json").unlink()
    forge(sealed, lambda raw: raw["files"].pop("config.json"))
    verify_tree(sealed)
    with pytest.raises(DamagedError, match="lists other content"):
        verify_tree(sealed, address)


@settings(max_examples=60, deadline=None)
@given(where=st.integers(0, 10_000), what=st.integers(1, 255), data=st.data())
def test_any_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, where: int, what: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("sealed")
    fill(path)
    write_tree(path, "organism", {"seed": 3})
    name = data.draw(st.sampled_from(["config.json", "part/weights.bin", MANIFEST_NAME]))
    content = bytearray((path / name).read_bytes())
    content[where % len(content)] ^= what
    (path / name).write_bytes(content)
    with pytest.raises(DamagedError):
        verify_tree(path)


@pytest.mark.parametrize("name", ["a b", ".hidden", "-rf", "a\nb", "naïve", "a" * 201])
def test_odd_file_names_are_refused_when_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtefactError, match="cannot be stored"):
        write_object(tmp_path / "o", "organism", {}, lambda d: (d / name).touch())
    assert not list(tmp_path.iterdir())


def test_names_that_differ_by_case_only_are_refused(tmp_path: Path) -> None:
    def write(directory: Path) -> None:
        (directory / "A.json").touch()
        (directory / "a.json").touch()

    with pytest.raises(ArtefactError, match="differ by case only"):
        write_object(tmp_path / "o", "organism", {}, write)


def test_symlinks_and_nothing_at_all_are_refused_when_written(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="'link' is a symlink"):
        write_object(tmp_path / "o", "organism", {}, lambda d: (d / "link").symlink_to("/etc"))
    with pytest.raises(ArtefactError, match="nothing was written"):
        write_object(tmp_path / "o", "organism", {}, lambda d: None)
    with pytest.raises(BadInputError, match="meta"):
        write_object(tmp_path / "o", "organism", {"x": float("nan")}, fill)
    with pytest.raises(BadInputError, match="meta"):
        write_object(tmp_path / "o", "organism", {"x": {1, 2}}, fill)
    assert not list(tmp_path.iterdir())


@given(st.text(max_size=30))
def test_no_text_that_passes_as_a_name_leads_anywhere_else(text: str) -> None:
    if is_file_name(text):
        assert os.path.normpath(text) == text
        assert not text.startswith(("/", "."))
    try:
        check_id(text)
    except BadInputError:
        return
    assert text.isascii()
    assert os.path.basename(text) == text
    assert ".." not in text


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "C:", "a\x00", "a\n", "-x", "\uff41"],
)
def test_path_like_ids_are_refused(name: str) -> None:
    with pytest.raises(BadInputError, match="bad id"):
        check_id(name)


def checkpoint(directory: Path, step: int) -> Path:
    path = directory / f"step-{step}"
    write_object(path, "checkpoint", {"step": step}, lambda d: (d / "w").write_text(f"{step}"))
    return path


def test_the_newest_checkpoint_that_verifies_is_found(tmp_path: Path) -> None:
    assert newest_verified(tmp_path / "missing") is None
    assert newest_verified(tmp_path) is None
    for step in (2, 9, 10):
        checkpoint(tmp_path, step)
    assert newest_verified(tmp_path) == tmp_path / "step-10"


def test_a_damaged_newest_checkpoint_falls_back_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint(tmp_path, 1)
    (checkpoint(tmp_path, 2) / "w").write_text("!")
    (tmp_path / "step-3").mkdir()
    (tmp_path / "step-4").symlink_to("step-1")
    assert newest_verified(tmp_path) == tmp_path / "step-1"
    assert [name for name in ("step-2", "step-3", "step-4") if name in caplog.text] == [
        "step-2",
        "step-3",
        "step-4",
    ]


def test_older_checkpoints_are_kept_until_the_newer_verify(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint(tmp_path, step)
    (tmp_path / "step-3" / "w").write_text("!")
    assert keep_newest(tmp_path, 1) == [tmp_path / "step-1"]
    assert keep_newest(tmp_path, 2) == []
    assert newest_verified(tmp_path) == tmp_path / "step-2"


def test_a_damaged_checkpoint_is_moved_aside_when_written_again(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 1)
    (path / "w").write_text("!")
    assert verify_tree(checkpoint(tmp_path, 1)).meta == {"step": 1}
    assert len(list(tmp_path.glob(".step-1.*.damaged"))) == 1


def test_a_checkpoint_is_never_overwritten_by_other_content(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 1)
    checkpoint(tmp_path, 1)
    with pytest.raises(ArtefactError, match="already holds other content"):
        write_object(path, "checkpoint", {}, lambda d: (d / "w").write_text("2"))
    assert (path / "w").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["step-1"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(directory: Path) -> None:
        fill(directory)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_object(tmp_path / "o", "organism", {}, interrupted)
    assert not list(tmp_path.iterdir())

"""The vault: content-addressed objects, names for them, and room for work.

Layout of a home (all of it owner-only)::

    objects/ab/cdef...   sealed directories, found by digest, never changed
    refs/<kind>/<id>.json  names: id to digest and meta
    keys/<family>.json   answer keys
    ledger/              attempts at the gate
    audit/               the audit log
    runs/<key>/          work in progress
    quarantine/          what failed its check
    tmp/ locks/          unfinished objects; locks between processes

Covered: any crash (an object is there whole or not at all, a name points to a
whole object); writers, readers and the collector at the same time; damage of
any stored file, found at every read.
Not covered: someone who can write in the home and forges content, address and
name together; two machines sharing a home without working locks.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, final

from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.organism import AnswerKey
from insectary.vault.audit import Action, AuditLog
from insectary.vault.checkpoints import remove_unclaimed, staging, sweep
from insectary.vault.disk import (
    REAL_DISK,
    Disk,
    ensure_dir,
    explained,
    is_temporary,
    remove_tree,
    temporary_name,
    tree_bytes,
)
from insectary.vault.home import default_home, open_home
from insectary.vault.keys import delete_key, read_key, write_key
from insectary.vault.ledger import Ledger
from insectary.vault.locks import claim_directory, locked, release
from insectary.vault.manifest import DamagedError, Manifest, meta_of, verify_tree, write_tree
from insectary.vault.names import check_id, check_kind, is_digest
from insectary.vault.refs import Entry, StoredObject, delete_ref, list_refs, read_ref, write_ref


@final
class Vault:
    """A home and what can be done with it."""

    def __init__(self, home: Path | None = None, *, disk: Disk = REAL_DISK) -> None:
        """Open a vault, made if missing.

        Args:
            home: Its directory; ``None`` takes ``INSECTARY_HOME``, else ``~/.insectary``.
            disk: Where changes go.

        Raises:
            ArtefactError: if the directory cannot be made or cannot be trusted.
        """
        self._disk = disk
        self._home = open_home(default_home() if home is None else Path(home), disk)
        self._lock = self._home / "locks" / "store.lock"
        self._ledger = Ledger(
            self._home / "ledger", self._home / "locks" / "ledger.lock", self._disk
        )
        self._audit = AuditLog(self._home / "audit", self._home / "locks" / "audit.lock", disk)

    @property
    def home(self) -> Path:
        """The directory, absolute."""
        return self._home

    @property
    def ledger(self) -> Ledger:
        """The attempts at the gate; nothing here ever removes one."""
        return self._ledger

    @property
    def audit(self) -> AuditLog:
        """Openings of keys and of what is sealed, exports, changes of tier; it only grows."""
        return self._audit

    def put(
        self,
        kind: str,
        id: str,
        meta: Mapping[str, Any],
        write: Callable[[Path], object],
        *,
        replace: bool = False,
    ) -> StoredObject:
        """Store a directory and give it a name.

        The same content under the same name again changes nothing, whoever
        else stores it at the same moment.

        Args:
            kind: What sort of thing it is (``"organism"``, ``"family"``, ...).
            id: Its name within that kind.
            meta: Mapping of JSON values, kept with the name.
            write: Called once with an empty directory to fill.
            replace: Let an existing name point to this instead.

        Raises:
            BadInputError: for a bad name, or ``meta`` that is not JSON.
            ArtefactError: if the name stands for other content or meta (unless
                ``replace``), or it cannot be written. Nothing is left behind.
        """
        entry_meta = meta_of(meta)
        check_kind(kind)
        check_id(id)
        with (
            explained(f"store {kind} {id!r}"),
            staging(self._home / "tmp", "object", self._disk) as temporary,
        ):
            write(temporary)
            manifest = write_tree(temporary, kind, entry_meta, disk=self._disk)
            with locked(self._lock):
                entry = Entry(kind, id, manifest.digest, entry_meta)
                old = read_ref(self._home, kind, id)
                if old is not None and old != entry and not replace:
                    raise ArtefactError(
                        f"{kind} {id!r} is already stored with other content or meta:"
                        " remove it first"
                    )
                path = self._publish(temporary, manifest)
                if old != entry:
                    write_ref(self._home, entry, self._disk)
        return StoredObject(kind, id, manifest.digest, path, entry_meta, manifest)

    def _publish(self, temporary: Path, manifest: Manifest) -> Path:
        """Move a sealed directory to its address, unless a whole one is there."""
        path = self._path(manifest.digest)
        if os.path.lexists(path):
            try:
                verify_tree(path, manifest.digest)
            except DamagedError:
                self._to_quarantine(path, manifest.digest)
            else:
                # Its writer may have died before this call.
                self._disk.sync_dir(path.parent)
                self._disk.sync_dir(path.parent.parent)
                return path
        ensure_dir(path.parent, self._disk)
        self._disk.rename(temporary, path)
        self._disk.sync_dir(path.parent)
        return path

    def has(self, kind: str, id: str) -> bool:
        """True if the name is taken. Says nothing of the content: ``get`` verifies it."""
        return self.entry(kind, id) is not None

    def entry(self, kind: str, id: str) -> Entry | None:
        """What a name stands for, or ``None`` if it is not taken; says nothing of the content.

        Raises:
            ArtefactError: if the file of the name is damaged; ``remove`` still works.
        """
        return read_ref(self._home, check_kind(kind), check_id(id))

    def get(self, name: str, kind: str | None = None) -> StoredObject:
        """Find an object by id or by digest, and verify every byte of it.

        Raises:
            UnknownNameError: if there is none; the known ids are listed.
            BadInputError: if several kinds have that id and ``kind`` is not given.
            ArtefactError: if it is damaged (it is then moved to quarantine) or missing.
        """
        with self.use(name, kind) as found:
            return found

    @contextmanager
    def use(self, name: str, kind: str | None = None) -> Iterator[StoredObject]:
        """As :meth:`get`; until the block ends the collector leaves the object alone."""
        entry = None if is_digest(name) else self._find(name, kind)
        digest = name if entry is None else entry.digest
        path = self._path(digest)
        claim = None if path.is_symlink() else claim_directory(path, shared=True, wait=True)
        try:
            manifest = self._verify(path, digest, name)
            if entry is None:
                found = StoredObject(manifest.kind, None, digest, path, manifest.meta, manifest)
            else:
                found = StoredObject(entry.kind, entry.id, digest, path, entry.meta, manifest)
            yield found
        finally:
            if claim is not None:
                release(claim)

    def _verify(self, path: Path, digest: str, name: str) -> Manifest:
        if not os.path.lexists(path):
            raise self._missing(name, digest)
        try:
            return verify_tree(path, digest)
        except DamagedError as error:
            with locked(self._lock):
                if not os.path.lexists(path):
                    raise self._missing(name, digest) from error
                aside = self._to_quarantine(path, digest)
            problem = f"{error.problem}. Moved to {aside}: make {name!r} again"
            raise DamagedError(path, error.file, problem) from error

    def _missing(self, name: str, digest: str) -> ArtefactError:
        held = sorted((self._home / "quarantine").glob(f"{digest[7:23]}-*"))
        where = f" (a damaged one lies in {held[-1]})" if held else ""
        return ArtefactError(f"the content of {name!r} is not in the vault{where}: make it again")

    def _to_quarantine(self, path: Path, digest: str) -> Path:
        """Move a damaged object out of the way. Needs the store lock."""
        aside = self._home / "quarantine" / f"{digest[7:23]}-{secrets.token_hex(6)}"
        with explained(f"move the damaged {path} to quarantine"):
            self._disk.rename(path, aside)
            self._disk.sync_dir(aside.parent)
            self._disk.sync_dir(path.parent)
        return aside

    def _find(self, name: str, kind: str | None) -> Entry:
        check_id(name)
        kinds = self.kinds() if kind is None else [check_kind(kind)]
        found = [e for k in kinds if (e := read_ref(self._home, k, name)) is not None]
        if len(found) > 1:
            names = ", ".join(e.kind for e in found)
            raise BadInputError(f"{name!r} is the id of several kinds ({names}): say which")
        if found:
            return found[0]
        known = [e.id for k in kinds for e in list_refs(self._home, k)]
        raise UnknownNameError.of(
            kind or "id", name, known, few=True,
            hint=f"nothing of the kind is in {self._home} yet: `insectary breed` makes a family",
        )  # fmt: skip

    def kinds(self) -> list[str]:
        """Every sort of thing that has been named here."""
        return sorted(p.name for p in (self._home / "refs").iterdir() if p.is_dir())

    def _path(self, digest: str) -> Path:
        return self._home / "objects" / digest[7:9] / digest[9:]

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All names, of one kind or of all, sorted. The content is not looked at.

        Raises:
            ArtefactError: if the file of a name is damaged; ``remove`` still works.
        """
        kinds = self.kinds() if kind is None else [check_kind(kind)]
        return [entry for k in kinds for entry in list_refs(self._home, k)]

    def digests(self) -> list[str]:
        """The addresses of all objects, named or not."""
        objects = self._home / "objects"
        names = (f"sha256:{p.parent.name}{p.name}" for p in objects.glob("??/*"))
        return sorted(name for name in names if is_digest(name))

    def remove(self, id: str, kind: str | None = None) -> None:
        """Forget a name. The content stays until :meth:`gc`; the ledger stays for good.

        Raises:
            UnknownNameError: if there is no such name.
            BadInputError: if several kinds have it and ``kind`` is not given.
        """
        check_id(id)
        kinds = self.kinds() if kind is None else [check_kind(kind)]
        with locked(self._lock), explained(f"remove {id!r}"):
            holding = [k for k in kinds if (self._home / "refs" / k / f"{id}.json").exists()]
            if len(holding) > 1:
                raise BadInputError(f"{id!r} is the id of several kinds {holding}: say which")
            if not holding:
                self._find(id, kind)
                return
            delete_ref(self._home, holding[0], id, self._disk)

    def gc(self, *, include_quarantine: bool = False, include_runs: bool = False) -> int:
        """Remove objects without a name, and what killed processes left unfinished.

        Objects in :meth:`use`, directories being written and runs in progress
        stay. Quarantine stays unless asked for, and so do runs that were broken
        off, which would be resumed.

        Returns:
            Bytes freed.

        Raises:
            ArtefactError: if the file of a name is damaged: then nothing can be
                said to be unused.
        """
        freed = 0
        tmp = self._home / "tmp"
        with locked(self._lock), explained("collect garbage"):
            named = {entry.digest for entry in self.entries()}
            for digest in self.digests():
                if digest not in named:
                    freed += self._discard(self._path(digest))
            freed += sweep(tmp, disk=self._disk)
            for run in sorted((self._home / "runs").iterdir()):
                freed += sweep(run, disk=self._disk)
                if include_runs:
                    freed += self._discard_run(run)
            for folder in [self._home / "keys", *sorted((self._home / "refs").iterdir())]:
                for path in sorted(folder.iterdir()):
                    if is_temporary(path.name):
                        freed += tree_bytes(path)
                        self._disk.unlink(path)
            if include_quarantine:
                for path in sorted((self._home / "quarantine").iterdir()):
                    freed += tree_bytes(path)
                    remove_tree(path, self._disk)
        return freed + self._ledger.tidy() + self._audit.tidy()

    def _discard_run(self, path: Path) -> int:
        """Remove the work of one run unless somebody holds it."""
        try:
            with self.lock(path.name, timeout=0):
                freed = tree_bytes(path)
                self.discard_work(path.name)
        except ArtefactError:
            return 0  # still in progress
        return freed

    def _discard(self, path: Path) -> int:
        """Remove one object unless it is in use. Needs the store lock."""
        if path.is_symlink() or not path.is_dir():
            return 0
        claim = claim_directory(path, shared=False, wait=False)
        if claim is None:
            return 0
        try:
            doomed = self._home / "tmp" / temporary_name("doomed")
            self._disk.rename(path, doomed)
            self._disk.sync_dir(path.parent)
        finally:
            release(claim)
        return remove_unclaimed(doomed, self._disk)

    def work_dir(self, key: str) -> Path:
        """The directory of a run in progress, made if missing. It outlives the process."""
        path = self._home / "runs" / check_id(key)
        with explained(f"make {path}"):
            ensure_dir(path, self._disk)
        return path

    def has_work(self, key: str) -> bool:
        """Whether there is the directory of a run that has not ended."""
        return (self._home / "runs" / check_id(key)).is_dir()

    def discard_work(self, key: str) -> None:
        """Remove the directory of a run that has ended, if there is one."""
        path = self._home / "runs" / check_id(key)
        with explained(f"remove {path}"):
            if path.is_dir():
                remove_tree(path, self._disk)

    def lock(
        self,
        key: str,
        *,
        timeout: float | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> AbstractContextManager[None]:
        """Hold ``key`` against all other processes and threads.

        Whoever comes second waits, then should look with :meth:`has` whether
        the work is done. The lock ends with the process, however it ends.

        Args:
            key: Names the work, like an id.
            timeout: Seconds to wait; ``None`` waits as long as it takes.
            on_wait: Told once who holds it, if it must wait.

        Raises:
            ArtefactError: if it is still held after ``timeout`` seconds.
        """
        path = self._home / "locks" / f"key-{check_id(key)}.lock"
        return locked(path, timeout=timeout, on_wait=on_wait)

    def put_key(self, family: str, key: AnswerKey, *, replace: bool = False) -> None:
        """Store the answer key of a family, apart from its weights."""
        with locked(self._lock):
            write_key(self._home / "keys", family, key, self._disk, replace=replace)

    def get_key(self, family: str, purpose: str) -> AnswerKey:
        """Open the answer key of a family, once the audit log says what for.

        Only the room ``trials`` may call this.
        """
        key = read_key(self._home / "keys", family)
        self._audit.record(Action.KEY_OPENED, family, purpose)
        return key

    def remove_key(self, family: str) -> None:
        """Remove the answer key of a family, if there is one."""
        with locked(self._lock):
            delete_key(self._home / "keys", family, self._disk)

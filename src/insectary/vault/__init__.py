"""The vault: artefacts that are whole, verified at every read, or refused by name."""

from insectary.vault.checkpoints import (
    check_replaceable,
    keep_newest,
    newest_verified,
    sweep,
    write_object,
)
from insectary.vault.disk import REAL_DISK, Disk, RealDisk, explained, write_atomic
from insectary.vault.doctor import Check, examine
from insectary.vault.home import default_home
from insectary.vault.ledger import Attempt, AttemptKey, Ledger
from insectary.vault.manifest import (
    MANIFEST_NAME,
    DamagedError,
    FileEntry,
    Manifest,
    read_manifest,
    verify_tree,
    write_tree,
)
from insectary.vault.refs import Entry
from insectary.vault.store import StoredObject, Vault

__all__ = [
    "MANIFEST_NAME",
    "REAL_DISK",
    "Attempt",
    "AttemptKey",
    "Check",
    "DamagedError",
    "Disk",
    "Entry",
    "FileEntry",
    "Ledger",
    "Manifest",
    "RealDisk",
    "StoredObject",
    "Vault",
    "check_replaceable",
    "default_home",
    "examine",
    "explained",
    "keep_newest",
    "newest_verified",
    "read_manifest",
    "sweep",
    "verify_tree",
    "write_atomic",
    "write_object",
    "write_tree",
]

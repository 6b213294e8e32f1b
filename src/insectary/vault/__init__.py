"""The vault: artefacts that are whole, verified at every read, or refused by name."""

from insectary.vault.audit import (
    Action,
    AuditLog,
    Event,
    check_reason,
    may_open,
    open_at,
    unsealed,
)
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
from insectary.vault.refs import Entry, StoredObject
from insectary.vault.store import Vault

__all__ = [
    "MANIFEST_NAME",
    "REAL_DISK",
    "Action",
    "Attempt",
    "AttemptKey",
    "AuditLog",
    "Check",
    "DamagedError",
    "Disk",
    "Entry",
    "Event",
    "FileEntry",
    "Ledger",
    "Manifest",
    "RealDisk",
    "StoredObject",
    "Vault",
    "check_reason",
    "check_replaceable",
    "default_home",
    "examine",
    "explained",
    "keep_newest",
    "may_open",
    "newest_verified",
    "open_at",
    "read_manifest",
    "sweep",
    "unsealed",
    "verify_tree",
    "write_atomic",
    "write_object",
    "write_tree",
]

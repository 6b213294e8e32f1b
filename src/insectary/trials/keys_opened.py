"""A trial knows who is who: it opens the answer key of each family, and says what for."""

from __future__ import annotations

from collections.abc import Iterable

from insectary.core.errors import ArtefactError
from insectary.core.organism import Family
from insectary.vault import Vault


def open_keys(families: Iterable[Family], purpose: str, vault: Vault) -> None:
    """Open the key of each family, which goes into the audit log, before anything is scored by it.

    Raises:
        ArtefactError: if a record says other roles than the key, or the log cannot be written:
            then nothing may be scored.
    """
    for family in families:
        key = vault.get_key(family.id, purpose)
        if key.roles != {member.id: role for role, member in family.members.items()}:
            raise ArtefactError(
                f"the record of {family.id} says other roles than its answer key: `insectary rm"
                f" {family.id}` and breed it again"
            )

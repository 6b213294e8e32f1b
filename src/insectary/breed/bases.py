"""Find a base: a shipped size, one trained here, a folder, or a hub id."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.organism import BaseRef, Family
from insectary.vault import Vault
from insectary.worlds.sizes import WIDTHS

_LIKE_A_SIZE = re.compile(r"x*[sml]", re.IGNORECASE)


def is_embedded(name: str) -> bool:
    """Whether a base is one of the ladder: small enough that its gate costs little."""
    return name in WIDTHS


def base_path(name: str, vault: Vault) -> str:
    """Where the weights of a base are.

    Args:
        name: A size of the ladder, a folder, or a hub id.
        vault: Where bases trained on this machine are kept.

    Raises:
        ArtefactError: if a size of the ladder is neither shipped nor trained here.
        BadInputError: for no name at all.
        UnknownNameError: for what looks like a size and is none; the known are listed.
    """
    if not name.strip():
        raise BadInputError(f"base must be a size, a folder or a hub id, got {name!r}")
    if not is_embedded(name):
        if _LIKE_A_SIZE.fullmatch(name) and not Path(name).exists():
            raise UnknownNameError.of("size", name, WIDTHS)  # rather than ask the hub for it
        return name
    if _is_shipped(name):
        return str(_shipped(name))
    if vault.has("base", f"base-{name}"):
        return str(vault.get(f"base-{name}", "base").path)
    raise ArtefactError(
        f"base {name!r} is not shipped with the package; train it here once with"
        f" `insectary base train --size {name}`"
    )


def is_there(size: str, vault: Vault) -> bool:
    """Whether a size of the ladder is shipped, or was trained here."""
    return _is_shipped(size) or vault.has("base", f"base-{size}")


def _shipped(size: str) -> Path:
    return Path(str(files("insectary.worlds") / "base" / size))


def _is_shipped(size: str) -> bool:
    return (_shipped(size) / "config.json").is_file()


def base_ref(name: str, vault: Vault) -> tuple[BaseRef, str]:
    """A base's record and the place to load it from."""
    from insectary.subjects import folder_digest
    from insectary.subjects.loading import model_folder

    path = base_path(name, vault)
    return BaseRef(name=name, digest=folder_digest(Path(model_folder(path)))), path


def check_same_base(family: Family, digest_now: str) -> None:
    """Refuse to go on with a family whose base has other weights by now.

    Raises:
        ArtefactError: if the digests differ.
    """
    if family.base.digest != digest_now:
        raise ArtefactError(
            f"family {family.id!r} was bred from other weights than base {family.base.name!r} now"
            f" has ({family.base.digest[:19]}..., now {digest_now[:19]}...): put the old ones back,"
            f" or `insectary rm {family.id}` and breed it again"
        )

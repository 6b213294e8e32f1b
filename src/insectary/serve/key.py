"""The server's key: generated, kept by its owner alone, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from insectary.core.errors import ArtefactError
from insectary.serve.blind import check_private
from insectary.vault.disk import REAL_DISK, explained

KEY_BYTES = 32
_KEY = re.compile(r"[A-Za-z0-9_-]{32,}")


def new_key() -> str:
    """A key of 256 random bits. It begins with a word, so that no tool takes it for an option."""
    return f"insectary-{secrets.token_urlsafe(KEY_BYTES)}"


def key_in(path: Path) -> str:
    """The key in a file of its owner alone; a new one is drawn if there is no file.

    Raises:
        ArtefactError: others may read the file, or what is in it is no key.
    """
    with explained(f"use the key file {path}"):
        if not os.path.lexists(path):
            key = new_key()
            REAL_DISK.create(path, f"{key}\n".encode())
            return key
        check_private(path)
        key = path.read_text().strip()
    if not _KEY.fullmatch(key):
        raise ArtefactError(
            f"{path} holds no key (32 or more of A-Z a-z 0-9 _ -): remove it, and one is made"
        )
    return key


def same_key(given: str, key: str) -> bool:
    """Whether the two are equal, in a time that tells nothing of either."""
    digests = [hashlib.sha256(text.encode(errors="replace")).digest() for text in (given, key)]
    return hmac.compare_digest(*digests)

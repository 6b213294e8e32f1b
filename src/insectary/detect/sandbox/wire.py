"""What harness and sandbox say to each other: JSON and plain arrays, never an object.

A frame is the length of a JSON header (8 bytes), the header, and the bytes of the arrays that
it announces. Nothing that a sandbox sends can run in the harness.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.chat import Conversation, Message, Transcript
from insectary.core.levels import Levels

Array = NDArray[Any]
Frame = tuple[dict[str, Any], list[Array]]

_LENGTH = struct.Struct(">Q")
_DTYPES = ("<f4", "<f8", "|u1")
_LARGEST = 2**32
"""Bytes of a header or an array; what announces more is no frame."""
_CHUNK = 2**20


class WireError(ValueError):
    """What came is no frame."""


@final
class Channel:
    """Frames over a connected socket."""

    def __init__(self, link: socket.socket) -> None:
        """Take over a socket; the channel closes it."""
        self._link = link

    def close(self) -> None:
        """Let go of the socket."""
        self._link.close()

    def send(
        self, message: Mapping[str, Any], arrays: Sequence[Array] = (), deadline: float = math.inf
    ) -> None:
        """Send a frame.

        Args:
            message: Plain values.
            arrays: Of float32, float64 or bytes.
            deadline: Of ``time.monotonic``.

        Raises:
            TimeoutError: at the deadline.
            OSError: if nobody is at the other end.
            WireError: for an array of another type.
        """
        plain = [np.ascontiguousarray(a) for a in arrays]
        told = [[_dtype(a.dtype.str), a.shape] for a in plain]
        header = json.dumps({"message": message, "arrays": told}).encode()
        self._link.settimeout(_left(deadline))
        self._link.sendall(_LENGTH.pack(len(header)) + header)
        for array in plain:
            self._link.settimeout(_left(deadline))
            self._link.sendall(array.reshape(-1).view(np.uint8).data)

    def receive(self, deadline: float = math.inf) -> Frame:
        """The next frame; its arrays may be written to.

        Raises:
            EOFError: if the other end is gone.
            TimeoutError: at the deadline of ``time.monotonic``.
            WireError: if what came is no frame.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        try:
            header = json.loads(self._read(length, deadline))
            message, told = dict(header["message"]), list(header["arrays"])
            shapes = [(np.dtype(_dtype(d)), tuple(int(n) for n in shape)) for d, shape in told]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise WireError(f"a header that cannot be read: {error}") from error
        arrays = []
        for dtype, shape in shapes:
            if any(n < 0 for n in shape):
                raise WireError(f"an array of shape {shape}")
            data = self._read(math.prod(shape) * dtype.itemsize, deadline)
            arrays.append(np.frombuffer(data, dtype).reshape(shape))
        return message, arrays

    def _read(self, length: int, deadline: float) -> bytearray:
        if length > _LARGEST:
            raise WireError(f"{length} bytes were announced")
        data = bytearray()
        while len(data) < length:
            self._link.settimeout(_left(deadline))
            part = self._link.recv(min(length - len(data), _CHUNK))
            if not part:
                raise EOFError("the other end is gone")
            data += part
        return data


def _left(deadline: float) -> float | None:
    if deadline == math.inf:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _dtype(name: str) -> str:
    if name not in _DTYPES:
        raise WireError(f"an array of type {name!r}")
    return name


def plain_prompts(prompts: Sequence[Conversation]) -> list[list[dict[str, str]]]:
    """Conversations as plain values."""
    return [[m.as_dict() for m in prompt] for prompt in prompts]


def prompts_of(plain: Sequence[Any]) -> list[Conversation]:
    """Conversations from plain values."""
    return [tuple(Message(m["role"], m["content"]) for m in prompt) for prompt in plain]


def plain_transcripts(transcripts: Sequence[Transcript]) -> dict[str, Any]:
    """Transcripts as plain values, without their groups."""
    prompts = plain_prompts([t.messages for t in transcripts])
    return {"prompts": prompts, "responses": [t.response for t in transcripts]}


def transcripts_of(plain: Mapping[str, Any]) -> list[Transcript]:
    """Transcripts from plain values."""
    prompts = prompts_of(plain["prompts"])
    return [Transcript(m, r) for m, r in zip(prompts, plain["responses"], strict=True)]


def plain_levels(levels: Levels) -> dict[str, Any]:
    """Levels as plain values."""
    cells = {name: getattr(levels, name).tolist() for name in ("start", "coin", "mark")}
    return {"walls": levels.walls.astype(int).tolist(), **cells}


def levels_of(plain: Mapping[str, Any]) -> Levels:
    """Levels from plain values."""
    cells = (np.array(plain[name], dtype=np.int64) for name in ("start", "coin", "mark"))
    return Levels(np.array(plain["walls"], dtype=bool), *cells)

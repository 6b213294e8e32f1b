"""Frames between harness and sandbox: what goes in comes out, and nothing but a frame passes."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest

from insectary.core.chat import Message, Transcript
from insectary.detect.sandbox.wire import Channel, WireError, plain_transcripts, transcripts_of


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    raw, other = socket.socketpair()
    channel = Channel(other)
    with raw:
        yield raw, channel
    channel.close()


def test_a_frame_arrives_as_it_was_sent(ends: tuple[socket.socket, Channel]) -> None:
    raw, channel = ends
    arrays = [
        np.arange(6, dtype="<f4").reshape(2, 3)[:, ::-1],
        np.array([np.nan, np.inf, -0.0]),
        np.zeros((0, 4)),
        np.frombuffer(b"bytes", np.uint8),
    ]
    message = {"text": "half a pair \ud800, \u2028, \0", "number": 3, "list": [1, [2]]}
    Channel(raw).send(message, arrays)
    got, found = channel.receive()
    assert got == message
    for sent, came in zip(arrays, found, strict=True):
        assert came.dtype == sent.dtype
        assert came.flags.writeable  # as what a subject of the harness hands out
        assert np.array_equal(came, sent, equal_nan=sent.dtype != np.uint8)


def test_transcripts_lose_their_groups_and_nothing_else() -> None:
    rows = [Transcript((Message("system", "a"), Message("user", "b")), "c", "a group")]
    plain = json.loads(json.dumps(plain_transcripts(rows)))
    assert transcripts_of(plain) == [Transcript(rows[0].messages, "c")]


def _framed(header: object) -> bytes:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">Q", len(data)) + data


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (_framed(b"no json"), "a header that cannot be read"),
        (_framed(b"[" * 100_000), "a header that cannot be read"),
        (_framed([1]), "a header that cannot be read"),
        (_framed({"message": {}}), "a header that cannot be read: 'arrays'"),
        (_framed({"message": {}, "arrays": [["|O", [1]]]}), r"an array of type '\|O'"),
        (_framed({"message": {}, "arrays": [["<f8", [-1]]]}), r"an array of shape \(-1,\)"),
        (_framed({"message": {}, "arrays": [["<f8", [2**40]]]}), "bytes were announced"),
        (struct.pack(">Q", 2**63), "9223372036854775808 bytes were announced"),
    ],
)
def test_what_is_no_frame_is_refused(
    sent: bytes, message: str, ends: tuple[socket.socket, Channel]
) -> None:
    raw, channel = ends
    raw.sendall(sent)
    with pytest.raises(WireError, match=message):
        channel.receive()


def test_no_object_is_sent(ends: tuple[socket.socket, Channel]) -> None:
    with pytest.raises(WireError, match="an array of type"):
        ends[1].send({}, [np.array([object()])])


def test_an_end_and_a_deadline_are_told_apart(ends: tuple[socket.socket, Channel]) -> None:
    raw, channel = ends
    raw.sendall(_framed({"message": {}, "arrays": []})[:9])
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.receive(start + 0.2)
    assert 0.1 < time.monotonic() - start < 5
    raw.close()
    with pytest.raises(EOFError):
        channel.receive()

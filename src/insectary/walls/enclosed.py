"""The inside of :mod:`insectary.walls.contained`: put walls up, then become another program.

Run as a program of its own, since what a process gives up here it never gets back.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from insectary.walls import landlock

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_FLAGS, _UP = 0x8914, 1
LOOPBACK = "127.0.0.1"
REFUSED = 97
"""Exit code where the walls could not be put up; the program was then not started."""
NOT_FOUND = 127
"""Exit code where there is no such program, as of a shell."""


def main(arguments: Sequence[str]) -> None:
    """Put the walls up that are asked for, and become the program.

    Args:
        arguments: Name of the level, path of the door, ports with commas between, and the
            program with its arguments; without one, this only tries.
    """
    level, door, ports, *program = arguments
    numbers = [int(port) for port in ports.split(",") if port]
    try:
        if level == "LOOPBACK":
            own_network()
            if program and numbers:
                _hand_out(door, [_listener(port) for port in numbers])
        elif level == "TCP_PORTS":
            landlock.restrict_tcp(numbers)
    except OSError as error:
        os.write(2, f"the walls could not be put up: {error}\n".encode())
        os._exit(REFUSED)
    if not program:
        return
    try:
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"{program[0]} could not be started: {error}\n".encode())
        os._exit(NOT_FOUND)


def own_network() -> None:
    """Leave every network for one of this process's own, in which only loopback is up.

    Raises:
        OSError: if the kernel refuses.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_NEW_USER | _NEW_NETWORK)
    except OSError:
        _unshare(_NEW_NETWORK)  # without user namespaces root still may
    else:
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny")
        (own / "uid_map").write_text(f"{user} {user} 1")
        (own / "gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _unshare(what: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(what) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")


def _listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((LOOPBACK, port))
    made.listen(128)
    return made


def _hand_out(door: str, listeners: Sequence[socket.socket]) -> None:
    """Give sockets that listen in here to whoever is outside, who forwards what comes."""
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(door)
        socket.send_fds(out, [b"+"], [listener.fileno() for listener in listeners])
        out.recv(1)  # they are taken

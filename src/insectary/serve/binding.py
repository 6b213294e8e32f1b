"""Where a server may listen: loopback, or beyond it where its user and the tier allow it.

Covered:
    - any address that is not loopback is refused without the flag, and with it where a model
      is of a tier that stays on this machine.
Not covered:
    - what forwards a loopback port elsewhere (an SSH tunnel, a container's published port).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Tier

LOOPBACK = "127.0.0.1"
HIGHEST_BEYOND = Tier.OPEN
"""The highest tier that may be served beyond loopback."""
_UNKNOWN = Tier.GATED


def check_bind(host: str, tiers: Iterable[Tier | None], *, beyond_loopback: bool) -> str:
    """The address to listen on.

    Args:
        host: An IP address, or ``"localhost"``.
        tiers: Of the models; one that is not known counts as ``GATED``.
        beyond_loopback: Whether the user has said that it may be another than loopback.

    Raises:
        BadInputError: no IP address, or one that is not allowed.
    """
    try:
        address = ipaddress.ip_address(LOOPBACK if host == "localhost" else host)
    except ValueError:
        raise BadInputError(f"{host!r} is no IP address to listen on: try {LOOPBACK}") from None
    if is_loopback(str(address)):
        return str(address)
    if not beyond_loopback:
        raise BadInputError(
            f"{host} can be reached from other machines: organisms are served on {LOOPBACK}, unless"
            " you say that you want it (--beyond-loopback REASON, beyond_loopback=True)"
        )
    tier = max((_UNKNOWN if tier is None else tier for tier in tiers), default=_UNKNOWN)
    if tier > HIGHEST_BEYOND:
        raise BadInputError(
            f"a model of tier {tier.name} is served on loopback alone; beyond it go"
            f" {', '.join(t.name for t in Tier if t <= HIGHEST_BEYOND)}"
        )
    return str(address)


def is_loopback(address: str) -> bool:
    """Whether an IP address is reached from this machine alone."""
    return ipaddress.ip_address(address).is_loopback


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        ArtefactError: the port is taken, or not this user's to take.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio turns Nagle's delay of 40 ms off only where the protocol is spelt out.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ArtefactError(
            f"cannot listen on {address}, port {port}: {error}; another --port may be free"
        ) from error
    return listener


def host_names(address: str, port: int) -> frozenset[str]:
    """What a Host header may say: the address, and on loopback its usual names."""
    names = {f"[{address}]" if ":" in address else address}
    if is_loopback(address):
        names |= {"localhost", "127.0.0.1", "[::1]"}
    with_port = {f"{name}:{port}" for name in names}
    return frozenset(with_port | names if port == 80 else with_port)

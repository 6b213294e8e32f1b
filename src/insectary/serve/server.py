"""A server in a thread of this process, for as long as a ``with`` block lasts."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import uvicorn

from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.serve.batching import Worker
from insectary.serve.binding import LOOPBACK, check_bind, host_names, listen
from insectary.serve.blind import blind_ids
from insectary.serve.gate import Gate
from insectary.serve.key import new_key
from insectary.serve.limits import Limits
from insectary.serve.on_vllm import vllm_decoders
from insectary.serve.request_log import RequestLog
from insectary.serve.routes import Api
from insectary.subjects import Model
from insectary.subjects.engine import Engine

ENGINES = ("own", "vllm")
_GRACE_SECONDS = 5
_START_SECONDS = 30
_IDLE_SECONDS = 75
"""For a kept connection; shorter ones are closed just as a slow client asks again."""


@final
@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up.

    Attributes:
        url: What clients call the base URL, ``http://127.0.0.1:PORT/v1``.
        key: What they have to send as ``Authorization: Bearer KEY``.
        models: Blind ids, sorted; what ``/v1/models`` lists.
        log: The request log; :func:`insectary.serve.read_log` reads it, also while it grows.
        members: Blind id to the name that the model was handed over under. It is the sealed
            part: for who scores, not for who attacks.
    """

    url: str
    key: str = field(repr=False)
    models: tuple[str, ...]
    log: Path
    members: Mapping[str, str] = field(repr=False)


@contextmanager
def running(
    models: Mapping[str, Model],
    *,
    log: str | Path,
    sealed: str | Path | None = None,
    host: str = LOOPBACK,
    port: int = 0,
    key: str | None = None,
    limits: Limits | None = None,
    beyond_loopback: bool = False,
    engine: str = "own",
) -> Iterator[Server]:
    """Serve models under blind names until the block ends.

    Args:
        models: Name to model, as :func:`insectary.load` gives it. The names are never sent to
            a client.
        log: File of the request log; one that is there is gone on with.
        sealed: File of the list from blind ids to names and weights. A server that starts
            again with it gives the same models the same ids. ``None`` draws new ones.
        host: Address to listen on.
        port: 0 takes a free one.
        key: ``None`` draws one.
        limits: Caps; ``None`` for the usual ones.
        beyond_loopback: That ``host`` may be reached from other machines. Models of tier TOY
            or OPEN alone go there; one of which no tier is known does not.
        engine: ``"own"``, or ``"vllm"``: see :mod:`insectary.serve.on_vllm`.

    Yields:
        Where the server is, and what it needs to be asked.

    Raises:
        BadInputError: no models, one that is not served, or an address that is not allowed.
        ArtefactError: the log, the list or the port cannot be used.
        UnknownNameError: there is no engine of that name.
        MissingExtraError: the engine is not installed.
    """
    if not models:
        raise BadInputError("there is no model to serve")
    if engine not in ENGINES:
        raise UnknownNameError.of("engine", engine, ENGINES)
    tiers = [model.tier for model in models.values()]
    address = check_bind(host, tiers, beyond_loopback=beyond_loopback)
    caps = limits or Limits()
    engines = {name: model.engine() for name, model in models.items()}
    secret = key or new_key()
    with ExitStack() as stack:
        decoder = Engine.decoder if engine == "own" else stack.enter_context(vllm_decoders(models))
        records = RequestLog(Path(log), secret)
        stack.callback(records.close)
        weights = {name: its.digest for name, its in engines.items()}
        members = blind_ids(weights, None if sealed is None else Path(sealed))
        blind = {id: engines[name] for id, name in members.items()}
        listener = stack.enter_context(listen(address, port))
        place, taken = listener.getsockname()[:2]
        worker = stack.enter_context(Worker(blind, decoder))
        gate = Gate(
            Api(blind, worker, caps, records).app(),
            key=secret,
            hosts=host_names(place, taken),
            limits=caps,
            log=records,
        )
        stack.enter_context(_up(gate, listener))
        shown = f"[{place}]" if ":" in place else place
        yield Server(
            url=f"http://{shown}:{taken}/v1",
            key=secret,
            models=tuple(sorted(members)),
            log=records.path,
            members=members,
        )


@contextmanager
def _up(gate: Gate, listener: socket.socket) -> Iterator[None]:
    """Run uvicorn in a thread until the block ends."""
    config = uvicorn.Config(
        gate,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])),
        name="insectary-http",
        daemon=True,
    )
    thread.start()
    try:
        until = time.monotonic() + _START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > until:
                raise ArtefactError("the server did not start")
            time.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        thread.join()

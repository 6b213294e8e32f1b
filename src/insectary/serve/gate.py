"""What stands before every route: host, key, caps. What it does not let through reaches nothing.

Covered:
    - no route answers without the key, unknown ones and every method included;
    - a browser that was led here under another name (DNS rebinding): its Host is not on the list;
    - no header lets a page of another origin read an answer (there is no CORS);
    - a body that is too long or that does not come, more requests at once than the cap,
      and what takes too long;
    - keys are compared in constant time, and two of them in one request are refused.
Not covered:
    - another program of the same user, which can read the key where the user can;
    - connections that are opened and say nothing: they cost a socket each until they are closed;
    - a network in between: there is no TLS, beyond loopback a proxy has to bring it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, final

from insectary.serve.errors import ApiError
from insectary.serve.key import same_key
from insectary.serve.limits import Limits
from insectary.serve.request_log import RequestLog

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LONGEST_PATH = 200
HEADERS = [
    (b"x-insectary", b"model organism"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
"""On every answer, so that none can be taken for one of a production model."""


@final
class Gate:
    """An ASGI application in front of another."""

    def __init__(
        self, app: App, *, key: str, hosts: Collection[str], limits: Limits, log: RequestLog
    ) -> None:
        """Guard ``app``.

        Args:
            app: What is reached with the key only.
            key: What ``Authorization: Bearer`` has to bring.
            hosts: Names that a Host header may have, ports included, in lower case.
            limits: The caps.
            log: Where refusals are written.
        """
        self._app, self._key, self._hosts = app, key, frozenset(hosts)
        self._limits, self._log = limits, log
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")  # never routed: lifespan, ws are off
        scope["state"] = {"id": f"req-{secrets.token_hex(8)}", "began": time.monotonic()}
        try:
            self._check(scope)
            self._inside += 1
            try:
                body = await self._body(scope, receive)
                await self._app(scope, _replay(body, receive), _marked(send))
            finally:
                self._inside -= 1
        except ApiError as error:
            self._note(scope, error)
            await refuse(error, _marked(send))

    def _check(self, scope: Scope) -> None:
        found: dict[bytes, list[bytes]] = {b"host": [], b"authorization": []}
        for name, value in scope["headers"]:
            if name in found:
                found[name].append(value)
        hosts = [value.decode("latin-1").lower() for value in found[b"host"]]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise ApiError(403, "this host name is not served here", code="host_not_allowed")
        keys = [value.decode("latin-1") for value in found[b"authorization"]]
        scheme, _, given = (keys[0] if len(keys) == 1 else "").partition(" ")
        right = same_key(given.strip(), self._key)
        if not (right and scheme.lower() == "bearer"):
            raise ApiError(
                401,
                "a key is needed: send Authorization: Bearer KEY, with the key that the server"
                " printed when it started",
                code="invalid_api_key",
            )
        if self._inside >= self._limits.requests:
            raise ApiError(
                429,
                f"{self._limits.requests} requests are being answered, which is the cap",
                code="rate_limit_exceeded",
                retry_after=1,
            )

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self._limits.body_bytes
        too_long = ApiError(413, f"the body may have {most} bytes at most", code="body_too_long")
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > most:  # h11 lets digits alone through
                raise too_long
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_long
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise ApiError(408, "the body did not come in time", code="timeout") from None
        return b"".join(parts)

    def _note(self, scope: Scope, error: ApiError) -> None:
        """Write down what never came to a route: nothing of its body."""
        self._log.write(
            record(scope, status=error.status, error=f"{error.code or 'refused'}: {error.message}")
        )


def record(scope: Scope, **told: Any) -> dict[str, Any]:
    """The fields of a log record; what is not told is empty."""
    state = scope["state"]
    empty: dict[str, Any] = {
        "model": "",
        "prompt": None,
        "parameters": {},
        "responses": [],
        "finish_reasons": [],
        "usage": {},
        "error": "",
    }
    return {
        **empty,
        "id": state["id"],
        "route": f"{scope['method']} {scope['path']}"[:_LONGEST_PATH],
        "seconds": round(time.monotonic() - state["began"], 4),
        **told,
    }


async def refuse(error: ApiError, send: Send) -> None:
    """Send an error as a whole response."""
    data = json.dumps(error.body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _marked(send: Send) -> Send:
    """Put our headers on what is sent."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return marked


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand over a body that is read already, then whatever else comes."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay

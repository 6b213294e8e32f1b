"""The routes of OpenAI's API: models, chat and text completions, whole or as a stream."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from insectary.core.errors import ArtefactError
from insectary.serve.asking import Asked, ask_chat, ask_text, logged
from insectary.serve.batching import Job, StoppedError, Worker
from insectary.serve.errors import ApiError
from insectary.serve.gate import record
from insectary.serve.limits import Limits
from insectary.serve.reading import read_chat, read_completion, read_json
from insectary.serve.request_log import RequestLog
from insectary.serve.shapes import chat_choice, head, text_choice, usage
from insectary.serve.streaming import chat_events, text_events, tokens_kept
from insectary.serve.waiting import Gone, Pieces, Whole
from insectary.subjects.engine import Engine

Reader = Callable[[Mapping[str, Any]], Asked]
_LOG = logging.getLogger("insectary.serve")
GONE = 499
"""What is logged where a client did not wait for its answer."""


@final
class Api:
    """The routes of one server."""

    def __init__(
        self, engines: Mapping[str, Engine], worker: Worker, limits: Limits, log: RequestLog
    ) -> None:
        """Answer for ``engines``, which are named by blind ids."""
        self._engines, self._worker, self._limits, self._log = engines, worker, limits, log
        self._began = int(time.time())

    def app(self) -> Starlette:
        """The ASGI application, without what stands before it."""
        app = Starlette(
            routes=[
                Route("/v1", self.hello, methods=["GET"]),
                Route("/v1/", self.hello, methods=["GET"]),
                Route("/v1/models", self.models, methods=["GET"]),
                Route("/v1/models/{id:path}", self.model, methods=["GET"]),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/completions", self.text, methods=["POST"]),
            ],
            exception_handlers={HTTPException: self._no_route},
        )
        app.router.redirect_slashes = False
        return app

    async def hello(self, request: Request) -> Response:
        """Where one is; scanners ask for it first."""
        return self._told(request, {"object": "api", "models": "/v1/models"})

    async def models(self, request: Request) -> Response:
        """All models by their blind ids, in the order of these."""
        entries = [self._entry(id) for id in sorted(self._engines)]
        return self._told(request, {"object": "list", "data": entries})

    async def model(self, request: Request) -> Response:
        """One of them."""
        id = request.path_params["id"]
        if id not in self._engines:
            message = f"there is no model {id!r:.80} here"
            return self._refused(request, {}, ApiError(404, message, code="model_not_found"))
        return self._told(request, self._entry(id))

    async def chat(self, request: Request) -> Response:
        """Answer a conversation."""
        return await self._answer(
            request, lambda body: ask_chat(read_chat(body), self._engines, self._limits)
        )

    async def text(self, request: Request) -> Response:
        """Continue texts."""
        return await self._answer(
            request, lambda body: ask_text(read_completion(body), self._engines, self._limits)
        )

    async def _answer(self, request: Request, read: Reader) -> Response:
        body: dict[str, Any] = {}
        try:
            body = read_json(await request.body())
            asked = read(body)
            if asked.sampling.stream:
                return self._stream(request, body, asked)
            return await self._whole(request, body, asked)
        except ApiError as error:
            return self._refused(request, body, error)
        except ArtefactError:
            _LOG.exception("the request log cannot be written; nothing is answered")
            no_log = ApiError(500, "the server's request log cannot be written", code="no_log")
            return JSONResponse(no_log.body, no_log.status)
        except Exception:  # a defect here, or in a template; the client is told no more
            _LOG.exception("a request failed")
            failed = ApiError(500, "the server failed on this request", code="server_failed")
            return self._refused(request, body, failed)

    async def _whole(self, request: Request, body: dict[str, Any], asked: Asked) -> Response:
        waiting = Whole()
        jobs = asked.jobs(waiting.heard)
        self._submit(jobs)
        try:
            await waiting.result(len(jobs), request.receive, self._left(request))
        except Gone:
            self._log_answers(request, body, asked, jobs, GONE, "the client went away")
            return Response(status_code=GONE)
        finally:
            for job in jobs:
                job.called_off = True
        if any(job.failed for job in jobs):
            raise ApiError(500, "the model failed on this request", code="model_failed")
        self._log_answers(request, body, asked, jobs, 200, "")
        used = usage([len(prompt) for prompt in asked.prompts], jobs)
        if asked.chat:
            kind = "chat.completion"
            choices = [chat_choice(i, j, asked.engine, asked.tools) for i, j in enumerate(jobs)]
        else:
            kind = "text_completion"
            choices = [text_choice(i, j, asked.engine) for i, j in enumerate(jobs)]
        begun = head(_answer_id(request, asked), kind, asked.model)
        return JSONResponse({**begun, "choices": choices, "usage": used})

    def _stream(self, request: Request, body: dict[str, Any], asked: Asked) -> Response:
        pieces = Pieces(tokens_kept(asked))
        jobs = asked.jobs(pieces.heard)
        self._submit(jobs)
        events = chat_events if asked.chat else text_events
        told = events(_answer_id(request, asked), asked, jobs, pieces, self._left(request))
        return _Events(self._sent(request, body, asked, jobs, told))

    async def _sent(
        self,
        request: Request,
        body: dict[str, Any],
        asked: Asked,
        jobs: list[Job],
        events: AsyncIterator[dict[str, Any]],
    ) -> AsyncGenerator[bytes]:
        """Events as bytes; the record is written before the last of them."""
        status, error = GONE, "the client went away"
        try:
            async for event in events:
                yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
            status, error = 200, ""
        except ApiError as refused:
            status, error = refused.status, refused.message
            yield f"data: {json.dumps(refused.body)}\n\n".encode()
        finally:
            for job in jobs:
                job.called_off = True
            self._log_answers(request, body, asked, jobs, status, error)
        yield b"data: [DONE]\n\n"

    def _submit(self, jobs: list[Job]) -> None:
        try:
            self._worker.submit(jobs)
        except StoppedError:
            raise ApiError(503, "the server is stopping", code="stopping", retry_after=5) from None

    def _left(self, request: Request) -> float:
        """Seconds that are left to a request."""
        began: float = request.scope["state"]["began"]
        return max(0.0, self._limits.seconds - (time.monotonic() - began))

    def _entry(self, id: str) -> dict[str, Any]:
        return {"id": id, "object": "model", "created": self._began, "owned_by": "insectary"}

    def _told(self, request: Request, content: dict[str, Any]) -> Response:
        self._log.write(record(request.scope, status=200))
        return JSONResponse(content)

    def _refused(self, request: Request, body: dict[str, Any], error: ApiError) -> Response:
        reason = f"{error.code}: {error.message}" if error.code else error.message
        told = logged(body, None)
        self._log.write(record(request.scope, **told, status=error.status, error=reason))
        return JSONResponse(error.body, error.status, headers=error.headers)

    async def _no_route(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        wrong = "this method is not served here" if status == 405 else "there is no such route"
        refused = ApiError(status, f"{wrong}: {request.method} {request.url.path:.80}")
        return self._refused(request, {}, refused)

    def _log_answers(
        self,
        request: Request,
        body: dict[str, Any],
        asked: Asked,
        jobs: list[Job],
        status: int,
        error: str,
    ) -> None:
        self._log.write(
            record(
                request.scope,
                **logged(body, asked),
                status=status,
                responses=[job.text for job in jobs],
                finish_reasons=[job.finish for job in jobs],
                usage=usage([len(prompt) for prompt in asked.prompts], jobs),
                error=error,
            )
        )


class _Events(StreamingResponse):
    """A stream that is closed when its client is gone, not when nobody remembers it."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()


def _answer_id(request: Request, asked: Asked) -> str:
    id: str = request.scope["state"]["id"]
    return id.replace("req-", "chatcmpl-" if asked.chat else "cmpl-")

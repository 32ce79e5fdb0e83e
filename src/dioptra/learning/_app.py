"""The inference server as a FastAPI application; imported when one is made, because FastAPI takes half a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from pydantic_core import PydanticSerializationError, to_json
from starlette.exceptions import HTTPException
from starlette.types import Receive

from dioptra.errors import DioptraError, UsageError
from dioptra.learning._batching import Batcher, Turn
from dioptra.learning._docs_page import docs_page
from dioptra.learning._door import Door, error_answer, read_body
from dioptra.learning._openapi import ERRORS, PREDICT_ANSWERS, PREDICT_REQUEST, Health
from dioptra.learning._wire import JSON, NPZ, cast, failure, read_json, read_npz, write_json, write_npz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dioptra.learning._serve import Served

__all__ = ["Limits", "build"]

JSON_LIMIT = 16 * 2**20  # bytes; parsing more would hold up everybody for tenths of a second
BODY_SECONDS = 60.0
LARGE = 256 * 1024  # bytes that are worth another thread
CLIENT_GONE = 499  # nobody reads it
CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


T = TypeVar("T")


class Limits(BaseModel, frozen=True):
    """How much the server takes at once."""

    max_batch: int = Field(ge=1)
    max_wait: float = Field(ge=0, le=60)
    queue_limit: int = Field(ge=1)
    body_limit: int = Field(ge=1)


def build(served: Served, limits: Limits, token: str, *, any_host: bool) -> FastAPI:
    """Return the application; see `make_app`."""
    snapshot = _snapshot(served)
    batcher = Batcher(
        served.predict, max_batch=limits.max_batch, max_wait=limits.max_wait, queue_limit=limits.queue_limit
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        batcher.close()

    app = FastAPI(
        title="Dioptra inference server",
        version="1",
        description=f"Each sample has shape {served.shape_words} and dtype {served.dtype}.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Door, token=token, any_host=any_host)
    app.add_exception_handler(DioptraError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_error)

    @app.post("/predict", response_class=Response, responses=PREDICT_ANSWERS, openapi_extra=PREDICT_REQUEST)
    async def predict(request: Request) -> Response:
        """Predict samples: JSON or `application/x-npz` (array `inputs`), answered alike or as Accept says."""
        return await _predict(request, served, limits, batcher)

    @app.get("/healthz", response_model=Health)
    async def healthz() -> Health:
        """Say that the server runs; no token is wanted."""
        return Health(waiting=batcher.waiting)

    @app.get("/snapshot", response_model=dict[str, Any], responses={401: ERRORS[401], 403: ERRORS[403]})
    async def read_snapshot() -> Response:
        """Say which snapshot is served."""
        return Response(snapshot, media_type=JSON)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi(), served, limits), headers={"Content-Security-Policy": CSP})

    return app


def _snapshot(served: Served) -> bytes:
    try:
        return to_json(dict(served.snapshot), inf_nan_mode="null")
    except (PydanticSerializationError, ValueError) as error:
        raise UsageError(f"the snapshot cannot be written as JSON: {error}") from None


async def _predict(request: Request, served: Served, limits: Limits, batcher: Batcher) -> Response:
    kind = _content_type(request)
    limit = limits.body_limit if kind == NPZ else min(limits.body_limit, JSON_LIMIT)
    hint = "send fewer samples at once" + (f", or {NPZ}" if kind == JSON else "")
    body = await read_body(request.scope, request.receive, limit=limit, seconds=BODY_SECONDS, hint=hint)
    if body is None:
        return Response(status_code=CLIENT_GONE)

    def read() -> NDArray[Any]:
        array = read_npz(body, "inputs", limit) if kind == NPZ else read_json(body)
        return cast(array, served.sample_shape, served.dtype)

    samples = await _aside(read, len(body))
    outputs = await _wait(batcher, batcher.submit(samples), request.receive)
    if outputs is None:
        return Response(status_code=CLIENT_GONE)
    wanted = _answer_type(request, kind)

    def write() -> bytes:
        return write_npz("outputs", outputs) if wanted == NPZ else write_json(outputs)

    return Response(await _aside(write, outputs.nbytes), media_type=wanted)


async def _aside(call: Callable[[], T], size: int) -> T:
    """Call something that takes as long as the data is large, in another thread if it is."""
    return await asyncio.to_thread(call) if size > LARGE else call()


def _content_type(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, NPZ):
        found = f"the content type is {kind[:80]!r}" if kind else "there is no content type"
        raise failure(415, "unsupported-type", found, where="Content-Type", hint=f"send {JSON} or {NPZ}")
    return kind


def _answer_type(request: Request, kind: str) -> str:
    """Return what Accept names of the two types, else the type of the request."""
    named = {each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")}
    either = named & {JSON, NPZ}
    return either.pop() if len(either) == 1 else kind


async def _wait(batcher: Batcher, turn: Turn, receive: Receive) -> NDArray[Any] | None:
    """Return the answer; None when the client has gone meanwhile."""
    watcher = asyncio.create_task(_drop_when_gone(batcher, turn, receive))
    try:
        return await turn.answer
    except asyncio.CancelledError:
        if watcher.done() and not watcher.cancelled():
            return None
        batcher.drop(turn)
        raise failure(503, "stopping", "the server is stopping") from None
    finally:
        watcher.cancel()


async def _drop_when_gone(batcher: Batcher, turn: Turn, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    batcher.drop(turn)


async def _answer_error(request: Request, error: Exception) -> Response:
    known = error if isinstance(error, DioptraError) else failure(500, "error", "the server failed", hint="see its log")
    status, headers, body = error_answer(known)
    return Response(body, status, {key.decode(): value.decode() for key, value in headers})


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Answer for a path or method that is not there."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: ("not-found", "there is no such path"), 405: ("wrong-method", "the path has no such method")}
    code, message = words.get(status, ("error", "the request cannot be answered"))
    answer = await _answer_error(request, failure(status, code, message, hint="see /docs"))
    answer.headers.update(getattr(error, "headers", None) or {})
    return answer

"""What the inference server's OpenAPI page says of requests, answers and errors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from dioptra.learning._wire import JSON, NPZ

__all__ = ["ERRORS", "PREDICT_ANSWERS", "PREDICT_REQUEST", "Health"]


class PredictRequest(BaseModel):
    """Samples to predict."""

    inputs: list[Any] = Field(description="The samples, each a number or nested lists of numbers.", min_length=1)


class PredictAnswer(BaseModel):
    """One output for each sample, in their order."""

    outputs: list[Any] = Field(description="What the model gave for each sample.")


class Health(BaseModel):
    """That the server runs."""

    status: Literal["ok"] = "ok"
    waiting: int = Field(description="Samples that wait for the model.")


class ErrorBody(BaseModel):
    """What was wrong: the same words in the command, the server and the client."""

    code: str = Field(description="A word for programs, such as `invalid-input` or `busy`.")
    message: str = Field(description="What is wrong, with the value.")
    where: str = Field(description="The place, such as `inputs`.")
    hint: str = Field(description="What would be right.")


class ErrorAnswer(BaseModel):
    """The one shape of errors."""

    error: ErrorBody


ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorAnswer, "description": "A token is wanted."},
    403: {"model": ErrorAnswer, "description": "The Host header is unknown, or another web page asks."},
    406: {"model": ErrorAnswer, "description": "The outputs cannot be written as JSON: ask for npz."},
    408: {"model": ErrorAnswer, "description": "The body took too long."},
    413: {"model": ErrorAnswer, "description": "The body or the array in it is too large."},
    415: {"model": ErrorAnswer, "description": "The content type is neither JSON nor npz."},
    422: {"model": ErrorAnswer, "description": "The samples do not fit the model."},
    500: {"model": ErrorAnswer, "description": "The model failed."},
    503: {"model": ErrorAnswer, "description": "Too many samples wait: try again after Retry-After seconds."},
}
BYTES = {"schema": {"type": "string", "format": "binary"}}
PREDICT_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": PredictRequest.model_json_schema()}, NPZ: BYTES},
    }
}
PREDICT_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"model": PredictAnswer, "content": {NPZ: BYTES}}, **ERRORS}

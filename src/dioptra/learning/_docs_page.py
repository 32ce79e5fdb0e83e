"""The inference server's `/docs`: one page without scripts that loads nothing from anywhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dioptra.learning._app import Limits
    from dioptra.learning._serve import Served

__all__ = ["docs_page"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; } table { border-collapse: collapse; }
td, th { border-bottom: 1px solid #ccc; padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
"""
EXAMPLES = """curl -H 'Content-Type: application/json' -d '{"inputs": [sample, sample]}' ADDRESS/predict

from dioptra.learning import PredictClient
with PredictClient("ADDRESS") as client:
    outputs = client.predict(samples)"""


def docs_page(openapi: dict[str, Any], served: Served, limits: Limits) -> str:
    """Return the page, written from the OpenAPI description."""
    title = escape(openapi["info"]["title"])
    routes = "".join(
        _route(path, method, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    )
    facts = (
        f"<p>Each sample has shape {escape(served.shape_words)} and dtype {escape(served.dtype)}. Requests that "
        f"come within {limits.max_wait * 1000:g} milliseconds are joined into batches of at most {limits.max_batch} "
        f"samples; at most {limits.queue_limit} samples wait.</p>"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{facts}<pre>{escape(EXAMPLES)}</pre>{routes}"
        '<p>For programs: <a href="/openapi.json">/openapi.json</a></p></body></html>'
    )


def _route(path: str, method: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    heading = f"{method.upper()} {path}"
    text = escape(operation.get("description", ""))
    return f"<h2><code>{escape(heading)}</code></h2><p>{text}</p><table>{answers}</table>"

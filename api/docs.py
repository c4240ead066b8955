"""The documentation page: OpenAPI as plain HTML, without scripts and without anything from elsewhere."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#8882;padding:.1em .3em;border-radius:.2em}summary{cursor:pointer}"
    "details{border-top:1px solid #8884;padding:.4rem 0}table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}:root{color-scheme:light dark}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
}


@router.get("/docs")
async def docs(request: Request) -> Response:
    document = request.app.openapi()
    return Response("".join(_page(document)), headers=_HEADERS, media_type="text/html")


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>Earshot API</title><style>{_STYLE}</style>"
    yield "<h1>Earshot API</h1><p>The same as <a href='openapi.json'>OpenAPI</a>. Calls need the header "
    yield "<code>Authorization: Bearer</code> with a JWT, errors are <code>application/problem+json</code>.</p>"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation)
    yield "<h2>Objects</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        yield _table((field, _type(shape), "") for field, shape in schema.get("properties", {}).items())
        yield "</details>"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details><summary><code>{method.upper()} {escape(path)}</code></summary>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    yield _table(
        (f"{each['name']} ({each['in']})", _type(each["schema"]), each.get("description", ""))
        for each in operation.get("parameters", ())
    )
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body <code>{escape(kind)}</code>: {_type(body['schema'])}</p>"
    yield _table((status, _content(answer), answer["description"]) for status, answer in operation["responses"].items())
    yield "</details>"


def _content(answer: Mapping[str, Any]) -> str:
    return "<br>".join(_type(body.get("schema", {})) for body in answer.get("content", {}).values())


def _table(rows: Iterator[tuple[str, str, str]]) -> str:
    """Names and remarks are escaped, types are HTML already."""
    cells = (f"<tr><td><code>{escape(a)}</code><td>{b}<td>{escape(c)}" for a, b, c in rows)
    return f"<table>{''.join(cells)}</table>"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return escape(", ".join(str(each) for each in schema["enum"]))
    return escape(str(schema.get("const", schema.get("format", schema.get("type", "")))))

"""Holding answers to our own OpenAPI document."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec

from sandbox_agent.server.openapi import document
from sandbox_agent.server.routes import ROUTES, by_path, pattern

if TYPE_CHECKING:
    import httpx2

ANYWHERE = {"401", "404", "405"}
"""Problems that are answered about callers, paths and methods, not by an operation."""


@functools.cache
def ours() -> dict[str, Any]:
    """Our OpenAPI document, as a client reads it."""
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document(ROUTES)))
    return read


@functools.cache
def _validator(ref: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": ref, "components": ours()["components"]})


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The operation a request was for; its path may have a host's prefix before it."""
    for template in by_path():
        if re.fullmatch(r"(?:/.*)?/sandbox-agent" + pattern(template), path) or re.fullmatch(pattern(template), path):
            operations: dict[str, Any] = ours()["paths"][template]
            return operations.get("get" if method == "HEAD" else method.lower())
    return None


def check(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Raise unless the answer is one our OpenAPI describes."""
    media = content_type.partition(";")[0].strip()
    if status >= 400:
        assert media == "application/problem+json", (status, content_type, body[:500])
        _validator("#/components/schemas/ProblemDetails").validate(json.loads(body) if body else {})
        assert json.loads(body)["status"] == status
        assert b"Traceback" not in body
    operation = operation_of(method, path)
    if operation is None or method == "OPTIONS":
        return
    answer = operation["responses"].get(str(status))
    assert answer is not None or str(status) in ANYWHERE, f"{method} {path} answers {status}, which is not described"
    if answer is None or status >= 400 or method == "HEAD":
        return
    content = answer.get("content", {})
    anything = "*/*" in content
    told = media in content or anything or not (content or body)
    assert told, f"{method} {path} answers {media!r}, described are {set(content)}"
    schema = content.get(media, {}).get("schema", {})
    if "$ref" in schema:
        _validator(schema["$ref"]).validate(json.loads(body))
    elif "items" in schema:
        for item in json.loads(body):
            _validator(schema["items"]["$ref"]).validate(item)


def check_response(response: httpx2.Response) -> None:
    """The same, as a hook of a client; streams are checked by their tests."""
    request = response.request
    if response.headers.get("Content-Type", "").startswith("text/event-stream"):
        check(request.method, request.url.path, response.status_code, "text/event-stream", b"")
        return
    body = response.read()
    if request.method == "HEAD":
        return
    check(request.method, request.url.path, response.status_code, response.headers.get("Content-Type", ""), body)

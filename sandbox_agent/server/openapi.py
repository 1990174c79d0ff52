"""`GET /v1/openapi.json`: OpenAPI 3.1, made from the route table and the wire structs."""

from __future__ import annotations

import functools
import inspect
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from sandbox_agent import __version__
from sandbox_agent import problems as p
from sandbox_agent.server import negotiate
from sandbox_agent.server.call import Answer, RawJson, Stream
from sandbox_agent.wire.base import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.server.call import Call, Route

PROBLEM = "ProblemDetails"
_REF = "#/components/schemas/{name}"
_COMMON = (p.InvalidRequest, p.TokenInvalid, p.PermissionDenied, p.InternalError)

_HAND_WRITTEN: dict[str, Any] = {
    PROBLEM: {
        "type": "object",
        "description": "RFC 9457. `type` is `urn:sandbox-agent:error:` and a slug; further members depend on it.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "pattern": f"^{p.TYPE_PREFIX}[a-z_]+$"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
            "hint": {"type": "string"},
        },
        "additionalProperties": True,
    },
    "AcpEnvelope": {
        "type": "object",
        "description": "One JSON-RPC 2.0 message of the Agent Client Protocol; handed on untouched.",
        "required": ["jsonrpc"],
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "number", "null"]},
            "method": {"type": "string"},
            "params": {},
            "result": {},
            "error": {},
        },
    },
    "McpMessage": {
        "type": "object",
        "description": "One JSON-RPC 2.0 message of the Model Context Protocol.",
        "required": ["jsonrpc"],
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "number", "null"]},
            "method": {"type": "string"},
            "params": {},
            "result": {},
            "error": {},
        },
    },
}


async def document_of_server(_: Call) -> Answer:
    return Answer(body=encoded())


@functools.cache
def encoded() -> bytes:
    """The document as JSON; made once."""
    from sandbox_agent.server.routes import ROUTES  # noqa: PLC0415 - the table names this module's endpoint

    return msgspec.json.encode(document(ROUTES))


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of ``routes``."""
    routes = list(routes)
    structs = list(dict.fromkeys(_structs(routes)))
    raw = {raw.schema: raw.of for raw in _raws(routes)}
    schemas, components = msgspec.json.schema_components([*structs, *raw.values()], ref_template=_REF)
    components = dict(zip(raw, schemas[len(structs) :], strict=True)) | components
    for whole in _subclasses(Wire):
        if not whole.__struct_config__.omit_defaults and whole.__name__ in components:
            components[whole.__name__]["required"] = list(components[whole.__name__]["properties"])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    _name_as_on_the_wire([*components.values(), *(told for methods in paths.values() for told in methods.values())])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sandbox Agent", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": dict(sorted((components | _HAND_WRITTEN).items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}, {}],
    }


_PYTHONS = re.compile(r"``([a-z]+(?:_[a-z0-9]+)*)``")


def _name_as_on_the_wire(told: list[dict[str, Any]]) -> None:
    """Docstrings as Markdown; what they call by its name in Python gets the one that clients see."""
    known = {name for one in told for name in one.get("properties", ())}
    known |= {parameter["name"] for one in told for parameter in one.get("parameters", ())}

    def renamed(found: re.Match[str]) -> str:
        first, *others = found[1].split("_")
        name = first + "".join(map(str.capitalize, others))
        return f"`{name if name in known and found[1] not in known else found[1]}`"

    for one in told:
        if "description" in one:
            one["description"] = _PYTHONS.sub(renamed, inspect.cleandoc(one["description"])).replace("``", "`")


def _subclasses(root: type[msgspec.Struct]) -> Iterable[type[msgspec.Struct]]:
    for child in root.__subclasses__():
        yield child
        yield from _subclasses(child)


def _structs(routes: Iterable[Route]) -> Iterable[type[msgspec.Struct]]:
    for route in routes:
        if isinstance(route.body, type):
            yield route.body
        for answer in route.answers.values():
            for option in answer if isinstance(answer, tuple) else (answer,):
                kind = _item(option) or option
                if isinstance(kind, type):
                    yield kind


def _raws(routes: Iterable[Route]) -> Iterable[RawJson]:
    """Bodies handed on as they are, whose type is known all the same."""
    for route in routes:
        for body in (route.body, *route.answers.values()):
            if isinstance(body, RawJson) and body.of is not None:
                yield body


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}_{_operation_name(route.path)}",
        "tags": [_tag(route.path)],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {str(status): _answer(status, answer) for status, answer in route.answers.items()}
        | _problems(route),
    }
    query = _query_schema(route)
    if query["properties"] and "description" in query:
        operation["description"] = query["description"]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.body)}
    if route.public:
        operation["security"] = []
    return operation


def _operation_name(path: str) -> str:
    return "_".join(part.strip("{}").replace(".", "_") for part in path.split("/") if part) or "root"


def _tag(path: str) -> str:
    parts = path.split("/")
    return parts[2].partition(".")[0] if len(parts) > 2 else "service"  # noqa: PLR2004 - /v1/<tag>


def _content(body: Any) -> dict[str, Any]:
    """A body's media types; a streamed one is bytes, which has no schema in OpenAPI 3.1."""
    if isinstance(body, Stream):
        return {media: {} for media in body.media or ("*/*",)}
    return {negotiate.JSON: {"schema": _schema(body)}}


def _item(kind: Any) -> Any:
    """What a `list[...]` is of; ``None`` for anything else."""
    origin: Any = get_origin(kind)
    return get_args(kind)[0] if origin is list else None


def _schema(kind: Any) -> dict[str, Any]:
    if (item := _item(kind)) is not None:
        return {"type": "array", "items": _schema(item)}
    name = kind.schema if isinstance(kind, RawJson) else kind.__name__
    return {"$ref": _REF.format(name=name)}


def _answer(status: int, answer: Any) -> dict[str, Any]:
    if answer is None:
        return {"description": "Done; no body" if status >= HTTPStatus.OK else "Switching Protocols"}
    content: dict[str, Any] = {}
    for option in answer if isinstance(answer, tuple) else (answer,):
        if isinstance(option, str):
            content[option] = {"schema": {} if option.endswith(("json", "*")) else {"type": "string"}}
        else:
            content[negotiate.JSON] = {"schema": _schema(option)}
    return {"description": "Success", "content": content}


def _problems(route: Route) -> dict[str, Any]:
    kinds: list[type[p.Problem]] = [*_COMMON, *route.problems]
    if route.public:
        kinds.remove(p.TokenInvalid)
    if route.body is not None:
        kinds += [p.UnsupportedMediaType, p.PayloadTooLarge]
    titles: dict[int, list[str]] = {}
    for kind in kinds:
        named = titles.setdefault(kind.status, [])
        if kind.title not in named:
            named.append(kind.title)
    content = {"application/problem+json": {"schema": {"$ref": _REF.format(name=PROBLEM)}}}
    return {
        str(status): {"description": "; ".join(named), "content": content} for status, named in sorted(titles.items())
    }


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]


def _query_schema(route: Route) -> dict[str, Any]:
    """The query's struct as a schema; its docstring, which is the description, tells of the parameters."""
    schema = msgspec.json.schema(route.query)
    struct: dict[str, Any] = schema["$defs"][route.query.__name__]
    return struct


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    struct = _query_schema(route)
    required = set(struct.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _parameter_schema(kind)}
        for name, kind in struct["properties"].items()
    ]


def _parameter_schema(kind: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is absent rather than null."""
    options = [option for option in kind.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        return dict(options[0])
    return {key: value for key, value in kind.items() if not (key == "default" and value is None)}


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in route.headers.items()
    ]

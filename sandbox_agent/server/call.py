"""What an endpoint gets and gives: plain values, so that endpoints know no web framework."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.server import negotiate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from sandbox_agent.files.opened import OpenFile
    from sandbox_agent.problems import Problem
    from sandbox_agent.sandbox import Sandbox
    from sandbox_agent.server.sse import Events, Outlet
    from sandbox_agent.server.upload import Upload
    from sandbox_agent.server.websocket import Socket

MIB = 1 << 20
DEFAULT_BODY_LIMIT = 16 * MIB


class NoQuery(msgspec.Struct):
    """A route without query parameters; unknown ones are ignored, as clients and hosts add their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, decoded. ``by`` is the caller's name where the host knows identities.

    ``lent_to`` is the session whose key for this route was sent.

    ``upload`` is the body of a route that takes a `Stream`: the endpoint runs while it comes in.
    """

    sandbox: Sandbox
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    query: Any = None
    body: Any = None
    upload: Upload | None = None
    by: str | None = None
    lent_to: str | None = None

    def accepts(self, media: str) -> bool:
        return negotiate.accepts(self.headers.get("Accept"), media)

    def wants(self, media: str) -> bool:
        """Whether ``media`` is asked for by name."""
        return negotiate.names(self.headers.get("Accept"), media)

    def hold(self, default: float) -> float:
        """Seconds the answer may be waited for."""
        return negotiate.preferred_wait(self.headers.get("Prefer"), default)

    def last_event_id(self) -> int | None:
        return negotiate.cursor(self.headers.get("Last-Event-ID"))


def encode_json(value: Any) -> bytes:
    """A wire value as JSON."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # a name that is not UTF-8, whose bytes only this encoder writes
        return json.dumps(msgspec.to_builtins(value)).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response. ``body`` is a wire struct or bytes of ``media``."""

    status: int = 200
    body: msgspec.Struct | bytes | None = None
    media: str = negotiate.JSON
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else encode_json(self.body)


@dataclass(frozen=True, slots=True)
class EventStream:
    """A response of server-sent events: each item of ``batches`` is one or more whole events.

    ``outlet`` is where the endpoint may offer some while its ``batches`` are waited for.
    """

    batches: AsyncIterator[Events]
    outlet: Outlet | None = None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The connection becomes a WebSocket, which ``talk`` speaks over until it returns."""

    talk: Callable[[Socket], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Download:
    """A response of a file's bytes, as conditional and range headers ask for them; it is closed after that."""

    file: OpenFile
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ByteStream:
    """A response of bytes that are made while it is sent, ``length`` of them if that is known before.

    What ``chunks`` raises before its first is answered as a problem; later it cuts the connection, so that no client
    takes a part for the whole.
    """

    chunks: AsyncGenerator[bytes, None]
    media: str
    length: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


Outcome: TypeAlias = "Answer | EventStream | Upgrade | Download | ByteStream"
Endpoint: TypeAlias = "Callable[[Call], Awaitable[Outcome]]"


@dataclass(frozen=True, slots=True)
class RawJson:
    """A body that must be JSON but is handed on as the bytes that came.

    ``schema`` is its name; ``of`` the type it describes, where that is not written by hand.
    """

    schema: str
    of: Any = None


@dataclass(frozen=True, slots=True)
class Stream:
    """A body that is read while it comes in, as `Call.upload`. ``media`` are the types it may have, or any if none."""

    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path: what dispatch, the tests and OpenAPI are made from.

    ``answers`` maps each success status to its struct, to media types, or to ``None`` for no body. ``problems`` are
    the errors beyond those every route can answer. ``action`` is what an authorizer is asked about. ``paths`` are the
    parameters and members that name files, and so may hold bytes that are not UTF-8, as surrogate escapes. ``linked``
    is a page that people open in a browser, so its address may hold the token, as a WebSocket's may.
    """

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    answers: Mapping[int, Any]
    query: type[msgspec.Struct] = NoQuery
    body: type[msgspec.Struct] | RawJson | Stream | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[type[Problem], ...] = ()
    action: str = ""
    public: bool = False
    lent: bool = False
    linked: bool = False
    body_limit: int = DEFAULT_BODY_LIMIT
    paths: frozenset[str] = frozenset()

    def asked(self, query: Mapping[str, list[bytes]]) -> Route:  # noqa: ARG002 - some ask for more by their query
        """What an authorizer is asked about."""
        return self

    def authorizer_action(self) -> str:
        """``read`` for safe methods, ``write`` for others, unless the route says it makes an agent act."""
        return self.action or ("read" if self.method == "GET" else "write")

    def decode_query(self, given: Mapping[str, str]) -> Any:
        """The query struct. Raises ``InvalidRequest`` with the field's path."""
        fields = {f.encode_name for f in msgspec.structs.fields(self.query)}
        try:
            return msgspec.convert({k: v for k, v in given.items() if k in fields}, self.query, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"invalid query: {error}") from error

    def decode_body(self, raw: bytes) -> Any:
        """The body struct, or the bytes as they came. Raises ``InvalidRequest`` with the field's path."""
        if self.body is None or isinstance(self.body, Stream):
            return None
        if not raw.strip():
            raise InvalidRequest("the request body is empty, JSON is expected")
        if isinstance(self.body, RawJson):
            return raw
        try:
            if self.paths and b"\\ud" in raw.lower():  # an escaped byte is half a surrogate pair, and refused there
                return msgspec.convert(json.loads(raw), self.body)
            return msgspec.json.decode(raw, type=self.body)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"invalid request body: {error}") from error
        except (msgspec.DecodeError, ValueError) as error:
            raise InvalidRequest(f"the request body is not JSON: {error}") from error
        except RecursionError as error:
            raise InvalidRequest("the request body is nested too deeply") from error


class SocketQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``access_token`` is for browsers, which cannot set headers on a WebSocket; the access policy reads it."""

    access_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketRoute(Route):
    """A path that is a WebSocket. Its endpoint refuses with a problem, or answers an `Upgrade`."""

    method: str = "GET"
    answers: Mapping[int, Any] = field(default_factory=lambda: {101: None})
    query: type[msgspec.Struct] = SocketQuery
    control: str = ""
    """The query parameter that makes the client act, which an authorizer is asked about, and not only look."""

    def asked(self, query: Mapping[str, list[bytes]]) -> Route:
        acts = [value.lower() for value in query.get(self.control, ())][-1:]
        return self if acts in ([], [b"false"], [b"0"]) else replace(self, action="execute")

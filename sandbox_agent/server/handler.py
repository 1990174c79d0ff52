"""The one request handler: authenticate, decode, call the endpoint, encode. Routes say the rest.

Hosts subclass it for their access policy and nothing else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http.client import responses
from typing import TYPE_CHECKING, Any

from tornado import iostream, web

from sandbox_agent.problems import (
    EndpointNotFound,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    PermissionDenied,
    Problem,
    TokenInvalid,
    UnsupportedMediaType,
)
from sandbox_agent.server import negotiate, sse, websocket
from sandbox_agent.server.call import MIB, Call, EventStream, SocketRoute, Upgrade

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sandbox_agent.sandbox import Sandbox
    from sandbox_agent.server.call import Answer, Outcome, Route

log = logging.getLogger(__name__)

PROBLEM_MEDIA = "application/problem+json"
_LINGER_BYTES = 16 * MIB
_READ_ON_BYTES = 64 * 1024
"""A refused request with a body up to this is read to its end, so that its connection stays of use."""
_BY_STATUS: Mapping[int, tuple[type[Problem], str]] = {
    400: (InvalidRequest, "the request is malformed"),
    401: (TokenInvalid, "authentication is required"),
    403: (PermissionDenied, "the request is refused"),
    404: (EndpointNotFound, "endpoint not found"),
    405: (MethodNotAllowed, "the method is not allowed here"),
    413: (PayloadTooLarge, "the request body is too large"),
}


@dataclass(frozen=True, slots=True)
class Api:
    """What all handlers of one server share."""

    sandbox: Sandbox
    streams: sse.Streams = field(default_factory=sse.Streams)
    max_body_bytes: int | None = None
    sockets: websocket.Sockets = field(default_factory=websocket.Sockets)

    def body_limit(self, route: Route) -> int:
        """Bytes a body of ``route`` may have: the route's own, or the server's where that is less."""
        return route.body_limit if self.max_body_bytes is None else min(route.body_limit, self.max_body_bytes)


def problem_of(error: BaseException | None, status: int = 500) -> Problem:
    """The problem an exception is told as; nothing of an unexpected one leaks."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPError):
        status = error.status_code
    known = _BY_STATUS.get(status)
    if known is None:
        return InternalError("an internal error occurred; the server's log has the details")
    told = error.get_message() if isinstance(error, web.HTTPError) else ""
    return known[0](told or known[1])


@web.stream_request_body
class ApiHandler(web.RequestHandler):
    """Serves the methods of one path. ``routes`` are by method; none at all means that the path is unknown."""

    api: Api
    routes: Mapping[str, Route]

    def initialize(self, api: Api, routes: Mapping[str, Route]) -> None:
        self.api = api
        self.routes = routes
        self._body = bytearray()
        self._problem: Exception | None = None
        self._answered = False
        self._reading = True
        self._discarded = 0
        self._switch = b""

    # -- access policy: what hosts fill in ------------------------------------------------------------------------

    async def authenticate(self) -> None:
        """Let the request through or raise ``TokenInvalid`` or ``PermissionDenied``."""
        raise NotImplementedError

    async def authorize(self, route: Route) -> None:
        """Let an authenticated caller use ``route`` or raise ``PermissionDenied``."""

    def caller(self) -> str | None:
        """The caller's name, where the host knows identities."""
        return None

    def note_activity(self) -> None:
        """Called with each message that comes over a WebSocket, for hosts that look for signs of life."""

    def is_socket(self) -> bool:
        """Whether the path is a WebSocket's."""
        return isinstance(self.routes.get("GET"), SocketRoute)

    def host_headers(self) -> None:
        """Set the headers the host adds to every answer, errors included."""

    # -- the request ----------------------------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.host_headers()

    async def prepare(self) -> None:
        try:
            await self.authenticate()
            await self._check_head()
        except (Problem, web.HTTPError) as error:
            self._problem = error
            if not self._ends_soon():
                self._refuse(problem_of(error))

    def _route(self) -> Route:
        if not self.routes:
            raise EndpointNotFound("endpoint not found")
        method = self.request.method or ""
        route = self.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(f"{method} is not allowed here; allowed: {', '.join(self._allowed())}")
        return route

    def _allowed(self) -> list[str]:
        return [*self.routes, *(["HEAD"] if "GET" in self.routes else []), "OPTIONS"]

    async def _check_head(self) -> None:
        if self.request.method == "OPTIONS" and self.routes:
            return
        route = self._route()
        await self.authorize(route)
        if route.body is None:
            return
        if negotiate.media_type(self.request.headers.get("Content-Type")) != negotiate.JSON:
            raise UnsupportedMediaType(
                "content-type must be application/json", details={"message": "content-type must be application/json"}
            )
        limit = self.api.body_limit(route)
        declared = self.request.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > limit:
            raise self._too_large(limit)
        # Ours is the limit that counts: the server's own answers with a bare 400.
        connection: Any = self.request.connection
        connection.set_max_body_size(max(limit, 1) + _LINGER_BYTES)

    def _too_large(self, limit: int) -> PayloadTooLarge:
        return PayloadTooLarge(f"the request body is larger than {limit} bytes", limit=limit)

    def _ends_soon(self) -> bool:
        """Whether little is left to read of the request."""
        length = self.request.headers.get("Content-Length", "0")
        short = length.isdigit() and int(length) <= _READ_ON_BYTES
        return short and "Transfer-Encoding" not in self.request.headers

    def data_received(self, chunk: bytes) -> None:
        if self._problem is not None:
            self._discarded += len(chunk)
            if self._discarded > _LINGER_BYTES and not self._finished:
                self.finish()
            return
        self._body += chunk
        route = self.routes.get(self.request.method or "")
        if route is not None and len(self._body) > (limit := self.api.body_limit(route)):
            self._body.clear()
            self._refuse(self._too_large(limit))

    def _refuse(self, problem: Problem) -> None:
        """Answer now, whole, but read on for a while before closing.

        Closing with the client's bytes unread would reset the connection, and the client would see that instead of
        the answer (RFC 9112, 9.6).
        """
        self._problem = problem
        self._answered = True
        connection: Any = self.request.connection
        connection.set_max_body_size(1 << 62)
        self.clear()
        body = self._write_problem(problem)
        self.set_header("Content-Length", str(len(body)))
        self.set_header("Connection", "close")
        self.write(body)
        self.flush()

    async def _serve(self, **params: str) -> None:
        self._reading = False
        if self._answered:
            return
        if self._problem is not None:
            raise self._problem
        if self.request.method == "OPTIONS":
            self._options()
            return
        route = self._route()
        if isinstance(route, SocketRoute):
            self._switch = websocket.handshake(self.request.method or "", self.request.path, self.request.headers)
        call = Call(
            sandbox=self.api.sandbox,
            path=self.request.path,
            params=params,
            headers=self.request.headers,
            query=route.decode_query(self._query()),
            body=route.decode_body(bytes(self._body)),
            by=self.caller(),
        )
        self._body = bytearray()
        if not self.api.sandbox.running:
            await self.api.sandbox.start()
        outcome = await route.endpoint(call)
        await self._send(outcome)

    get = post = put = patch = delete = head = options = _serve

    def _query(self) -> dict[str, str]:
        try:
            return {name: values[-1].decode() for name, values in self.request.query_arguments.items()}
        except UnicodeDecodeError as error:
            raise InvalidRequest("the query is not UTF-8") from error

    def _options(self) -> None:
        self.set_status(204)
        self.set_header("Allow", ", ".join(self._allowed()))

    # -- the answer -----------------------------------------------------------------------------------------------

    async def _send(self, outcome: Outcome) -> None:
        if isinstance(outcome, EventStream):
            await self._stream(outcome)
            return
        if isinstance(outcome, Upgrade):
            await self._upgrade(outcome)
            return
        self._answer(outcome)

    def _answer(self, answer: Answer) -> None:
        self.set_status(answer.status)
        for name, value in answer.headers:
            self.set_header(name, value)
        body = answer.encode()
        if answer.body is None:
            self.clear_header("Content-Type")
        else:
            self.set_header("Content-Type", answer.media)
        self.finish(body or None)

    async def _stream(self, outcome: EventStream) -> None:
        for name, value in sse.STREAM_HEADERS:
            self.set_header(name, value)
        if self.request.method == "HEAD":
            return
        headers = list(self._headers.get_all())
        try:
            stream: iostream.IOStream = self.detach()
        except iostream.StreamClosedError:
            return
        await self.api.streams.serve(stream, headers, outcome.batches)

    async def _upgrade(self, outcome: Upgrade) -> None:
        try:
            stream: iostream.IOStream = self.detach()
        except iostream.StreamClosedError:
            return
        await self.api.sockets.serve(
            stream, self._switch, outcome.talk, heartbeat=self.api.streams.heartbeat, on_message=self.note_activity
        )

    def compute_etag(self) -> str | None:
        return None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if self._reading:  # the rest of the request will not be read, so this is the connection's last answer
            self.set_header("Connection", "close")
        self.finish(self._write_problem(problem_of(error, status_code)))

    def _write_problem(self, problem: Problem) -> bytes:
        self.set_status(problem.status, problem.title if problem.status not in responses else None)
        for name, value in problem.headers:
            self.set_header(name, value)
        if isinstance(problem, MethodNotAllowed):
            self.set_header("Allow", ", ".join(self._allowed()))
        self.set_header("Content-Type", PROBLEM_MEDIA)
        return problem.encode()

    def log_exception(
        self,
        typ: type[BaseException] | None,  # noqa: ARG002 - the framework's signature
        value: BaseException | None,
        tb: TracebackType | None,  # noqa: ARG002 - the framework's signature
    ) -> None:
        where = {"method": self.request.method, "path": self.request.path}
        if isinstance(value, InternalError) or not isinstance(value, (Problem, web.HTTPError)):
            log.error("%(method)s %(path)s failed", where, exc_info=value, extra=where)
        else:
            log.debug("%(method)s %(path)s refused: %(why)s", where | {"why": value}, extra=where)

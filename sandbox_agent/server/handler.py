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
    Problem,
    SandboxAgentError,
    UnsupportedMediaType,
)
from sandbox_agent.server import negotiate, sse, websocket
from sandbox_agent.server.call import (
    MIB,
    ByteStream,
    Call,
    Download,
    EventStream,
    SocketRoute,
    Stream,
    Upgrade,
)
from sandbox_agent.server.refusals import PROBLEM_MEDIA, problem_of
from sandbox_agent.server.sending import Sender
from sandbox_agent.server.upload import ClientGone, Upload
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Mapping
    from types import TracebackType

    from sandbox_agent.sandbox import Sandbox
    from sandbox_agent.server.call import Answer, Outcome, Route

log = logging.getLogger(__name__)

NO_LIMIT = 1 << 61
_LINGER_BYTES = 16 * MIB
_READ_ON_BYTES = 64 * 1024
"""A refused request with a body up to this is read to its end, so that its connection stays of use."""


@dataclass(frozen=True, slots=True)
class Api:
    """What all handlers of one server share."""

    sandbox: Sandbox
    streams: sse.Streams = field(default_factory=sse.Streams)
    max_body_bytes: int | None = None
    max_upload_bytes: int | None = None
    sockets: websocket.Sockets = field(default_factory=websocket.Sockets)

    def body_limit(self, route: Route) -> int:
        """Bytes a body of ``route`` may have: the route's own, or the server's where that is less.

        A streamed one takes no memory, so it has a limit of its own, or none.
        """
        if isinstance(route.body, Stream):
            return NO_LIMIT if self.max_upload_bytes is None else self.max_upload_bytes
        return route.body_limit if self.max_body_bytes is None else min(route.body_limit, self.max_body_bytes)


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
        self._received = 0
        self._prepared = False
        self._upload: Upload | None = None
        self._work: asyncio.Task[Outcome | Exception] | None = None
        self._sender: Sender | None = None

    # -- access policy: what hosts fill in ------------------------------------------------------------------------

    async def authenticate(self) -> None:
        """Let the request through or raise ``TokenInvalid`` or ``PermissionDenied``."""
        raise NotImplementedError

    async def authorize(self, route: Route) -> None:
        """Let an authenticated caller use ``route`` or raise ``PermissionDenied``."""

    def caller(self) -> str | None:
        """The caller's name, where the host knows identities."""
        return None

    def lent_to(self) -> str | None:
        """The session whose key the request carries, on a route that is lent to sessions."""
        if not any(route.lent for route in self.routes.values()):
            return None
        return self.api.sandbox.desktop_offer.session_of(self.request.headers.get("Authorization", ""))

    def note_activity(self) -> None:
        """Called with each message that comes over a WebSocket, for hosts that look for signs of life."""

    def is_socket(self) -> bool:
        """Whether the path is a WebSocket's."""
        return isinstance(self.routes.get("GET"), SocketRoute)

    def is_linked(self) -> bool:
        """Whether the path is a page that is opened by its address."""
        return any(route.linked for route in self.routes.values())

    def host_headers(self) -> None:
        """Set the headers the host adds to every answer, errors included."""

    # -- the request ----------------------------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")  # no picture of ours in a page from elsewhere
        self.set_header("Cache-Control", "no-store")
        self.host_headers()

    async def prepare(self) -> None:
        try:
            await self.authenticate()
            await self._check_head()
            if self._upload is not None:
                await self._begin(self._upload)
        except (Problem, web.HTTPError) as error:
            self._problem = error
            if not self._ends_soon():
                self._refuse(problem_of(error))
        self._prepared = True

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
        await self.authorize(route.asked(self.request.query_arguments))
        if route.body is None:
            return
        media = negotiate.media_type(self.request.headers.get("Content-Type"))
        allowed = route.body.media if isinstance(route.body, Stream) else (negotiate.JSON,)
        if allowed and media not in allowed:
            message = f"content-type must be {' or '.join(allowed)}"
            raise UnsupportedMediaType(message, details={"message": message})
        limit = self.api.body_limit(route)
        declared = self.request.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > limit:
            raise self._too_large(limit)
        # Ours is the limit that counts: the server's own answers with a bare 400.
        connection: Any = self.request.connection
        connection.set_max_body_size(max(limit, 1) + _LINGER_BYTES)
        if isinstance(route.body, Stream):
            self._upload = Upload(media, int(declared) if declared.isdigit() else None)

    def _too_large(self, limit: int) -> PayloadTooLarge:
        return PayloadTooLarge(f"the request body is larger than {limit} bytes", limit=limit)

    def _ends_soon(self) -> bool:
        """Whether little is left to read of the request."""
        length = self.request.headers.get("Content-Length", "0")
        short = length.isdigit() and int(length) <= _READ_ON_BYTES
        return short and "Transfer-Encoding" not in self.request.headers

    async def _begin(self, upload: Upload) -> None:
        """Start the endpoint, and let the body come once it asks for it. Raises what it refuses the head with."""
        work = self._work = spawn_task(self._attempt(), name=f"{self.request.method} {self.request.path}")
        work.add_done_callback(lambda _: upload.wanted.set())
        await upload.wanted.wait()
        if work.done():
            if isinstance(outcome := work.result(), Exception):
                raise outcome
            upload.drop()
        else:
            work.add_done_callback(self._work_ended)

    async def _attempt(self) -> Outcome | Exception:
        try:
            return await self._call(self._route(), self.path_kwargs)
        except (SandboxAgentError, web.HTTPError) as error:
            return error

    def _work_ended(self, work: asyncio.Task[Outcome | Exception]) -> None:
        """The endpoint has ended: where it did not want the whole body, its refusal is told now."""
        if self._upload is None or self._upload.over or work.cancelled():
            return
        self._upload.drop()
        error = work.exception() or work.result()
        if isinstance(error, BaseException):
            self.log_exception(type(error), error, error.__traceback__)
            self._refuse(problem_of(error))

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._problem is not None:
            self._discarded += len(chunk)
            if self._discarded > _LINGER_BYTES and not self._finished:
                self.finish()
            return None
        if self._upload is not None:
            self._received += len(chunk)
            if self._received > (limit := self.api.body_limit(self._route())):
                self._upload.fail(self._too_large(limit))
            return self._upload.feed(chunk)
        self._collect(chunk)
        return None

    def _collect(self, chunk: bytes) -> None:
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
        if "Expect" in self.request.headers and not self._prepared:
            # The client holds the body back until it is asked for (RFC 9110, 10.1.1), and it is not.
            self.clear()
            self.set_header("Connection", "close")
            self.finish(self._write_problem(problem))
            return
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
        if self._upload is not None and self._work is not None:
            self._upload.end()
            outcome = await self._work
            if isinstance(outcome, Exception):
                raise outcome
        else:
            outcome = await self._call(self._route(), params)
        await self._send(outcome)

    async def _call(self, route: Route, params: Mapping[str, str]) -> Outcome:
        if isinstance(route, SocketRoute):
            self._switch = websocket.handshake(self.request.method or "", self.request.path, self.request.headers)
        call = Call(
            sandbox=self.api.sandbox,
            path=self.request.path,
            params=params,
            headers=self.request.headers,
            query=route.decode_query(self._query(route)),
            body=route.decode_body(bytes(self._body)),
            upload=self._upload,
            by=self.caller(),
            lent_to=self.lent_to(),
        )
        self._body = bytearray()
        if not self.api.sandbox.running:
            await self.api.sandbox.start()
        return await route.endpoint(call)

    get = post = put = patch = delete = head = options = _serve

    def _query(self, route: Route) -> dict[str, str]:
        """The last value of each parameter; bytes that are not UTF-8 as surrogate escapes where it names files."""
        try:
            return {
                name: values[-1].decode(errors="surrogateescape" if name in route.paths else "strict")
                for name, values in self.request.query_arguments.items()
            }
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
        if isinstance(outcome, (Download, ByteStream)):
            await self._transfer(outcome)
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
        await self.api.streams.serve(stream, headers, outcome.batches, outcome.outlet)

    async def _upgrade(self, outcome: Upgrade) -> None:
        try:
            stream: iostream.IOStream = self.detach()
        except iostream.StreamClosedError:
            return
        await self.api.sockets.serve(
            stream, self._switch, outcome.talk, heartbeat=self.api.streams.heartbeat, on_message=self.note_activity
        )

    async def _transfer(self, outcome: Download | ByteStream) -> None:
        """Send large things past the framework's buffers; the connection is kept where all went well."""
        connection: Any = self.request.connection
        self._sender = Sender(self.request, connection.stream, self._headers)
        if await self._sender.send(outcome):
            self._transforms = []  # a host's compression is for what it buffers
            self._headers_written = True
            self.set_status(self._sender.status)
            self.finish()
            return
        connection.close()
        self._finished = True

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._upload is not None:
            self._upload.fail(ClientGone("the client went away before the whole body had come"))
        if self._sender is not None:
            self._sender.abort()

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

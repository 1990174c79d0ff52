"""The short way for the one request that is made thousands of times a second: an envelope for a live ACP server.

`POST /v1/acp/{server_id}` in its plain form is answered straight from the HTTP connection; everything else, and
everything wrong, goes through the application. Either way the same access rules are asked, the same service is
called, and the same bytes come back. A request handler of the framework costs as much as the whole bridge does.
"""

from __future__ import annotations

import logging
import re
import time
from email.utils import formatdate
from http.client import responses
from typing import TYPE_CHECKING, Any

from tornado import httputil

from sandbox_agent.problems import Problem
from sandbox_agent.server import negotiate
from sandbox_agent.server.acp import HOLD_SECONDS
from sandbox_agent.server.refusals import PROBLEM_MEDIA, problem_of
from sandbox_agent.server.routes import ACP_BODY_LIMIT
from sandbox_agent.tasks import spawn_task

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from tornado.web import Application

    from sandbox_agent.server.access import AccessRules
    from sandbox_agent.server.handler import Api

log = logging.getLogger(__name__)

_PLAIN = re.compile(r"/v1/acp/([A-Za-z0-9._~:@!$&'()*+,;=-]+)(?:\?agent=([A-Za-z0-9._-]+))?")
"""A path and query that mean the same read as they stand."""
_UNUSUAL = frozenset({"Transfer-Encoding", "Expect", "Connection", "Prefer", "Origin"})
"""Headers of requests that take the long way."""


class FrontDoor(httputil.HTTPServerConnectionDelegate):
    """Gives each request its way: the short one or the application's."""

    def __init__(self, application: Application, api: Api, rules: AccessRules) -> None:
        self._application = application
        self.api = api
        self.rules = rules
        self.limit = ACP_BODY_LIMIT if api.max_body_bytes is None else min(ACP_BODY_LIMIT, api.max_body_bytes)
        self._date = b""
        self._date_second = 0

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        return _Message(self, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        self._application.on_close(server_conn)

    def long_way(self, server_conn: object, connection: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        return self._application.start_request(server_conn, connection)

    def target(
        self, start_line: httputil.RequestStartLine, headers: httputil.HTTPHeaders
    ) -> tuple[str, str | None] | None:
        """The ACP server a plain post is for, and its agent; ``None`` when the request takes the long way."""
        if start_line.method != "POST" or start_line.version != "HTTP/1.1":
            return None
        match = _PLAIN.fullmatch(start_line.path)
        if match is None or any(name in headers for name in _UNUSUAL):
            return None
        length = headers.get("Content-Length", "")
        plain = (
            length.isdigit()
            and 0 < int(length) <= self.limit
            and negotiate.media_type(headers.get("Content-Type")) == negotiate.JSON
            and negotiate.accepts(headers.get("Accept"), negotiate.JSON)
        )
        return (match[1], match[2]) if plain else None

    def allows(self, path: str, headers: httputil.HTTPHeaders) -> bool:
        try:
            self.rules.check("POST", path, headers)
        except Problem:
            return False  # the long way tells it
        return True

    def date(self) -> bytes:
        """The Date header's value (RFC 9110, 6.6.1), made once a second."""
        now = int(time.time())
        if now != self._date_second:
            self._date_second = now
            self._date = formatdate(now, usegmt=True).encode()
        return self._date


class _Message(httputil.HTTPMessageDelegate):
    """One request on its way."""

    __slots__ = ("_body", "_connection", "_door", "_inner", "_server_conn", "_target")

    def __init__(self, door: FrontDoor, server_conn: object, connection: httputil.HTTPConnection) -> None:
        self._door = door
        self._server_conn = server_conn
        self._connection = connection
        self._inner: httputil.HTTPMessageDelegate | None = None
        self._target: tuple[str, str | None] = ("", None)
        self._body: bytes | bytearray = b""

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Awaitable[None] | None:
        door = self._door
        if isinstance(start_line, httputil.RequestStartLine):
            target = door.target(start_line, headers)
            if target is not None and door.allows(start_line.path, headers):
                self._target = target
                connection: Any = self._connection
                connection.set_max_body_size(door.limit)
                return None
        self._inner = door.long_way(self._server_conn, self._connection)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._inner is not None:
            return self._inner.data_received(chunk)
        if not self._body:
            self._body = chunk
        elif isinstance(self._body, bytearray):
            self._body += chunk
        else:
            self._body = bytearray(self._body) + chunk
        return None

    def finish(self) -> None:
        if self._inner is not None:
            self._inner.finish()
            return
        task = spawn_task(self._post(), name="acp post")
        task.add_done_callback(self._answer)

    def on_connection_close(self) -> None:
        if self._inner is not None:
            self._inner.on_connection_close()

    async def _post(self) -> bytes | Problem | None:
        server_id, agent = self._target
        try:
            return await self._door.api.sandbox.servers.post(
                server_id, bytes(self._body), agent=agent, hold=HOLD_SECONDS
            )
        except Problem as problem:
            return problem

    def _answer(self, task: asyncio.Task[bytes | Problem | None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        outcome = problem_of(error) if error is not None else task.result()
        if isinstance(outcome, Problem):
            line, media, body = _status_line(outcome), PROBLEM_MEDIA.encode(), outcome.encode()
        elif outcome is None:
            self._send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nDate: %s\r\n\r\n" % self._door.date())
            return
        else:
            line, media, body = b"200 OK", b"application/json", outcome
        self._send(
            b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nX-Content-Type-Options: nosniff\r\n"
            b"Cache-Control: no-store\r\nDate: %s\r\n\r\n%s" % (line, media, len(body), self._door.date(), body)
        )

    def _send(self, response: bytes) -> None:
        # A whole response as one chunk: no header objects, one write. Where the client has gone meanwhile the
        # connection says so in the future it returns, and there is nobody to tell.
        self._connection.write(response)
        self._connection.finish()


def _status_line(problem: Problem) -> bytes:
    reason = responses.get(problem.status, problem.title)
    return f"{problem.status} {reason}".encode()

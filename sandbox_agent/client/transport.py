"""What both drivers need to know about the HTTP library: options in, faults out."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import httpx2

from sandbox_agent import __version__
from sandbox_agent.client.effects import LocalFault, Reply, TransportFault
from sandbox_agent.client.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_agent.client.effects import Body, Request
    from sandbox_agent.client.target import Target

CONNECT_TIMEOUT: Final = 5.0
WRITE_TIMEOUT: Final = 60.0

MISUSE: Final = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL)
FAULTS: Final = (httpx2.HTTPError, httpx2.StreamError)
STREAMED: Final = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})


def client_options(target: Target, verify: bool | str | ssl.SSLContext) -> dict[str, Any]:
    """Options for the library's clients.

    For a server on this machine no proxy is asked, whatever the environment says: the token would go there. Plain
    HTTP to it needs no certificates, and loading them takes longer than all the rest.
    """
    if isinstance(verify, str):
        verify = ssl.create_default_context(cafile=verify)
    plain = target.local and target.url.startswith("http:")
    return {
        "base_url": target.url,
        "headers": {"User-Agent": f"sandbox-agent-jupyter/{__version__}", **target.headers()},
        "verify": False if plain else verify,
        "trust_env": not target.local,
        "follow_redirects": False,
        "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=16),
    }


def request_options(request: Request) -> dict[str, Any]:
    """Arguments of the library's ``build_request``; a body that is not bytes is the driver's to add."""
    headers = list(request.headers)
    if (size := getattr(request.body, "size", None)) is not None:
        headers.append(("Content-Length", str(size)))
    timeout = httpx2.Timeout(connect=CONNECT_TIMEOUT, read=request.read_timeout, write=WRITE_TIMEOUT, pool=None)
    # Quoted here, so that names of files that are not UTF-8 go as the bytes they are.
    query = urlencode(request.query, quote_via=quote, errors="surrogateescape")
    return {
        "method": request.method,
        "url": f"{request.path}?{query}" if query else request.path,
        "headers": headers,
        "content": request.body if isinstance(request.body, bytes) else None,
        "timeout": timeout,
    }


def next_chunk(chunks: Iterator[bytes]) -> bytes | None:
    """A body's next piece, ``None`` at its end. May block; what goes wrong is a :class:`LocalFault`."""
    try:
        return next(chunks, None)
    except OSError as error:
        raise LocalFault(error) from error


def each_chunk(body: Body) -> Iterator[bytes]:
    """A body for the blocking client."""
    chunks = body.chunks()
    while (chunk := next_chunk(chunks)) is not None:
        yield chunk
        body.sent(len(chunk))


def reply_of(response: httpx2.Response, body: bytes) -> Reply:
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def fault_of(error: Exception, url: str) -> TransportFault | ClientError:
    """What an exception of the library means to a program."""
    if isinstance(error, MISUSE):
        return ClientError(f"cannot make this request: {error}")
    unsent = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))
    if isinstance(error, httpx2.TimeoutException):
        return TransportFault(url, "it took too long to answer", unsent=unsent)
    return TransportFault(url, str(error) or type(error).__name__, unsent=unsent)

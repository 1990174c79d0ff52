"""Who may call the standalone server: bearer token, Host, Origin and CORS rules. Pure: headers in, a problem out.

Inside Jupyter Server none of this applies; its identity provider, authorizer and XSRF rules do.
"""

from __future__ import annotations

import functools
import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from sandbox_agent.problems import PermissionDenied, TokenInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_HEADERS = (
    "authorization",
    "content-type",
    "accept",
    "last-event-id",
    "prefer",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "if-range",
    "range",
)
EXPOSED_HEADERS = ("ETag", "Content-Range", "Next-Cursor")
"""What a page of another origin may read of an answer beyond what any may (Fetch standard, CORS protocol)."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address, no port) is this machine's own by definition."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@functools.lru_cache(maxsize=256)
def _authority(netloc: str, scheme: str = "http") -> tuple[str, int | None]:
    """Host and port of a ``Host`` header or an origin's authority; the scheme's port when none is written."""
    try:
        parts = urlsplit(f"//{netloc}")
        return (parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return "", None


def _same_origin(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` was served by ``host``; the scheme is not ours to know behind a proxy."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return bool(parts.netloc) and _authority(parts.netloc, parts.scheme) == _authority(host, parts.scheme)


@dataclass(frozen=True, slots=True)
class Cors:
    """What other origins may do; nothing by default."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    credentials: bool = False

    def allows(self, origin: str) -> bool:
        return "*" in self.origins or origin.rstrip("/").lower() in {o.rstrip("/").lower() for o in self.origins}

    def response_headers(self, origin: str | None) -> list[tuple[str, str]]:
        """What every answer to a request from ``origin`` carries."""
        if not self.origins:
            return []
        vary = [("Vary", "Origin")]
        if origin is None or not self.allows(origin):
            return vary
        # A wildcard is not allowed together with credentials (Fetch standard, CORS protocol).
        shown = "*" if "*" in self.origins and not self.credentials else origin
        headers = [
            *vary,
            ("Access-Control-Allow-Origin", shown),
            ("Access-Control-Expose-Headers", ", ".join(EXPOSED_HEADERS)),
        ]
        if self.credentials:
            headers.append(("Access-Control-Allow-Credentials", "true"))
        return headers

    def preflight_headers(self, origin: str) -> list[tuple[str, str]]:
        """What the answer to a preflight request carries besides ``response_headers``."""
        if not self.allows(origin):
            return []
        return [
            ("Access-Control-Allow-Methods", ", ".join(self.methods or DEFAULT_METHODS)),
            ("Access-Control-Allow-Headers", ", ".join(self.headers or DEFAULT_HEADERS)),
            ("Access-Control-Max-Age", "600"),
        ]


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules of one server. ``host`` is the address it is bound to; ``token`` is ``None`` for an open server."""

    token: str | None = None
    host: str = "127.0.0.1"
    allow_hosts: tuple[str, ...] = ()
    cors: Cors = Cors()

    def check(
        self, method: str, uri: str, headers: Mapping[str, str], *, websocket: bool = False, linked: bool = False
    ) -> None:
        """Refuse what must be refused. The token may be in the ``uri`` of a WebSocket and of a linked page.

        Raises ``TokenInvalid`` before anything else is told, then ``PermissionDenied`` for a foreign Host (DNS
        rebinding) or, on unsafe methods and WebSocket upgrades, a foreign Origin.
        """
        self._check_token(uri, headers, in_uri=websocket or linked)
        self.check_host(headers.get("Host"))
        self.check_origin(method, headers, websocket=websocket)

    def _check_token(self, uri: str, headers: Mapping[str, str], *, in_uri: bool) -> None:
        if self.token is None:
            return
        given: str | None = None
        scheme, _, credentials = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = credentials.strip()
        elif in_uri:  # browsers cannot set headers there
            given = parse_qs(urlsplit(uri).query).get("access_token", [None])[-1]
        if given is None:
            raise TokenInvalid("a bearer token is required", hint="send the header Authorization: Bearer TOKEN")
        if not hmac.compare_digest(given.encode(errors="replace"), self.token.encode()):
            raise TokenInvalid("the bearer token is not the server's")

    def check_host(self, host: str | None) -> None:
        """Refuse a Host that is not ours, where the names that are ours can be known."""
        bound_to_loopback = is_loopback(self.host)
        if not bound_to_loopback and not self.allow_hosts:
            return
        name, _ = _authority(host or "")
        if bound_to_loopback and is_loopback(name):
            return
        ours = {self.host.strip("[]").lower(), *(_authority(allowed)[0] for allowed in self.allow_hosts)}
        if not name or name not in ours:
            raise PermissionDenied(
                f"the host {host!r} is not one of this server's names",
                hint="start the server with --allow-host NAME to serve it under that name",
            )

    def check_origin(self, method: str, headers: Mapping[str, str], *, websocket: bool = False) -> None:
        """Refuse another origin's unsafe request. No browser sends one without saying where it comes from."""
        origin = headers.get("Origin")
        if origin is None or (method in SAFE_METHODS and not websocket) or self.cors.allows(origin):
            return
        if _same_origin(origin, headers.get("Host", "")):
            return
        raise PermissionDenied(
            f"requests from the origin {origin!r} are refused",
            hint="start the server with --cors-allow-origin ORIGIN to allow it",
        )

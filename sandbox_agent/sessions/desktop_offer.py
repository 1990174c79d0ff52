"""The desktop's MCP server, offered to the agents of sessions that want it: its address, and a key for each session.

A key opens that one route and nothing else, so an agent never gets the server's own token. It is another one at each
start of the agent, lives in memory only, and ends with its session.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox_agent.wire.base import JsonObject

NAME = "desktop"
PATH = "/v1/mcp/desktop"


class DesktopOffer:
    """``base_url`` is where the API is reached from this machine; who serves it sets it."""

    def __init__(self) -> None:
        self.base_url: str | None = None
        self._keys: dict[bytes, str] = {}  # sessions by the hash of their key, so that no comparison tells of one

    def server(self, session_id: str) -> JsonObject | None:
        """An ACP `McpServer` with a new key for the session; None where the API is not reached by a URL."""
        if self.base_url is None:
            return None
        self.revoke(session_id)
        key = secrets.token_urlsafe(32)
        self._keys[_digest(key)] = session_id
        return {
            "type": "http",
            "name": NAME,
            "url": self.base_url.rstrip("/") + PATH,
            "headers": [{"name": "Authorization", "value": f"Bearer {key}"}],
        }

    def revoke(self, session_id: str) -> None:
        """The session's key opens nothing any more."""
        self._keys = {digest: owner for digest, owner in self._keys.items() if owner != session_id}

    def session_of(self, authorization: str) -> str | None:
        """The session whose key an ``Authorization`` header carries."""
        scheme, _, key = authorization.partition(" ")
        return self._keys.get(_digest(key.strip())) if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="replace")).digest()

"""Where a server is and how it is told who we are (pure)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit, urlunsplit

from sandbox_agent.client.errors import ClientError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

MOUNT = "/sandbox-agent"
"""Where the Jupyter extension mounts the API, below the Jupyter Server's base URL."""

_PAGES = re.compile(r"/(lab|tree|notebooks|edit|doc|consoles|nbclassic)(/.*)?$")


@dataclass(frozen=True, slots=True)
class Target:
    """``url`` has no trailing slash. ``socket`` is the path of a Unix socket to speak through."""

    url: str
    token: str | None = field(default=None, repr=False)
    scheme: Literal["Bearer", "token"] = "Bearer"
    socket: str | None = None

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"{self.scheme} {self.token}"} if self.token else {}

    @property
    def local(self) -> bool:
        """Whether the server is on this machine, so that both see the same files."""
        if self.socket is not None:
            return True
        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def mounted(self) -> Target:
        """The API of the Jupyter Server at this URL."""
        return replace(self, url=self.url + MOUNT, scheme="token")


def parse_url(url: str, token: str | None = None) -> Target:
    """A URL as users paste it: with or without slash, with the ``?token=`` that Jupyter prints.

    A token given apart from the URL wins over the one inside.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ClientError(f"{_bare(parts)!r} is not an http or https URL", hint="e.g. http://127.0.0.1:2468")
    inside = parse_qs(parts.query).get("token", [None])[0]
    path = _PAGES.sub("", parts.path).rstrip("/")
    host = parts.netloc.rpartition("@")[2]
    return Target(urlunsplit((parts.scheme, host, path, "", "")), token or inside or None)


def _bare(parts: SplitResult) -> str:
    """Without what may be secret."""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

"""Which of the server's environment a child gets to see: an allow-list, then what its command adds."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MARKER = "SANDBOX_AGENT_SPAWN"
"""Names the spawns a process descends from; inherited by daemons that leave their group, session and parent."""

DEFAULT_ALLOWED: tuple[str, ...] = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)
"""Names, or prefixes ending in ``*``. Credentials are not among them: a command that needs one names it."""


def child_environment(
    environ: Mapping[str, str], allowed: Sequence[str], added: Mapping[str, str], token: str
) -> dict[str, str]:
    """The allowed part of ``environ``, then ``added``, then the marker with ``token`` at its end.

    A server that is itself a spawn of another keeps the outer tokens, so that the outer one still finds all.
    """
    exact, prefixes = _sorted_out(tuple(allowed))
    chosen = {name: value for name, value in environ.items() if name in exact or name.startswith(prefixes)}
    return chosen | dict(added) | {MARKER: environ.get(MARKER, "") + token}


@lru_cache
def _sorted_out(allowed: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names, and the beginnings of names."""
    beginnings = tuple(name[:-1] for name in allowed if name.endswith("*"))
    return frozenset(name for name in allowed if not name.endswith("*")), beginnings

"""What a session was given for its agent's eyes only: its environment, a gateway's address, a way to authenticate.

None of it is in any answer, event or journal entry of ours. It is kept beside the session, in a row of its own, for the
agent must get it again when it is restarted; it goes with the session. The agent itself may print what it got: secret
values are taken out of transcripts, and so of exports, wherever they appear.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import SessionCreateRequest

T = TypeVar("T")

MASK = "[redacted]"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE_LIMIT = 128 * 1024
"""Linux takes no longer string (`MAX_ARG_STRLEN`), its name and the sign between included."""
_LIMIT = 1024 * 1024


class Private(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kept as it is; shown as nothing."""

    env: dict[str, str] = {}
    base_url: str | None = None
    auth_method: str | None = None

    def __repr__(self) -> str:
        return f"Private({', '.join(sorted(self.env))})"

    def __bool__(self) -> bool:
        return bool(self.env or self.base_url or self.auth_method)


def private_of(request: SessionCreateRequest) -> Private:
    """The private part of a request. Raises ``InvalidRequest``, with names and never with values."""
    for name, value in request.env.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"env has {name!r}, which is no name of a variable")
        if "\0" in value or len(name.encode()) + len(value.encode(errors="replace")) + 2 > _VALUE_LIMIT:
            raise InvalidRequest(f"the value of {name} in env has a NUL character, or more than {_VALUE_LIMIT} bytes")
    if sum(len(name) + len(value) for name, value in request.env.items()) > _LIMIT:
        raise InvalidRequest(f"env has more than {_LIMIT} bytes")
    return Private(env=dict(request.env), base_url=request.base_url, auth_method=request.auth_method)


def pairs(servers: Iterable[JsonObject]) -> dict[str, str]:
    """The headers and variables of MCP servers, which hold their keys, under names made unique."""
    return {
        f"{pair['name']}\0{index}": pair["value"]
        for index, server in enumerate(servers)
        for member in ("env", "headers")
        for pair in server.get(member) or ()
    }


class Redactor:
    """Takes secret values out of what is shown: a wire struct, or what JSON decodes to."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = frozenset(filter(None, secrets))
        forms = {msgspec.json.encode(secret)[1:-1] for secret in self._secrets}
        # The longest first, so that one secret that begins like another is not half left.
        found = b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        self._pattern = re.compile(found) if found else None

    def also(self, secrets: Iterable[str]) -> Redactor:
        """One that takes out these, too."""
        return Redactor(self._secrets.union(secrets))

    def __call__(self, value: T) -> T:
        """The value, or a copy of it without the secrets."""
        if self._pattern is None:
            return value
        encoded = msgspec.json.encode(value)
        if self._pattern.search(encoded) is None:
            return value
        return msgspec.json.decode(self._pattern.sub(MASK.encode(), encoded), type=type(value))

"""The authority file of a display: a cookie that only this user can read (Xsecurity(7), libXau's AuFileName(3))."""

from __future__ import annotations

import os
import secrets
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PROTOCOL = b"MIT-MAGIC-COOKIE-1"
_FAMILY_LOCAL = 256
_FAMILY_WILD = 65535


def entry(family: int, address: bytes, display: int, cookie: bytes) -> bytes:
    """One record: the family, then address, display number, protocol and cookie, each after its length."""
    parts = (address, str(display).encode(), _PROTOCOL, cookie)
    return struct.pack(">H", family) + b"".join(struct.pack(">H", len(part)) + part for part in parts)


def write(path: Path, display: int) -> None:
    """A new cookie for ``display``, whatever the host calls itself now or later, in a file of mode 0600."""
    cookie = secrets.token_bytes(16)
    host = socket.gethostname().encode()
    content = entry(_FAMILY_LOCAL, host, display, cookie) + entry(_FAMILY_WILD, b"", display, cookie)
    path.unlink(missing_ok=True)  # one that is not ours to write to, or readable by others, is not reused
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)

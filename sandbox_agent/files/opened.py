"""A file that was opened to be sent somewhere: what its headers say, and a descriptor to read it by."""

from __future__ import annotations

import mimetypes
import os
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

OCTETS = "application/octet-stream"
HEAD_BYTES = 1 << 16
"""Read along with the opening: a file up to this is sent without another turn of a thread."""

_MADE_BYTES = 64 << 20

_TYPES = mimetypes.MimeTypes()
for _suffix, _media in {
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/x-ndjson",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".toml": "application/toml",
    ".ts": "text/x-typescript",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}.items():
    _TYPES.add_type(_media, _suffix)
_COMPRESSIONS = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


def media_type(name: str) -> str:
    """The content type of a file by its name; octets when the name tells nothing.

    A compressed file is of its compression's type: nothing is decoded on the way, so it has no content encoding.
    """
    media, encoding = _TYPES.guess_type(PurePath(name).name)
    if encoding is not None:
        return _COMPRESSIONS.get(encoding, OCTETS)
    if media is None:
        return OCTETS
    return f"{media}; charset=utf-8" if media.startswith("text/") else media


def etag_of(status: os.stat_result) -> str:
    """A strong entity tag: another once the file was replaced or written to."""
    return f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns & 0xFFFFFFFF:x}"'


def _whole(fd: int, head: bytes) -> bytes:
    parts, size = [head], len(head)
    while size < _MADE_BYTES and (more := os.pread(fd, HEAD_BYTES, size)):
        parts.append(more)
        size += len(more)
    return b"".join(parts)


@dataclass(slots=True)
class OpenFile:
    """Close it, or use it as a context manager. ``head`` is how the file begins, whole when ``size`` is as small."""

    fd: int
    path: str
    size: int
    etag: str
    modified_ns: int
    media: str = OCTETS
    head: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, fd: int, path: str, *, media: str | None = None) -> Self:
        """The plain file behind ``fd``, which it closes from now on. Raises ``OSError``."""
        status = os.fstat(fd)
        head = os.pread(fd, HEAD_BYTES, 0)
        if not status.st_size and head:  # as files of /proc have it, which are made when read
            head = _whole(fd, head)
        return cls(
            fd=fd,
            path=path,
            size=status.st_size or len(head),
            etag=etag_of(status),
            modified_ns=status.st_mtime_ns,
            media=media or media_type(path),
            head=head,
        )

    def read(self, count: int, offset: int) -> bytes:
        """Bytes from ``offset``, fewer than ``count`` only at the end. Blocks. Raises ``OSError``."""
        return os.pread(self.fd, count, offset)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

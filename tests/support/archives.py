"""Archives that a kind client would never send, and trees to compare."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

STEADY = settings(deadline=None, suppress_health_check=list(HealthCheck))
"""How fast examples come and go is no matter of a test: machines are busy."""

Tree: TypeAlias = dict[bytes, tuple[str, int, bytes]]


class Entry(NamedTuple):
    """One member, of any type and name, whatever tarfile would rather have."""

    name: str
    data: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    mode: int = 0o644
    mtime: float = 1_700_000_000


def tar(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode, info.mtime = entry.kind, entry.target, entry.mode, entry.mtime
            info.size = len(entry.data)
            archive.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def zipped(*entries: Entry, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The same members in a zip archive; links, devices and the like by their mode, as Info-ZIP has them."""
    forms = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name + ("/" if entry.kind == tarfile.DIRTYPE else ""))
            info.create_system = 3
            form = stat.S_IFDIR if entry.kind == tarfile.DIRTYPE else forms.get(entry.kind, stat.S_IFREG)
            info.external_attr = (form | entry.mode) << 16
            info.compress_type = method
            archive.writestr(info, entry.target.encode() if entry.target else entry.data)
    return out.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1)


async def in_chunks(data: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def joined(chunks: Iterable[bytes] | AsyncIterator[bytes]) -> bytes:
    if hasattr(chunks, "__aiter__"):
        return b"".join([chunk async for chunk in chunks])
    return b"".join(chunks)


def tree(folder: Path) -> Tree:
    """The files, folders and links below a folder: what each is, its mode, and its content or target."""
    found: Tree = {}
    base = os.fsencode(folder)
    for at, folders, files in os.walk(base):
        for name in [*folders, *files]:
            path = os.path.join(at, name)  # noqa: PTH118 - names are bytes
            status = os.lstat(path)
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                value = ("link", 0, os.readlink(path))  # noqa: PTH115 - names are bytes
            elif stat.S_ISDIR(status.st_mode):
                value = ("folder", mode, b"")
            elif not stat.S_ISREG(status.st_mode):
                continue
            else:
                with open(path, "rb") as file:  # noqa: PTH123 - names are bytes
                    value = ("file", mode, file.read())
            found[os.path.relpath(path, base)] = value
    return found

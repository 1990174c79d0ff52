"""Where downloads go: a file that is there once it is whole, or a folder that a tar archive is unpacked into."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import tarfile
import threading
from typing import IO, TYPE_CHECKING, Final, Protocol

from sandbox_agent.client.errors import ClientError

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.problems import SandboxAgentError

logger = logging.getLogger("sandbox_agent.client")

PIECE: Final = 1 << 20
END: Final = bytes(1024)
"""Two blocks of zeros (POSIX.1-2017, pax)."""
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Sink(Protocol):
    """Takes what comes. All of it may block."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> Path:
        """All has come; where it is now."""
        ...

    def discard(self) -> None:
        """It will not be finished."""
        ...


class FileSink:
    """A file beside its place, put there when it is whole: what was there before stays until then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
        try:
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            error.filename = str(path.parent)  # the file beside is ours alone to know of
            raise
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self) -> Path:
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(self._file.fileno(), self._path.stat().st_mode & 0o777)
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        return self._path

    def discard(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


class FolderSink:
    """A folder that a tar archive is unpacked into, by a thread, as it comes.

    Nothing is written outside of it or through a link. Links that lead outside, devices and the like are left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._error: SandboxAgentError | OSError | None = None
        path.mkdir(parents=True, exist_ok=True)
        reader, writer = os.pipe()
        self._writer: IO[bytes] = os.fdopen(writer, "wb", buffering=0)
        self._thread = threading.Thread(target=self._unpack, args=(reader,), name="sandbox-agent-untar", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._writer.write(rest) :]
        except BrokenPipeError:
            self._thread.join()
            if self._error is not None:
                raise self._error from None

    def finish(self) -> Path:
        self._writer.close()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._path

    def discard(self) -> None:
        self._writer.close()
        self._thread.join()

    def _unpack(self, reader: int) -> None:
        try:
            with os.fdopen(reader, "rb", buffering=0) as stream:
                unpack(stream, self._path)
        except OSError as error:
            self._error = error
        except ClientError as error:
            self._error = error
        except (tarfile.TarError, EOFError) as error:
            self._error = ClientError(f"what the server sent is no whole tar archive: {error}")


class _Ending:
    """A stream that remembers how it ended."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.last = (self.last + data)[-len(END) :]
        return data


def unpack(stream: IO[bytes], folder: Path) -> None:
    """Unpack a tar archive of a folder, itself its first member, into ``folder``."""
    unpacking, ending = _Unpacking(folder), _Ending(stream)
    with tarfile.open(fileobj=ending, mode="r|", bufsize=PIECE) as archive:  # type: ignore[call-overload]
        for member in archive:
            unpacking.take(archive, member)
    while ending.read(PIECE):  # what fills up the last record
        pass
    if ending.last != END:  # the library takes a break between two members for the end
        raise EOFError("it breaks off")
    unpacking.make_links()


class _Unpacking:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base: tuple[str, ...] | None = None
        self._made: set[Path] = {folder}
        self._links: list[tuple[Path, str]] = []

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = tuple(part for part in member.name.split("/") if part not in {"", "."})
        if member.name.startswith("/") or ".." in parts:
            raise ClientError(f"the archive names a file outside of its folder: {member.name!r}")
        if self._base is None:
            self._base = parts if member.isdir() else ()
        if parts[: len(self._base)] == self._base:
            parts = parts[len(self._base) :]
        if not parts:
            return
        if member.isdir():
            self._make(self._folder.joinpath(*parts))
        elif member.isreg():
            self._file(archive, member, self._make(self._folder.joinpath(*parts[:-1])) / parts[-1])
        elif member.issym():
            self._links.append((self._make(self._folder.joinpath(*parts[:-1])) / parts[-1], member.linkname))
        else:
            logger.warning("left out of the download: %s is neither a file, a folder nor a link", member.name)

    def _make(self, folder: Path) -> Path:
        if folder not in self._made:
            self._make(folder.parent)
            if folder.is_symlink():
                raise ClientError(f"{folder} is a link here: nothing is written through it", hint="remove it first")
            folder.mkdir(exist_ok=True)
            self._made.add(folder)
        return folder

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if path.is_symlink():
            path.unlink()
        source = archive.extractfile(member)
        with os.fdopen(os.open(path, _WRITE, 0o600), "wb", buffering=0) as file:
            while source is not None and (data := source.read(PIECE)):
                file.write(data)
            os.fchmod(file.fileno(), member.mode & 0o777)
            os.utime(file.fileno(), (member.mtime, member.mtime))

    def make_links(self) -> None:
        """At the end, so that no member is written through one; where they lead is seen once all are there."""
        for path, target in self._links:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            path.symlink_to(target)
        inside = os.path.realpath(self._folder)
        for path, target in self._links:
            leads = os.path.realpath(path)
            if leads != inside and not leads.startswith(inside.rstrip("/") + "/"):
                logger.warning("left out of the download: the link %s leads out of the folder, to %s", path, target)
                path.unlink()

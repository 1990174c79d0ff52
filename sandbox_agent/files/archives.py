"""Archives in and out: many files by one request.

What comes in is spooled, checked to its last member, and only then written; what goes out is made in a thread while it
is sent. Both take a few mebibytes of memory, whatever the size.
"""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Literal, TypeAlias

from sandbox_agent.files import archive_pack as pack
from sandbox_agent.files import threads
from sandbox_agent.files.archive_extract import Extraction
from sandbox_agent.files.archive_plan import ArchiveError, ArchiveLimits, Plan, shown
from sandbox_agent.files.archive_spool import Spool, expand, temporary, zstd_available
from sandbox_agent.files.archive_tar import read_tar
from sandbox_agent.files.archive_zip import read_zip
from sandbox_agent.files.faults import not_a_directory, not_a_file, problem_of
from sandbox_agent.files.root import split
from sandbox_agent.problems import InvalidRequest, PermissionDenied, UnsupportedMediaType
from sandbox_agent.wire.files import FsUploadBatchResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterator

    from sandbox_agent.files.archive_spool import Coding
    from sandbox_agent.files.root import Root

Form: TypeAlias = Literal["tar", "tar.gz", "zip"]

TAR_TYPES = ("application/x-tar", "application/tar", "application/x-gtar", "application/x-ustar")
GZIP_TYPES = (
    "application/gzip",
    "application/x-gzip",
    "application/x-gtar-compressed",
    "application/x-compressed-tar",
    "application/x-tgz",
)
ZSTD_TYPES = ("application/zstd", "application/x-zstd-compressed-tar")
ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
UPLOAD_TYPES = TAR_TYPES + GZIP_TYPES + ZSTD_TYPES + ZIP_TYPES
DOWNLOAD_TYPES: dict[Form, str] = {
    "tar": "application/x-tar",
    "tar.gz": "application/gzip",
    "zip": "application/zip",
}

TOLD_PATHS = 1024
_MAGIC: tuple[tuple[bytes, Coding], ...] = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_BATCH = 1 << 20


class Archives:
    """Unpacks into folders and packs them. Paths are absolute, as `paths.absolute` makes them."""

    def __init__(self, root: Root, limits: ArchiveLimits | None = None) -> None:
        self._root = root
        self._limits = limits or ArchiveLimits()

    # -- in -------------------------------------------------------------------------------------------------------

    async def unpack(self, path: str, media: str, sent: AsyncIterable[bytes] | bytearray) -> FsUploadBatchResponse:
        """Extract an archive of the media type ``media`` below ``path``, which is made if need be.

        All or nothing is written. Raises ``InvalidRequest`` with the ``members`` that are refused,
        ``PayloadTooLarge`` beyond the limits, ``UnsupportedMediaType``, and the problems of ``path``: before anything
        of ``sent`` is asked for, where it is not there as a whole.
        """
        if media in ZSTD_TYPES:
            _need_zstd()
        whole = sent if isinstance(sent, bytearray) else None
        with closing(Spool(whole)) as spool, closing(_Place(self._root, path)) as place:
            try:
                if not isinstance(sent, bytearray):
                    await threads.run(place.find)
                    spool.folder = place.anchor
                    await _spool(sent, spool)
                return await threads.run(self._extract, spool, media, place)
            except ArchiveError as error:
                raise error.problem() from error
            except OSError as error:
                raise problem_of(error, path) from error

    def _extract(self, sent: Spool, media: str, place: _Place) -> FsUploadBatchResponse:
        place.find()
        sent.folder = place.anchor
        plan = Plan(self._limits)
        with ExitStack() as kept:
            if media in ZIP_TYPES:
                into = kept.enter_context(temporary(place.anchor))
                source: int | memoryview = into.fileno()
                plan.take(read_zip(sent.source(), into, self._limits), TOLD_PATHS)
            else:
                if (coding := _coding(sent, media)) is None:
                    source = sent.source()
                else:
                    into = kept.enter_context(temporary(place.anchor))
                    source = into.fileno()
                    expand(sent.file(), coding, into, self._limits)
                plan.take(read_tar(source), TOLD_PATHS)
            plan.check()
            plan.nest(place.missing)
            Extraction(plan, source, place.anchor).run()
        base = place.path.rstrip("/") + "/"
        paths = tuple([base + name for name in shown(plan.names)])
        return FsUploadBatchResponse(paths=paths, truncated=plan.placed > len(paths))

    # -- out ------------------------------------------------------------------------------------------------------

    async def check(self, path: str) -> None:
        """Raises the problem because of which ``path`` cannot be packed."""
        os.close(await self._opened(path))

    async def pack(self, path: str, form: Form) -> AsyncGenerator[bytes, None]:
        """The archive of a folder or file, under its own name. Raises the problems of ``path`` before the first."""
        fd = await self._opened(path)
        pieces = _pieces(fd, os.fsencode(path.rpartition("/")[2]), form)
        ahead: asyncio.Future[bytes] | None = None
        try:
            ahead = threads.start(_batch, pieces)
            while batch := await asyncio.shield(ahead):
                ahead = threads.start(_batch, pieces)
                yield batch
        except OSError as error:
            raise problem_of(error, os.fsdecode(error.filename) if error.filename else path) from error
        finally:
            try:
                if ahead is not None:
                    await threads.ended(ahead)
            finally:
                pieces.close()
                os.close(fd)

    async def _opened(self, path: str) -> int:
        try:
            return await threads.opened(self._open, path)
        except OSError as error:
            raise problem_of(error, path) from error

    def _open(self, path: str) -> int:
        fd = self._root.open(path, _READ)
        try:
            _check_packable(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return fd


async def _spool(sent: AsyncIterable[bytes], spool: Spool) -> None:
    async for chunk in sent:
        if spool.takes_at_once(chunk):
            spool.write(chunk)
        else:
            await threads.run(spool.write, chunk)


class _Place:
    """Where an archive goes: ``anchor``, the nearest folder that is there, and what is ``missing`` below it."""

    def __init__(self, root: Root, path: str) -> None:
        self.path = path
        self.anchor = -1
        self.missing: list[bytes] = []
        self._root = root

    def find(self) -> None:
        """Once; blocks. Raises ``OSError``, and the problem where a file is in the way."""
        head = self.path
        while self.anchor < 0:
            try:
                self.anchor = self._root.open(head, _FOLDER)
            except NotADirectoryError as error:
                raise not_a_directory(head) from error
            except FileNotFoundError:
                if head == self._root.folder:
                    raise
                head, name = split(head)
                self.missing.insert(0, os.fsencode(name))

    def close(self) -> None:
        if self.anchor >= 0:
            os.close(self.anchor)


def _check_packable(fd: int, path: str) -> None:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise not_a_file(path)
    if stat.S_ISDIR(mode) and os.geteuid() != 0 and (name := pack.unreadable(fd)) is not None:
        inside = f"{path.rstrip('/')}/{os.fsdecode(name)}"
        raise PermissionDenied(f"no permission for {inside}", code="no_permission", path=inside)


def _need_zstd() -> None:
    if not zstd_available():
        raise UnsupportedMediaType(
            "Zstandard archives cannot be read: the zstandard package is not installed",
            hint='pip install "sandbox-agent-jupyter[zstd]"',
        )


def _coding(sent: Spool, media: str) -> Coding | None:
    """The compression of a tar archive: the one it is sent as, or, where it is sent as a plain one, what it shows."""
    if media in GZIP_TYPES:
        return "gzip"
    if media in ZSTD_TYPES:
        return "zstd"
    if media not in TAR_TYPES:
        raise InvalidRequest(f"no archive is of the type {media or 'unknown'}")
    head = sent.head(4)
    coding = next((coding for magic, coding in _MAGIC if head.startswith(magic)), None)
    if coding == "zstd":
        _need_zstd()
    return coding


def _pieces(fd: int, name: bytes, form: Form) -> Generator[bytes, None, None]:
    entries = pack.walk(fd, name)
    if form == "zip":
        return pack.zipped(entries)
    return pack.gzipped(pack.tar(entries)) if form == "tar.gz" else pack.tar(entries)


def _batch(pieces: Iterator[bytes]) -> bytes:
    """About a mebibyte; empty at the end."""
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= _BATCH:
            break
    return b"".join(taken)

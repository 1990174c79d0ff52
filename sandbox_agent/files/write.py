"""Writing a file as a whole: beside its place, then into it in one step; whatever breaks off leaves the old one.

Where the file system can, the new file has no name until it is whole, so that not even the server's death leaves
anything behind. Blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from typing import TYPE_CHECKING

from sandbox_agent.files.copy import copy_bytes
from sandbox_agent.files.faults import is_directory, not_a_file
from sandbox_agent.files.move import aside_name
from sandbox_agent.files.opened import etag_of
from sandbox_agent.files.rename import rename, rename_new
from sandbox_agent.problems import PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.files.root import Root

    Precondition = Callable[[str | None], bool]

_NAMELESS_UNKNOWN = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS})
_NEW_MODE = 0o666
_PROC = "/proc/self/fd"

_last_step = threading.Lock()
"""Held from the last look at what is there to its replacement: of two writers with one ``If-Match``, one wins."""


class Writing:
    """One file being written: `begin`, `write` as often as need be, then `commit`; in the end `close`.

    ``holds`` is asked with the entity tag of the file that is there (``None``: there is none), before the first byte
    and again before the last step. Methods raise ``OSError``, `PreconditionFailed`, and `InvalidRequest` for what is
    no file.
    """

    def __init__(self, root: Root, path: str, holds: Precondition | None = None) -> None:
        self.path = path
        self.written = 0
        self.created = False
        self.closed = False
        self._root = root
        self._holds = holds
        self._place = contextlib.ExitStack()
        self._folder = -1
        self._name = ""
        self._fd = -1
        self._aside: str | None = None
        # A caller that was cancelled closes while a thread still writes: not before it is done, for the number of a
        # closed descriptor may be another file's by then.
        self._busy = threading.Lock()

    def begin(self) -> None:
        """Find the place, make the folders above it, check what is there."""
        with self._busy:
            self._folder, self._name = self._place.enter_context(self._root.target(self.path, make=True))
            self._check()
            self._open()

    def _check(self) -> os.stat_result | None:
        """What is in the place now, if that may be replaced."""
        try:
            there = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise is_directory(self.path)
        if there is not None and not stat.S_ISREG(there.st_mode):
            raise not_a_file(self.path)
        etag = None if there is None else etag_of(there)
        if self._holds is not None and not self._holds(etag):
            what = "the file exists" if etag else "there is no such file"
            raise PreconditionFailed(f"{what}, or is another: {self.path}", path=self.path, etag=etag)
        return there

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC
        if os.access(_PROC, os.X_OK):  # a file without a name gets one through it
            try:
                self._fd = os.open(".", flags | os.O_TMPFILE, _NEW_MODE, dir_fd=self._folder)
            except OSError as error:
                if error.errno not in _NAMELESS_UNKNOWN:
                    raise
            else:
                return
        aside = aside_name()
        self._fd = os.open(aside, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _NEW_MODE, dir_fd=self._folder)
        self._aside = aside

    def write(self, data: bytes | memoryview) -> None:
        with self._busy:
            view = memoryview(data)
            self.written += len(view)
            while view:
                view = view[os.write(self._fd, view) :]

    def commit(self) -> str:
        """Make it last, and put it into its place; its entity tag."""
        with self._busy:
            os.fsync(self._fd)
            with _last_step:
                there = self._check()
                self.created = there is None
                if there is not None:
                    with contextlib.suppress(PermissionError):
                        os.fchown(self._fd, there.st_uid, there.st_gid)
                    os.fchmod(self._fd, stat.S_IMODE(there.st_mode))
                self._settle(new=there is None)
                etag = etag_of(os.stat(self._name, dir_fd=self._folder, follow_symlinks=False))
            self._keep()
            self._release()
        return etag

    def _settle(self, *, new: bool) -> None:
        place = (self._folder, self._name)
        if self._aside is None:
            if new and self._link(self._name):
                return
            aside = aside_name()
            self._link(aside)
            self._aside = aside
        try:
            (rename_new if new and self._holds is not None else rename)((self._folder, self._aside), place)
        except FileExistsError:
            raise self._taken() from None
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self._overwrite()
            return
        self._aside = None

    def _taken(self) -> PreconditionFailed:
        return PreconditionFailed(f"the file exists by now: {self.path}", path=self.path)

    def _link(self, name: str) -> bool:
        """Give the nameless file a name; false where it is taken, unless a free one was asked for."""
        try:
            os.link(f"{_PROC}/{self._fd}", name, dst_dir_fd=self._folder, follow_symlinks=True)
        except FileExistsError:
            if self._holds is not None:
                raise self._taken() from None
            return False
        return True

    def _overwrite(self) -> None:
        """Into the file that is there: it is mounted by itself, as containers do, and cannot be replaced."""
        fd = os.open(self._name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            os.ftruncate(fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            copy_bytes(self._fd, fd)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _keep(self) -> None:
        """Make the name last as the bytes do. Some file systems do not sync folders."""
        with contextlib.suppress(OSError):
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Undo what was not committed."""
        with self._busy:
            self._release()

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        aside, self._aside = self._aside, None
        if fd >= 0:
            os.close(fd)
        if aside is not None:
            with contextlib.suppress(OSError):
                os.unlink(aside, dir_fd=self._folder)
        self._place.close()
        self.closed = True

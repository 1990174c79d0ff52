"""Where paths lead: the one way from an absolute path to a descriptor, confined to a folder or not.

Everything that touches files goes through `Root.open` and `Root.parent`, then by descriptors and names, never by a
path again: what was checked is what is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from sandbox_agent.files.beneath import Beneath, OutsideRoot

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_LINKS = 40

__all__ = ["OutsideRoot", "Root"]


def split(path: str) -> tuple[str, str]:
    """The folder and the last name of an absolute path. Raises ``OSError`` where it has none to act on."""
    head, _, name = path.rstrip("/").rpartition("/")
    if not name:
        raise OSError(errno.EBUSY, "it is the root of all files", path)
    if name in {".", ".."}:
        raise OSError(errno.EINVAL, "it ends with no name", path)
    return head or "/", name


class Root:
    """Opens absolute paths. ``folder`` is what they are confined to; ``None`` leaves them to the system's rights.

    All methods block, and raise ``OSError``: ``OutsideRoot`` where a path, or a link on it, leads out of the folder.
    ``kernel`` is for tests: whether openat2 is used.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, *, kernel: bool | None = None) -> None:
        self._beneath = None if folder is None else Beneath(os.fspath(folder), kernel=kernel)

    @property
    def folder(self) -> str | None:
        """The real path of the folder that everything is confined to."""
        return None if self._beneath is None else self._beneath.folder

    def close(self) -> None:
        if self._beneath is not None:
            self._beneath.close()

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """A descriptor of what ``path`` leads to, links followed unless ``flags`` say otherwise."""
        if self._beneath is not None:
            return self._beneath.open(path, flags, mode)
        return os.open(path, flags | os.O_CLOEXEC, mode)

    @contextlib.contextmanager
    def opened(self, path: str, flags: int, mode: int = 0o666) -> Iterator[int]:
        """The same, closed in the end."""
        fd = self.open(path, flags, mode)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that ``path`` names something in, and that name: what to create, rename or remove it by.

        The descriptor is for `dir_fd` only (``O_PATH``). ``make`` creates the folders that are missing.
        """
        head, name = split(path)
        if self._beneath is not None and self._beneath.relative(path) == ".":
            raise OSError(errno.EBUSY, "it is the folder that all files are confined to", path)
        fd = self.make_folders(head) if make else self.open(head, _FOLDER)
        try:
            yield fd, name
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def target(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Like `parent`, but of what the path leads to: where it is a link, of the end of the link."""
        for _ in range(_MAX_LINKS):
            with self.parent(path, make=make) as (fd, name):
                link = _link(fd, name)
                if link is None:
                    yield fd, name
                    return
            path = link if link.startswith("/") else f"{split(path)[0].rstrip('/')}/{link}"
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def make_folders(self, path: str) -> int:
        """A descriptor (``O_PATH``) of a folder, made with all above it if need be."""
        missing: list[str] = []
        head = path
        while True:
            try:
                fd = self.open(head, _FOLDER)
                break
            except FileNotFoundError:
                if self._beneath is not None and self._beneath.relative(head) == ".":
                    raise
                head, name = split(head)
                missing.append(name)
        for name in reversed(missing):
            head = f"{head.rstrip('/')}/{name}"
            above = fd
            try:
                with contextlib.suppress(FileExistsError):  # made meanwhile, or a link to nowhere: it is seen next
                    os.mkdir(name, dir_fd=above)
                fd = self._enter(above, name, head)
            finally:
                os.close(above)
        return fd

    def _enter(self, above: int, name: str, path: str) -> int:
        """A folder below another; by its whole path where a link has got in its place."""
        try:
            return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        except NotADirectoryError:
            return self.open(path, _FOLDER)


def _link(fd: int, name: str) -> str | None:
    """What the link ``name`` holds; ``None`` when it is something else, or nothing yet."""
    try:
        if not stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            return None
        return os.readlink(name, dir_fd=fd)
    except FileNotFoundError:
        return None

"""Opening a path beneath a folder, so that nothing leads out of it, whoever swaps what meanwhile.

Two ways with one meaning: the kernel's `openat2` with `RESOLVE_BENEATH` (Linux 5.6), and a walk that opens component
by component and never lets the kernel follow a link. The kernel refuses every absolute link; one that leads back to
beneath the folder is no escape, so what the kernel refuses the walk decides.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections import deque
from pathlib import Path

_OPENAT2 = 437
"""The number of the system call on every architecture."""
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_MAX_LINKS = 40
"""As many as the kernel follows before it sees a loop (path_resolution(7))."""
_TRIES = 8


class OutsideRoot(PermissionError):
    """The path leads out of the folder it is confined to."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EACCES, "the path leads out of the root", path)


class _OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def openat2(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """A descriptor of ``path`` beneath ``folder``. Raises ``OSError``: ``EXDEV`` where it leads out."""
    creates = flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE  # a mode is refused with anything else
    how = _OpenHow(flags | os.O_CLOEXEC, mode if creates else 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    fd = _libc().syscall(_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(fd)


@functools.cache
def has_openat2() -> bool:
    """Whether this kernel has it and lets us use it: container runtimes may forbid it."""
    try:
        here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(openat2(here, ".", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(here)
    return True


class Beneath:
    """A folder, and the way to what is beneath it. ``kernel`` is for tests: whether openat2 is used."""

    def __init__(self, folder: str, *, kernel: bool | None = None) -> None:
        self.folder = os.path.realpath(folder)
        self._spelt = str(Path(folder).absolute())
        self._kernel = has_openat2() if kernel is None else kernel
        self._fd = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """After this nothing is beneath it: the descriptor's number may be another folder's soon."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def relative(self, path: str) -> str:
        """An absolute path as seen from the folder, ``.`` for itself. Raises ``OutsideRoot``."""
        for folder in (self.folder, self._spelt):
            base = folder.rstrip("/") + "/"
            if path.startswith(base):
                return path[len(base) :].strip("/") or "."
            if path.rstrip("/") == base.rstrip("/"):
                return "."
        raise OutsideRoot(path)

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """A descriptor of an absolute path. Raises ``OutsideRoot`` and ``OSError``."""
        relative = self.relative(path)
        if self._kernel:
            for _ in range(_TRIES):
                try:
                    return openat2(self._fd, relative, flags, mode)
                except OSError as error:
                    if error.errno == errno.EXDEV:
                        break
                    if error.errno != errno.EAGAIN:  # something was renamed meanwhile, and there is a `..`
                        raise type(error)(error.errno, error.strerror, path) from None
        try:
            return _Walk(self, flags, mode).run(relative)
        except OSError as error:
            if isinstance(error, OutsideRoot):
                raise OutsideRoot(path) from None
            raise type(error)(error.errno, error.strerror, path) from None


class _Walk:
    """One way from the folder to a path. The folders on it are held open, so that `..` is where we came from."""

    def __init__(self, beneath: Beneath, flags: int, mode: int) -> None:
        self._beneath = beneath
        self._flags = flags
        self._mode = mode
        self._links = 0
        self._way: list[int] = []

    def run(self, relative: str) -> int:
        self._way = [os.dup(self._beneath._fd)]  # noqa: SLF001 - it walks on behalf of it
        try:
            return self._walk(deque(relative.split("/")))
        finally:
            for fd in self._way:
                os.close(fd)

    def _walk(self, todo: deque[str]) -> int:
        while todo:
            part = todo.popleft()
            if part in {"", "."}:
                continue
            if part == "..":
                if len(self._way) == 1:
                    raise OutsideRoot(part)
                os.close(self._way.pop())
                continue
            last = not any(name not in {"", "."} for name in todo)
            fd = self._step(part, last=last, folder=bool(todo))  # what has anything after it, if only a dot
            if fd is None:
                self._follow(part, todo)
            elif last:
                return fd
            else:
                self._way.append(fd)
        return os.open(".", self._flags & ~os.O_NOFOLLOW | os.O_CLOEXEC, self._mode, dir_fd=self._way[-1])

    def _step(self, part: str, *, last: bool, folder: bool) -> int | None:
        """The next component opened; ``None`` when it is a link that must be followed."""
        flags = (self._flags if last else os.O_PATH) | (os.O_DIRECTORY if folder else 0)
        try:
            fd = os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, self._mode, dir_fd=self._way[-1])
        except OSError as error:
            # ENOTDIR is what O_DIRECTORY makes of a link.
            if error.errno not in {errno.ELOOP, errno.ENOTDIR} or (last and self._flags & os.O_NOFOLLOW):
                raise
            if not self._is_link(part):
                raise
            return None
        if last and flags & os.O_PATH and not flags & os.O_NOFOLLOW and stat.S_ISLNK(os.fstat(fd).st_mode):
            os.close(fd)
            return None
        return fd

    def _is_link(self, part: str) -> bool:
        return stat.S_ISLNK(os.stat(part, dir_fd=self._way[-1], follow_symlinks=False).st_mode)

    def _follow(self, part: str, todo: deque[str]) -> None:
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part)
        try:
            target = os.readlink(part, dir_fd=self._way[-1])
        except OSError as error:
            if error.errno == errno.EINVAL:  # it was swapped for something else: look again
                todo.appendleft(part)
                return
            raise
        if target.startswith("/"):
            target = self._beneath.relative(target)
            while len(self._way) > 1:
                os.close(self._way.pop())
        todo.extendleft(reversed(target.split("/")))

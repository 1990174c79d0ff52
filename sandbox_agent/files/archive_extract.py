"""Writing what a checked archive holds into a folder, so that all of it appears or nothing does.

Each folder that is there already gets a hidden folder in it, where what is new waits until everything is written; then
it is moved into place, a new folder with all below it by one rename. Small new files go to their place at once, which
spares them the rename, and are taken away again if something fails. Nothing is followed: every name is looked up in
the descriptor of its folder, which was opened without following links.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.files.archive_window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox_agent.files.archive_plan import Folder, Member, Plan
    from sandbox_agent.files.archive_window import Block

STAGING = b".sandbox-agent-upload-"
_SMALL = 1 << 18
"""Up to this a file is one write."""
_LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODES = 0o777  # what would run as somebody else (04000, 02000) is not taken over


def _umask() -> int:
    """The process's own, read without setting it, which all threads would notice (proc_pid_status(5))."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


class Extraction:
    """Writes a plan's tree below the folder that ``folder`` is a descriptor of; contents are read from ``source``.

    Everything blocks, and raises ``OSError`` as the system does.
    """

    def __init__(self, plan: Plan, source: int | Block, folder: int) -> None:
        self._plan = plan
        self._folder = folder
        self._window = Window(source)
        self._umask = _umask()

    def run(self) -> None:
        """Check what lies in the destination, then write. Raises ``InvalidRequest`` with what is in the way."""
        self._survey(self._plan.root, self._folder, b"")
        self._plan.check()
        try:
            self._stage(self._plan.root, self._folder)
            self._commit(self._plan.root, self._folder)
        except BaseException:
            self._undo(self._plan.root, self._folder)
            raise

    # -- what is there --------------------------------------------------------------------------------------------

    def _survey(self, node: Folder, fd: int, prefix: bytes) -> None:
        node.there = True
        for name in node.files:
            try:
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(found.st_mode):
                self._plan.refuse(prefix + name, "a folder lies where it would go")
            node.replaced.add(name)
        for name, inner in node.folders.items():
            try:
                below = os.open(name, _LOOK, dir_fd=fd)
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                self._plan.refuse(prefix + name, "a link or a file lies where its folder would be")
                continue
            try:
                self._survey(inner, below, prefix + name + b"/")
            finally:
                os.close(below)

    # -- writing, out of sight ------------------------------------------------------------------------------------

    def _stage(self, node: Folder, fd: int) -> None:
        """Write all that is new in a folder that is there, and below it."""
        later = [(n, m) for n, m in node.files.items() if m.size > _SMALL or n in node.replaced]
        fresh = [(name, inner) for name, inner in node.folders.items() if not inner.there]
        if later or fresh:
            staging = STAGING + secrets.token_hex(8).encode()
            os.mkdir(staging, 0o700, dir_fd=fd)
            node.staging = staging
            node.waiting = [name for name, _ in (*later, *fresh)]
            with _opened(staging, fd) as hidden:
                self._write(later, hidden, [])
                for name, inner in fresh:
                    with self._built(name, inner, hidden):
                        pass
        small = ((n, m) for n, m in node.files.items() if m.size <= _SMALL and n not in node.replaced)
        self._write(small, fd, node.direct)
        for name, inner in node.folders.items():
            if inner.there:
                with _opened(name, fd, _LOOK) as below:
                    self._stage(inner, below)

    @contextlib.contextmanager
    def _built(self, name: bytes, node: Folder, parent: int) -> Iterator[int]:
        os.mkdir(name, 0o700, dir_fd=parent)
        with _opened(name, parent) as fd:
            self._write(node.files.items(), fd, [])
            for inner_name, inner in node.folders.items():
                with self._built(inner_name, inner, fd) as below:
                    self._dress(inner, below)
            yield fd

    def _write(self, files: Iterable[tuple[bytes, Member]], fd: int, written: list[bytes]) -> None:
        """New files; ``written`` gets the names. What lies there already, whatever it is, raises ``FileExistsError``.

        One loop, for a call more for each of a thousand files would show.
        """
        create, write, utime, close = os.open, os.write, os.utime, os.close
        content, umask = self._window.view, self._umask
        for name, member in files:
            mode = 0o666 & ~umask if member.mode is None else member.mode & _MODES
            out = create(name, _NEW, mode, dir_fd=fd)
            try:
                written.append(name)
                size = member.size
                if size > _SMALL or write(out, content(member.offset, size)) != size:
                    self._copy(out, member)
                if mode & umask:
                    os.fchmod(out, mode)
                if (moment := member.mtime_ns) is not None:
                    utime(out, ns=(moment, moment))
            finally:
                close(out)

    def _copy(self, out: int, member: Member) -> None:
        """The whole content, from the file's start."""
        os.lseek(out, 0, os.SEEK_SET)
        at, end = member.offset, member.offset + member.size
        while at < end:
            if self._window.fd < 0:
                at += os.write(out, self._window.view(at, end - at))
            else:
                at += os.sendfile(out, self._window.fd, at, end - at)

    def _dress(self, node: Folder, fd: int) -> None:
        """Give a new folder the mode and time it is to have, once nothing more goes into it."""
        member = node.member
        mode = _MODES & ~self._umask if member is None or member.mode is None else member.mode & _MODES
        os.fchmod(fd, mode)
        if member is not None and member.mtime_ns is not None:
            os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))

    # -- into place -----------------------------------------------------------------------------------------------

    def _commit(self, node: Folder, fd: int) -> None:
        if node.staging is not None:
            with _opened(node.staging, fd) as hidden:
                for name in node.waiting:
                    self._move(name, node, hidden, fd)
            os.rmdir(node.staging, dir_fd=fd)
            node.staging = None
        for name, inner in node.folders.items():
            if inner.there:
                with _opened(name, fd, _LOOK) as below:
                    self._commit(inner, below)

    def _move(self, name: bytes, node: Folder, hidden: int, fd: int) -> None:
        """A folder gets its mode afterwards: one that may not be written to could not be moved."""
        inner = node.folders.get(name)
        if inner is None:
            os.rename(name, name, src_dir_fd=hidden, dst_dir_fd=fd)
            return
        with _opened(name, hidden) as moved:
            os.rename(name, name, src_dir_fd=hidden, dst_dir_fd=fd)
            self._dress(inner, moved)

    def _undo(self, node: Folder, fd: int) -> None:
        """Take away what was written so far and is not yet in its place."""
        for name in node.direct:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=fd)
        if node.staging is not None:
            shutil.rmtree(node.staging, ignore_errors=True, dir_fd=fd)
        for name, inner in node.folders.items():
            if inner.there:
                with contextlib.suppress(OSError), _opened(name, fd, _LOOK) as below:
                    self._undo(inner, below)


@contextlib.contextmanager
def _opened(name: bytes, folder: int, flags: int = _OPEN) -> Iterator[int]:
    fd = os.open(name, flags, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)

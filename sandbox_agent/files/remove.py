"""Removing trees, by descriptors: no link in them is followed, whatever is swapped meanwhile. Blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from dataclasses import dataclass

_DEPTH = 64
"""Folders held open at once; what lies deeper is first moved up."""
_TRIES = 10


@dataclass(slots=True)
class _Level:
    fd: int
    name: str
    folders: list[str]
    tries: int = 0


def remove(folder: int, name: str, *, recursive: bool) -> None:
    """Remove what ``name`` is in ``folder``; a link itself. Raises ``OSError``: ``ENOTEMPTY`` unless ``recursive``."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError as error:
        # POSIX says EPERM for a folder, Linux EISDIR.
        if error.errno not in {errno.EISDIR, errno.EPERM} or not _is_folder(folder, name):
            raise
    else:
        return
    if recursive:
        _remove_tree(folder, name)
    else:
        os.rmdir(name, dir_fd=folder)


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _open(folder: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def _remove_tree(folder: int, name: str) -> None:
    way: list[_Level] = []
    try:
        way.append(_enter(folder, name))
        while way:
            level = way[-1]
            above = way[-2].fd if len(way) > 1 else folder
            if not level.folders:
                _leave(level, above)
                if not level.folders:
                    os.close(way.pop().fd)
            elif len(way) < _DEPTH:
                way.extend(_descend(level.fd, level.folders.pop()))
            else:
                _move_up(level, way[0])
    finally:
        for level in way:
            os.close(level.fd)


def _enter(folder: int, name: str) -> _Level:
    fd = _open(folder, name)
    try:
        return _Level(fd, name, _unlink_files(fd))
    except BaseException:
        os.close(fd)
        raise


def _descend(folder: int, name: str) -> list[_Level]:
    """The folder entered; nothing when it has gone, or is no folder any more."""
    try:
        return [_enter(folder, name)]
    except FileNotFoundError:
        return []
    except NotADirectoryError:  # a link in its place, too
        _unlink(folder, name)
        return []


def _unlink_files(fd: int) -> list[str]:
    """Remove all but the folders, whose names are told."""
    folders: list[str] = []
    with os.scandir(fd) as listed:
        for item in listed:
            if item.is_dir(follow_symlinks=False):
                folders.append(item.name)
            else:
                _unlink(fd, item.name)
    return folders


def _unlink(fd: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=fd)


def _leave(level: _Level, above: int) -> None:
    """Remove an emptied folder; where somebody put something in meanwhile, it is emptied again."""
    try:
        os.rmdir(level.name, dir_fd=above)
    except FileNotFoundError:
        return
    except OSError as error:
        level.tries += 1
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or level.tries > _TRIES:
            raise
        level.folders = _unlink_files(level.fd)
        if not level.folders:
            _leave(level, above)


def _move_up(level: _Level, top: _Level) -> None:
    """Bring the folders of a deep one to the top, so that depth costs no descriptors."""
    for name in level.folders:
        moved = secrets.token_hex(16)
        os.rename(name, moved, src_dir_fd=level.fd, dst_dir_fd=top.fd)
        top.folders.append(moved)
    level.folders = []

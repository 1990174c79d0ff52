"""Moving: within a file system in one step, between two by a copy that is swapped in. Blocks.

Nothing is deleted before what takes its place is there (R32).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING, TypeAlias

from sandbox_agent.files.copy import copy
from sandbox_agent.files.remove import remove
from sandbox_agent.files.rename import exchange, rename, rename_new
from sandbox_agent.files.root import split
from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from sandbox_agent.files.root import Root

Place: TypeAlias = tuple[int, str]
"""A folder's descriptor and a name in it."""

_PREFIX = ".sandbox-agent-"


def aside_name() -> str:
    """A name that nothing else has, for what is made or kept beside its place for a moment."""
    return f"{_PREFIX}{secrets.token_hex(8)}.tmp"


def move(root: Root, source: str, target: str, *, overwrite: bool) -> None:
    """Give what ``source`` names the name ``target``; folders above it are made.

    A link is moved itself. Onto itself is nothing. Raises ``InvalidRequest`` for a folder into its own child, or onto
    a folder it is in, and ``OSError``: ``EEXIST`` for a name that is taken unless ``overwrite``.
    """
    with root.parent(source) as there:
        moved = _status(there)
        if moved is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        if stat.S_ISDIR(moved.st_mode):
            _refuse_own_child(root, moved, source, target)
        with root.parent(target, make=True) as here:
            taken = _status(here)
            if _same_place(there, here):
                return
            if taken is None or not overwrite:
                _place(there, here)
            else:
                _refuse_own_folder(there, taken, source, target)
                _replace(there, here, moved, taken)


def _status(place: Place) -> os.stat_result | None:
    try:
        return os.stat(place[1], dir_fd=place[0], follow_symlinks=False)
    except FileNotFoundError:
        return None


def _same_place(one: Place, other: Place) -> bool:
    return one[1] == other[1] and os.path.samestat(os.fstat(one[0]), os.fstat(other[0]))


def _above(fd: int, sought: os.stat_result) -> bool:
    """Whether the folder ``fd`` is, or lies in, the sought one, as far up as we may look."""
    fd = os.dup(fd)
    try:
        status = os.fstat(fd)
        while not os.path.samestat(status, sought):
            up = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd, below, status = up, status, os.fstat(up)
            if os.path.samestat(status, below):
                return False
    except PermissionError:
        return False
    finally:
        os.close(fd)
    return True


def _refuse_own_child(root: Root, moved: os.stat_result, source: str, target: str) -> None:
    """Before any folder is made for it."""
    head = split(target)[0]
    while True:
        try:
            fd = root.open(head, os.O_PATH | os.O_DIRECTORY)
            break
        except FileNotFoundError:
            head = split(head)[0]
    try:
        inside = _above(fd, moved)
    finally:
        os.close(fd)
    if inside:
        raise InvalidRequest(
            f"{source} cannot be moved into itself: {target}", code="into_itself", path=source, target=target
        )


def _refuse_own_folder(there: Place, taken: os.stat_result, source: str, target: str) -> None:
    if stat.S_ISDIR(taken.st_mode) and _above(there[0], taken):
        raise InvalidRequest(
            f"{target} holds {source}, and would be deleted with it", code="onto_parent", path=source, target=target
        )


def _place(there: Place, here: Place) -> None:
    """Move to a name that must be free."""
    try:
        rename_new(there, here)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        aside = (here[0], aside_name())
        _copied(there, aside)
        try:
            rename_new(aside, here)
        except OSError:
            remove(*aside, recursive=True)
            raise
        remove(*there, recursive=True)


def _replace(there: Place, here: Place, moved: os.stat_result, taken: os.stat_result) -> None:
    """Move to a name that is taken; what has it is removed once the other is there."""
    if moved.st_dev != taken.st_dev or not _replaced_at_once(there, here, moved, taken):
        aside = (here[0], aside_name())
        _copied(there, aside)
        _swap_in(aside, here)
        remove(*there, recursive=True)


def _replaced_at_once(there: Place, here: Place, moved: os.stat_result, taken: os.stat_result) -> bool:
    """False where the two are on different file systems: mounts need not differ in their device."""
    try:
        if os.path.samestat(moved, taken):  # two names of one file: POSIX says that renaming does nothing
            os.unlink(there[1], dir_fd=there[0])
        elif stat.S_ISDIR(moved.st_mode) or stat.S_ISDIR(taken.st_mode):
            _swap_in(there, here)
        else:
            rename(there, here)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _swap_in(new: Place, here: Place) -> None:
    """Put ``new`` in the place of what is there, then remove that."""
    if exchange(new, here):
        remove(*new, recursive=True)
        return
    old = (here[0], aside_name())
    rename(here, old)
    try:
        rename(new, here)
    except OSError:
        rename(old, here)
        raise
    remove(*old, recursive=True)


def _copied(there: Place, aside: Place) -> None:
    """Copy, wholly or not at all."""
    try:
        copy(there, aside)
    except OSError:
        if _status(aside) is not None:
            remove(*aside, recursive=True)
        raise

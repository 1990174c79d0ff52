"""renameat2(2): renaming without replacing, and exchanging two names in one step. Blocks."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NOREPLACE = 1
_EXCHANGE = 2
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP})
"""What a system, or a file system, answers that does not know the flags."""


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2  # glibc 2.28, musl 1.2.6
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function


def _call(source: tuple[int, str], target: tuple[int, str], flags: int) -> bool:
    """False where it cannot be done this way. Raises ``OSError``."""
    function = _renameat2()
    if function is None:
        return False
    if function(source[0], os.fsencode(source[1]), target[0], os.fsencode(target[1]), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), target[1])


def rename(source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename, replacing what can be replaced by it: a file by a file, an empty folder by a folder."""
    os.rename(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0])


def rename_new(source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename to a name that must be free. Raises ``FileExistsError``."""
    if _call(source, target, _NOREPLACE):
        return
    try:
        os.stat(target[1], dir_fd=target[0], follow_symlinks=False)
    except FileNotFoundError:
        rename(source, target)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target[1])


def exchange(source: tuple[int, str], target: tuple[int, str]) -> bool:
    """Let two names change places in one step; false where the file system cannot."""
    return _call(source, target, _EXCHANGE)

"""What the system says about a path, as problems. Pure.

Each has ``path``, and ``code``, which says more than the type does: most of them are requests that are invalid.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from sandbox_agent.files.beneath import OutsideRoot
from sandbox_agent.problems import Conflict, FileFault, InvalidRequest, NoSpace, NotFound, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.problems import Problem


class _Fault(NamedTuple):
    kind: type[Problem]
    code: str
    text: str
    hint: str | None = None


_DENIED = _Fault(PermissionDenied, "no_permission", "no permission for")
_FULL = _Fault(NoSpace, "no_space", "no space is left for", "free some space: `df -h` tells where it is short")
_UNSUITED = _Fault(InvalidRequest, "unsupported", "this cannot be done with")

_FAULTS: Mapping[int, _Fault] = {
    errno.ENOENT: _Fault(NotFound, "not_found", "path not found:"),
    errno.ENOTDIR: _Fault(InvalidRequest, "not_a_directory", "a part of the path is not a directory:"),
    errno.EISDIR: _Fault(InvalidRequest, "is_directory", "path is a directory:"),
    errno.ENOTEMPTY: _Fault(
        InvalidRequest, "not_empty", "directory is not empty:", "give `recursive=true` to delete all that is in it"
    ),
    errno.EEXIST: _Fault(InvalidRequest, "exists", "path exists:"),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: _Fault(PermissionDenied, "read_only", "the file system is read-only:"),
    errno.ENAMETOOLONG: _Fault(InvalidRequest, "name_too_long", "the path, or a name in it, is too long:"),
    errno.ELOOP: _Fault(InvalidRequest, "link_loop", "too many symbolic links, or a loop of them:"),
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _Fault(NoSpace, "file_too_large", "the file system takes no file as large as"),
    errno.EBUSY: _Fault(Conflict, "busy", "path is in use by the system:"),
    errno.ETXTBSY: _Fault(Conflict, "busy", "the program is running:"),
    errno.EINVAL: _UNSUITED,
    errno.EOPNOTSUPP: _UNSUITED,
    errno.ENXIO: _UNSUITED,
    errno.ENODEV: _UNSUITED,
    errno.EILSEQ: _Fault(InvalidRequest, "invalid_path", "the file system takes no such name:"),
    errno.EMFILE: _Fault(FileFault, "too_many_open", "too many files are open for", "raise the limit with `ulimit -n`"),
    errno.ENFILE: _Fault(FileFault, "too_many_open", "too many files are open for"),
}


def problem_of(error: OSError, path: str) -> Problem:
    """The problem with ``path``, or with the path that the system named, as a client is told it."""
    named = error.filename
    if isinstance(named, str) and named.startswith("/") and not named.startswith("/proc/self/fd/"):
        path = named
    if isinstance(error, OutsideRoot):
        return PermissionDenied(f"path is outside of the root: {path}", code="outside_root", path=path)
    fault = _FAULTS.get(error.errno or 0)
    if fault is None:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return FileFault(f"{reason}: {path}", code="failed", path=path)
    detail = error.strerror if error.errno in {errno.EINVAL, errno.EBUSY} and error.filename else ""
    detail = f" ({detail})" if detail and detail != os.strerror(error.errno or 0) else ""
    return fault.kind(f"{fault.text} {path}{detail}", hint=fault.hint, code=fault.code, path=path)


def not_a_file(path: str) -> Problem:
    return InvalidRequest(f"path is not a file: {path}", code="not_a_file", path=path)


def is_directory(path: str) -> Problem:
    return InvalidRequest(f"path is not a file but a directory: {path}", code="is_directory", path=path)


def not_a_directory(path: str) -> Problem:
    return InvalidRequest(f"path is not a directory: {path}", code="not_a_directory", path=path)

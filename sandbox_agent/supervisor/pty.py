"""Starting a program on a terminal of its own (pty(7)).

A session leader without a terminal gets the first one that it opens (credentials(7)), so the child has to open it
between its ``setsid`` and its ``exec``. ``posix_spawn`` of the C library does that, and without a copy of the
server's memory, which running Python in a forked child would need; `os.posix_spawn` knows no working directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.supervisor.pipes import PipeReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80  # spawn.h of glibc and musl
_ROOM = 1024  # bytes, more than either library's attributes, actions and signal sets have
_READ = 4096  # a terminal gives no more at once
_MOST = 1 << 16


@dataclass(frozen=True, slots=True)
class Size:
    """A terminal's, in characters."""

    cols: int = 80
    rows: int = 24


@dataclass(slots=True)
class Spawned:
    """A child as `subprocess.Popen` would tell of it."""

    pid: int
    returncode: int | None = None


def open_terminal(size: Size) -> tuple[int, int]:
    """A new terminal: our end, which does not block, and the one of programs. Raises OSError when there are no more."""
    ours, theirs = os.openpty()
    resize(theirs, size)
    os.set_blocking(ours, False)
    return ours, theirs


def resize(fd: int, size: Size) -> None:
    """Programs in the foreground learn of it by SIGWINCH."""
    termios.tcsetwinsize(fd, (size.rows, size.cols))


def spawn(argv: Sequence[str], terminal: int, env: Mapping[str, str], cwd: str | None) -> Spawned:
    """Start ``argv`` as leader of a new session on ``terminal``. Raises OSError, of the file that is at fault."""
    if cwd is not None:
        os.close(os.open(cwd, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        if not os.access(cwd, os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), cwd)
    missed = OSError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    with _attributes() as attributes, _actions(os.ttyname(terminal), cwd) as actions:
        for path in _candidates(argv[0], env):
            number = ctypes.c_int()
            error = _libc.posix_spawn(
                ctypes.byref(number), os.fsencode(path), actions, attributes, _strings(argv), _strings(_pairs(env))
            )
            if not error:
                return Spawned(number.value)
            if error not in {errno.ENOENT, errno.ENOTDIR}:
                missed = OSError(error, os.strerror(error), path)
    raise missed


def _candidates(program: str, env: Mapping[str, str]) -> Iterator[str]:
    """Files that may be the program, as execvp(3) looks for them."""
    if "/" in program:
        yield program
        return
    for folder in os.get_exec_path(dict(env)):
        path = os.path.join(folder, program)  # noqa: PTH118 - cheap, there are many
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - as above
                yield path


def _pairs(env: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in env.items()]


def _strings(values: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(value) for value in values]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


@contextlib.contextmanager
def _attributes() -> Iterator[ctypes.Array[ctypes.c_char]]:
    """A session of its own, no signal blocked, none ignored: whoever started us in the background ignores SIGINT."""
    attributes, signals = ctypes.create_string_buffer(_ROOM), ctypes.create_string_buffer(_ROOM)
    _check(_libc.posix_spawnattr_init(attributes))
    try:
        _libc.posix_spawnattr_setflags(attributes, ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID))
        _libc.sigemptyset(signals)
        _check(_libc.posix_spawnattr_setsigmask(attributes, signals))
        _libc.sigfillset(signals)
        _check(_libc.posix_spawnattr_setsigdefault(attributes, signals))
        yield attributes
    finally:
        _libc.posix_spawnattr_destroy(attributes)


@contextlib.contextmanager
def _actions(terminal: str, cwd: str | None) -> Iterator[ctypes.Array[ctypes.c_char]]:
    """The terminal as standard input, output and error, nothing else open, and the working directory."""
    actions = ctypes.create_string_buffer(_ROOM)
    _check(_libc.posix_spawn_file_actions_init(actions))
    try:
        _check(_libc.posix_spawn_file_actions_addopen(actions, 0, os.fsencode(terminal), os.O_RDWR, 0))
        for fd in (1, 2):
            _check(_libc.posix_spawn_file_actions_adddup2(actions, 0, fd))
        if hasattr(_libc, "posix_spawn_file_actions_addclosefrom_np"):  # else what is not ours to close may be kept
            _check(_libc.posix_spawn_file_actions_addclosefrom_np(actions, 3))
        if cwd is not None:
            _check(_libc.posix_spawn_file_actions_addchdir_np(actions, os.fsencode(cwd)))
        yield actions
    finally:
        _libc.posix_spawn_file_actions_destroy(actions)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))


_libc = ctypes.CDLL(None)


class TerminalReader(PipeReader):
    """Reads a terminal's output. It comes in small pieces, so what is there at once is handed on as one."""

    def _read(self) -> bool:
        pieces: list[bytes] = []
        size = 0
        ended = False
        while size < _MOST:
            try:
                piece = os.read(self._fd, _READ)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:  # no program has the terminal open any more
                    raise
                ended = True
                break
            pieces.append(piece)
            size += len(piece)
            if len(piece) < _READ // 2:
                break  # that was all: a keystroke's echo is not worth another call
        if pieces:
            self.taken += size
            self._on_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self.close()
            if self._on_eof is not None:
                self._on_eof()
        return size > 0

    def drain(self, most: int | None = None) -> bool:  # noqa: ARG002 - nobody writes on once its session has ended
        """Take what is there. How much that is the system does not say before it is asked for it."""
        return super().drain()

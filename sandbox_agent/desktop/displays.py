"""Claims display numbers by their lock files, as X servers do (xorg-server, os/utils.c, LockServer).

A server that is asked to tell when it is ready (``-displayfd``) makes no lock of its own, so this is done for it;
whoever looks for a free display meanwhile finds this one taken.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from pathlib import Path

_TMP = Path("/tmp")  # noqa: S108 - fixed by the X server
_ATTEMPTS = 3


def lock_path(display: int) -> Path:
    return _TMP / f".X{display}-lock"


def socket_path(display: int) -> Path:
    return _TMP / ".X11-unix" / f"X{display}"


def claim(display: int) -> str | None:
    """Lock a display for this process. Why it cannot be had, or None: then it is ours until `release`.

    A lock whose process is dead is taken over; what somebody answers on is left alone, lock or not.
    """
    path = str(socket_path(display))
    if _answers(path) or _answers("\0" + path):
        return "a server answers on it"
    lock = lock_path(display)
    try:
        for _ in range(_ATTEMPTS):
            if _create(lock, os.getpid()):
                return None
            holder = _holder(lock)
            if holder is not None and _lives(holder):
                return f"process {holder} holds its lock"
            _remove_stale(lock)
    except OSError as error:
        return f"its lock {lock} cannot be had: {error.strerror or error}"
    return f"its lock {lock} changes all the time"


def hand_over(display: int, pid: int) -> None:
    """Name the server itself in the lock: with its death the lock is stale, whoever is there to remove it."""
    lock = lock_path(display)
    made = _write_aside(lock, pid)
    made.replace(lock)


def release(display: int, *pids: int | None) -> None:
    """Remove the lock if it names one of ``pids`` or this process, and the socket that a killed server left."""
    lock = lock_path(display)
    with contextlib.suppress(OSError):
        if _holder(lock) in {os.getpid(), *pids}:
            if not _answers(str(socket_path(display))):
                socket_path(display).unlink(missing_ok=True)
            lock.unlink()


def _create(lock: Path, pid: int) -> bool:
    """Make the lock whole, or not at all."""
    made = _write_aside(lock, pid)
    try:
        os.link(made, lock)
    except FileExistsError:
        return False
    finally:
        made.unlink()
    return True


def _write_aside(lock: Path, pid: int) -> Path:
    made = lock.with_name(f"{lock.name}.{secrets.token_hex(8)}")
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    with os.fdopen(fd, "wb") as file:
        file.write(b"%10d\n" % pid)
    return made


def _holder(lock: Path) -> int | None:
    """The process a lock names; None where it names none, or there is no lock."""
    try:
        text = lock.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdecimal() and text.isascii() else None


def _remove_stale(lock: Path) -> None:
    """Remove a dead process's lock, and put it back where it was somebody's new one after all."""
    aside = lock.with_name(f"{lock.name}.{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):
        lock.rename(aside)
        holder = _holder(aside)
        if holder is not None and _lives(holder):
            with contextlib.suppress(FileExistsError):
                os.link(aside, lock)
        aside.unlink()


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except BlockingIOError:
            return True  # its backlog is full: somebody listens, or should
        except OSError:
            return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0

"""Which display numbers are free: locks and sockets, live and stale (xorg-server, os/utils.c, LockServer)."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

LOCKS = Path("/tmp")  # noqa: S108 - fixed by the X server
SOCKETS = LOCKS / ".X11-unix"


def lock_path(display: int) -> Path:
    return LOCKS / f".X{display}-lock"


def socket_path(display: int) -> Path:
    return SOCKETS / f"X{display}"


def taken(display: int) -> str | None:
    """Why no server can be started on a display, or None.

    A lock whose process is dead and a socket that nobody listens on are stale: the X server removes both, where it
    may. What somebody answers on is taken, lock or not.
    """
    path = str(socket_path(display))
    if _answers(path) or _answers("\0" + path):
        return "a server answers on it"
    lock = lock_path(display)
    try:
        holder = lock.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        return f"its lock {lock} cannot be read: {error}"
    if not holder.isdigit():
        return None if os.access(lock, os.W_OK) else f"its lock {lock} is not ours"
    if _lives(int(holder)):
        return f"process {holder} holds its lock {lock}"
    return None


def clear(display: int, pid: int) -> None:
    """Remove what a server that was killed left of itself: its lock, and the socket that came with it."""
    lock = lock_path(display)
    with contextlib.suppress(OSError, ValueError):
        if int(lock.read_text()) == pid:
            socket_path(display).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except BlockingIOError:
            return True  # its backlog is full: somebody listens, or did not care to
        except OSError:
            return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

"""Telling other programs of this user that a server runs: `<data dir>/servers/<pid>.json`.

The file holds ``url``, ``pid``, ``version`` and, where the server has one, ``token``; it is readable by its owner only
and goes when the server does.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent import __version__
from sandbox_agent.server.settings import private_dir

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "servers"


def announce(data_dir: Path, url: str, token: str | None) -> Path:
    """Write the file, whole or not at all. Raises ``OSError``."""
    folder = private_dir(data_dir / FOLDER)
    _forget_the_dead(folder)
    document = {"url": url, "pid": os.getpid(), "version": __version__, "token": token}
    path = folder / f"{os.getpid()}.json"
    draft = path.with_suffix(".tmp")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.encode({key: value for key, value in document.items() if value is not None}))
    draft.replace(path)
    return path


def withdraw(path: Path) -> None:
    path.unlink(missing_ok=True)


def _forget_the_dead(folder: Path) -> None:
    """Remove what servers that were killed left behind."""
    for path in folder.glob("*.json"):
        if path.stem.isdigit() and not _alive(int(path.stem)):
            with contextlib.suppress(OSError):
                path.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

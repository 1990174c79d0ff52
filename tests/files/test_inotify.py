"""inotify as the kernel gives it."""

from __future__ import annotations

import os
import select
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files import inotify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def descriptor(path: Path | None = None) -> Iterator[int]:
    fd = inotify.create() if path is None else os.open(path, os.O_PATH)
    try:
        yield fd
    finally:
        os.close(fd)


def test_records_tell_what_happened_to_which_name(tmp_path: Path) -> None:
    with descriptor() as fd, descriptor(tmp_path) as folder:
        watch = inotify.add(fd, folder, inotify.CREATE | inotify.DELETE)
        assert inotify.add(fd, folder, inotify.CREATE | inotify.DELETE) == watch
        assert inotify.read(fd) == []
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").unlink()
        select.select([fd], [], [], 60)
        assert inotify.read(fd) == [
            (watch, inotify.CREATE, b"file"),
            (watch, inotify.CREATE | inotify.ISDIR, b"folder"),
            (watch, inotify.DELETE, b"file"),
        ]
        inotify.remove(fd, watch)
        select.select([fd], [], [], 60)
        assert inotify.read(fd) == [(watch, inotify.IGNORED, b"")]
        inotify.remove(fd, watch)


def test_what_cannot_be_watched_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with descriptor() as fd, descriptor(tmp_path / "file") as file, pytest.raises(NotADirectoryError):
        inotify.add(fd, file, inotify.CREATE | inotify.ONLYDIR)

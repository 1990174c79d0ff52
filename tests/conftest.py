"""Fixtures for all tests: the real server, running."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from .support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .support.server import Server

# A shell starts what runs in its background with interrupts ignored, and those that it starts would ignore them too.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def running_server(tmp_path: Path) -> Iterator[Server]:
    """A server without a token, its data and home below ``tmp_path``."""
    with serve(tmp_path / "server") as server:
        yield server


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module that leave nothing behind which others could trip over."""
    with serve(tmp_path_factory.mktemp("server")) as server:
        yield server

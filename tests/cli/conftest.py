"""The command, for a user with nothing but one running server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..support.command import Command

if TYPE_CHECKING:
    from pathlib import Path

    from ..support.server import Server


@pytest.fixture
def command(module_server: Server, tmp_path: Path) -> Command:
    return Command(tmp_path / "home", module_server)


@pytest.fixture
def session(command: Command) -> str:
    """The id of a new session with the mock agent."""
    return command("api", "sessions", "create", "mock", "--quiet").stdout.strip()

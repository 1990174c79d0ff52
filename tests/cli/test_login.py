"""`sandbox-agent login`, in a real terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.cli.exits import Exit

from ..support.command import Command
from ..support.login import server_with_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_with_lock(tmp_path_factory.mktemp("lock")) as server:
        yield server


@pytest.fixture
def command(server: Server, tmp_path: Path) -> Command:
    command = Command(tmp_path / "home", server)
    command.home.mkdir()
    return command


def processes(command: Command) -> list[object]:
    assert command.server is not None
    with command.server.client() as client:
        told: list[object] = client.get("/v1/processes").json()["processes"]
        return told


@pytest.mark.parametrize(("name", "status"), [("Ada", 0), ("Bob", 3)])
def test_a_person_logs_in_and_the_exit_code_is_the_programs(command: Command, name: str, status: int) -> None:
    with command.terminal("login", "lock") as terminal:
        terminal.expect("? ")
        terminal.type(f"{name}\r")
        terminal.expect(f"welcome {name}")
        assert terminal.wait() == status
    assert processes(command) == []


def test_leaving_ends_the_login(command: Command) -> None:
    with command.terminal("login", "lock", "--method", "shell") as terminal:
        terminal.expect("? ")
        terminal.type("\x10\x11")
        terminal.expect("left, and ended")
        assert terminal.wait() == Exit.INTERRUPTED
    assert processes(command) == []


def test_an_agent_without_such_a_way_says_what_else_to_do(command: Command) -> None:
    told = command("login", "lock", "--method", "browser", status=1).stderr
    assert "it offers shell" in told

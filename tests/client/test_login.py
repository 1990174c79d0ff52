"""Logging in to an agent through both SDKs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import InvalidRequest, UnsupportedAgent

from ..support.login import server_with_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..support.server import Server

DEADLINE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_with_lock(tmp_path_factory.mktemp("lock")) as server:
        yield server


@pytest.fixture
def lock(connect: Callable[..., Any], server: Server) -> Any:
    return connect(server.url)


def test_a_login_is_a_terminal_of_the_agents_own_program(lock: Any) -> None:
    with lock.login("lock", cols=91, rows=33) as terminal:
        terminal.read_until("name on 91x33? ", DEADLINE)
        terminal.send("Ada\r")
        assert terminal.read_until("welcome Ada\r\n", DEADLINE)
        assert lock.processes.get(terminal.id).wait(DEADLINE).exit_code == 0
    assert not list(lock.processes.list())


def test_a_login_that_is_left_is_ended(lock: Any) -> None:
    with lock.login("lock", method="shell") as terminal:
        terminal.read_until("name on 80x24? ", DEADLINE)
    assert not list(lock.processes.list())


def test_who_cannot_log_in_that_way_is_told_how_else(lock: Any) -> None:
    with pytest.raises(InvalidRequest, match="called 'browser'") as caught:
        lock.login("lock", method="browser")
    assert caught.value.hint == "it offers shell"
    with pytest.raises(InvalidRequest, match="no way to log in"):
        lock.login("mock")
    with pytest.raises(UnsupportedAgent):
        lock.login("nobody")

"""Both SDKs as fixtures, on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import AsyncSandboxAgent, SandboxAgent

from .twins import Blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..support.server import Server

Connect = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of either SDK, which have the same surface here; they are closed in the end."""
    opened: list[Any] = []
    with asyncio.Runner() as runner:

        def make(*args: Any, **kwargs: Any) -> Any:
            if request.param == "sync":
                client: Any = SandboxAgent.connect(*args, **kwargs)
            else:
                client = Blocking(runner.run(AsyncSandboxAgent.connect(*args, **kwargs)), runner)
            opened.append(client)
            return client

        yield make
        for client in opened:
            client.close()


@pytest.fixture
def agent(connect: Connect, module_server: Server) -> Any:
    """A client of a server that the module's tests share."""
    return connect(module_server.url)


@pytest.fixture
def session(agent: Any, tmp_path: Any) -> Iterator[Any]:
    """A session with the mock agent in an empty folder."""
    session = agent.create_session("mock", cwd=tmp_path)
    yield session
    session.destroy()

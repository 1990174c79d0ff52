"""A stream and other descriptors, waited for together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.cli.live.pump import Pump
from sandbox_agent.client import SandboxAgent
from sandbox_agent.problems import SessionNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox_agent.client import Session

    from ...support.server import Server


@pytest.fixture
def live(module_server: Server, tmp_path: Path) -> Iterator[Session]:
    with SandboxAgent.connect(module_server.url) as client:
        yield client.create_session("mock", cwd=tmp_path)


def drain(pump: Pump[Any]) -> list[Any]:
    values: list[Any] = []
    while not pump.ended:
        pump.wait(60)
        values += pump.take()
    return values


def test_every_value_comes_in_order_until_the_end(live: Session) -> None:
    handle = live.prompt("[[burst count=500 size=200]]", wait=False)
    with Pump(handle.events()) as pump:
        numbers = [event.sequence for event in drain(pump)]
    assert len(numbers) > 500
    assert numbers == sorted(set(numbers))


def test_other_descriptors_wake_it_too(live: Session) -> None:
    readable, writable = os.pipe()
    live.prompt("[[say x]]")  # what the agent says of itself comes before
    with Pump(live.events(after=None)) as pump:
        assert pump.wait(0.01, readable) == []
        assert pump.take() == []
        os.write(writable, b"x")
        assert pump.wait(60, readable) == [readable]
    for descriptor in (readable, writable):
        os.close(descriptor)


def test_closing_ends_it_while_it_waits(live: Session) -> None:
    pump = Pump(live.events(after=None))
    pump.close()
    assert not pump._thread.is_alive()


def test_what_ended_the_stream_is_raised(live: Session) -> None:
    live.destroy()
    with Pump(live.events()) as pump, pytest.raises(SessionNotFound):
        drain(pump)

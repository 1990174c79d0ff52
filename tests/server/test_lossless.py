"""Nothing is lost or doubled between an agent and its readers (R4, R5, R6, R11), at the scale the product promises.

`SANDBOX_AGENT_TEST_SCALE` lengthens the runs (1 is the promise itself: 50,000 events, 1,000,000 events, 20 kills).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import psutil
import pytest

from ..support import sse
from ..support.server import envelope, initialize, new_acp_session, prompt_params, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server

ACP = "/v1/acp/a"
SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))
EVENTS = int(50_000 * SCALE)
MANY = int(1_000_000 * SCALE)
KILLS = int(20 * SCALE)
MIB = 1 << 20


def burst(client: httpx2.Client, cwd: Path, count: int, *, wait: int = 0) -> None:
    """Have a new agent on the server id ``a`` write ``count`` updates of 200 bytes."""
    initialize(client, "a")
    session = new_acp_session(client, "a", cwd)
    body = envelope("last", "session/prompt", prompt_params(session, f"[[burst count={count} size=200]]"))
    client.post(ACP, json=body, headers={"Prefer": f"wait={wait}"})


def is_last(event: sse.Event) -> bool:
    return b'"id":"last"' in event.data or b'"id": "last"' in event.data


def read_with_cuts(server: Server, seed: int, pause: float) -> list[sse.Event]:
    """Read to the last event over a connection that is cut at random and resumed each time; slowly, with a pause."""
    choice = random.Random(seed)  # noqa: S311 - not for secrets
    found: list[sse.Event] = []
    with server.client() as client:
        while not (found and is_last(found[-1])):
            stop = choice.randint(1, 4 * MIB)
            received = 0
            buffer = b""
            with sse.opened(client, ACP, found[-1].id if found else None) as response:
                for chunk in response.iter_raw():
                    *whole, buffer = (buffer + chunk).split(b"\n\n")
                    found += [event for event in map(sse.parse, whole) if event.name == "message"]
                    received += len(chunk)
                    if received >= stop or (found and is_last(found[-1])):
                        break
                    time.sleep(pause)
    return found


@pytest.mark.slow
def test_a_fast_and_a_slow_reader_cut_at_random_get_every_event_once(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client, ThreadPoolExecutor(2) as readers:
        initialize(client, "a")
        fast = readers.submit(read_with_cuts, running_server, 1, 0.0)
        slow = readers.submit(read_with_cuts, running_server, 2, 0.001)
        burst(client, tmp_path, EVENTS)
        whole = fast.result(100)
        assert [event.id for event in whole] == list(range(1, len(whole) + 1))
        counters = [event.data for event in whole if b"agent_message_chunk" in event.data]
        assert len(counters) == EVENTS
        assert all(b"%08d" % number in line for number, line in enumerate(counters))
        assert slow.result(100) == whole


def counted(server: Server) -> Iterator[tuple[int, int]]:
    """Of a stream from its start: how many events each read completed, and the server's memory in bytes."""
    process = psutil.Process(server.process.pid)
    with server.client() as client, sse.opened(client, ACP, after=0) as response:
        tail = b""
        for chunk in response.iter_raw():
            yield (tail[-1:] + chunk).count(b"\n\n"), process.memory_info().rss
            tail = chunk
            if b'"id":"last"' in chunk or b'"id": "last"' in chunk:
                return


@pytest.mark.slow
def test_a_million_events_leave_memory_flat(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        initialize(client, "a")
        before = psutil.Process(running_server.process.pid).memory_info().rss
        writer = threading.Thread(target=burst, args=(client, tmp_path, MANY))
        writer.start()
        seen = list(counted(running_server))
        writer.join(60)
    assert sum(count for count, _ in seen) >= MANY
    assert max(memory for _, memory in seen) - before < 160 * MIB, "200 MB of events went through"


@pytest.mark.slow
def test_a_server_killed_in_mid_stream_loses_and_doubles_nothing_that_was_seen(tmp_path: Path) -> None:
    """Each life of the server is killed while a reader reads; the next has all of it, same numbers, same bytes."""
    home = tmp_path / "home"
    seen: list[sse.Event] = []
    server = start(home)
    choice = random.Random(7)  # noqa: S311
    try:
        for _ in range(KILLS):
            with server.client() as client, ThreadPoolExecutor(1) as killer:
                burst(client, tmp_path, 20_000)
                enough = len(seen) + choice.randint(100, 4_000)
                with sse.opened(client, ACP, seen[-1].id if seen else None) as response:
                    stream = sse.events(response)
                    seen += itertools.islice(stream, enough - len(seen))
                    killer.submit(server.stop, signal.SIGKILL)
                    with contextlib.suppress(httpx2.TransportError):
                        seen += stream
            server = start(home, port=server.port)
        numbers = [event.id or 0 for event in seen]
        assert numbers == sorted(set(numbers)), "no number twice"
        with server.client() as client:
            kept = sse.collect(client, ACP, lambda event: event.id == numbers[-1])
        by_id = {event.id: event for event in kept}
        assert [by_id.get(event.id) for event in seen] == seen
        first = numbers[0]
        assert numbers == [event.id for event in kept if first <= (event.id or 0) <= numbers[-1]], "and none left out"
    finally:
        server.stop(signal.SIGKILL)

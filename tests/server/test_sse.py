"""Event streams over the wire (R6): what is cut is resumed, what is gone is said, what is slow holds up nobody."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from tornado.iostream import IOStream

from sandbox_agent.journal import open_journals
from sandbox_agent.server.acp import raw_events
from sandbox_agent.server.sse import Outlet, Streams, unsent

from ..support import sse
from ..support.server import DEADLINE, PATIENT, envelope, initialize, new_acp_session, poll, prompt_params, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx2

    from sandbox_agent.journal import Journal

    from ..support.server import Server

ACP = "/v1/acp/a"


def talk(client: httpx2.Client, tmp_path: Path, text: str) -> list[sse.Event]:
    """Start an agent on the server id ``a``, give it one prompt; everything its stream holds then."""
    initialize(client, "a")
    session = new_acp_session(client, "a", tmp_path)
    prompt = envelope("last", "session/prompt", prompt_params(session, text))
    answer = client.post(ACP, json=prompt, headers=PATIENT)
    assert answer.status_code == 200
    return sse.collect(client, ACP, lambda event: event.json().get("id") == "last")


def test_a_stream_cut_anywhere_and_resumed_equals_the_journal(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        whole = talk(client, tmp_path, "[[burst count=12 size=300]]")
        assert [event.id for event in whole] == list(range(1, len(whole) + 1))
        sizes = [len(b"id: %d\nevent: message\ndata: %s\n\n" % (event.id, event.data)) for event in whole]
        boundaries = [sum(sizes[:count]) for count in range(1, len(sizes))]
        for size in sorted({*boundaries, *(b - 1 for b in boundaries), *(b + 7 for b in boundaries), 1}):
            before = sse.cut(client, ACP, size)
            after = before[-1].id if before else None
            rest = sse.collect(client, ACP, lambda event: event.id == whole[-1].id, after=after)
            assert before + rest == whole, f"cut after {size} bytes"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_journal_survives_a_restart_with_ids_and_bytes_and_goes_on(tmp_path: Path, number: int) -> None:
    with serve(tmp_path / "home") as server, server.client() as client:
        whole = talk(client, tmp_path, "[[burst count=20 size=500]]")
        server.stop(number)
    seen = [event for event in whole if event.id is not None]
    with serve(tmp_path / "home") as server, server.client() as client:
        assert client.get("/v1/acp").json() == {"servers": []}
        again = sse.collect(client, ACP, lambda event: event.id == seen[-1].id)
        assert again == seen
        assert sse.collect(client, ACP, lambda event: event.id == seen[-1].id, after=5) == seen[5:]
        initialize(client, "a")
        more = sse.collect(client, ACP, lambda event: event.json().get("id") == "init", after=seen[-1].id)
        assert more[-1].id is not None
        assert more[0].id == seen[-1].id + 1 or number == signal.SIGTERM  # the end of the first process may come first
        assert [event.id for event in more] == list(range(more[0].id or 0, more[-1].id + 1))


def test_a_cursor_past_retention_gets_a_reset_and_then_what_is_kept(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"server": {"retain_bytes": 100000}}')
    with serve(tmp_path / "home", "--config", str(config)) as server, server.client() as client:
        talk(client, tmp_path, "[[burst count=3000 size=200]]")

        def reset() -> list[sse.Event]:
            found = sse.collect(client, ACP, lambda event: event.json().get("id") == "last", after=1)
            return found if found[0].name == "reset" else []

        first, *rest = poll(reset, what="retention")
        told = first.json()
        assert told["after"] == 1
        assert told["first"] > 2
        assert first.id == told["first"] - 1
        assert [event.id for event in rest] == list(range(told["first"], told["first"] + len(rest)))
        kept = sse.collect(client, ACP, lambda event: event.json().get("id") == "last")
        assert kept[0].name == "message", "without a cursor everything kept is replayed, and nothing is missing"


def test_a_cursor_beyond_the_head_is_told_rather_than_waited_for(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        whole = talk(client, tmp_path, "hello [[say hi]]")
        told = sse.collect(client, ACP, lambda event: event.id == whole[-1].id, after=10_000)
        assert told[0].name == "reset"
        assert told[1:] == whole


def test_the_head_of_a_stream_comes_at_once_and_keeps_proxies_from_holding_it(
    running_server: Server, tmp_path: Path
) -> None:
    with running_server.client() as client:
        initialize(client, "a")
        with sse.opened(client, ACP, after=1) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["X-Accel-Buffering"] == "no"
            assert set(response.headers["Cache-Control"].split(", ")) == {"no-store", "no-transform"}
            assert "Content-Encoding" not in response.headers
        assert client.head(ACP, headers={"Accept": "text/event-stream"}).status_code == 200


def test_an_idle_stream_has_named_heartbeats_without_an_id(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"server": {"heartbeat_seconds": 0.05}}')
    with serve(tmp_path / "home", "--config", str(config)) as server, server.client() as client:
        initialize(client, "a")
        with sse.opened(client, ACP, after=1) as response:
            beats = [event for event, _ in zip(sse.events(response), range(3), strict=False)]
        assert {(event.id, event.name) for event in beats} == {(None, "heartbeat")}


def test_a_reader_that_reads_nothing_holds_up_nobody_and_still_gets_everything(
    running_server: Server, tmp_path: Path
) -> None:
    with running_server.client() as client:
        initialize(client, "a")
        session = new_acp_session(client, "a", tmp_path)
        with socket.create_connection(("127.0.0.1", running_server.port)) as slow:
            slow.sendall(b"GET /v1/acp/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            text = "[[burst count=20000 size=500]]"
            answer = client.post(ACP, json=envelope("last", "session/prompt", prompt_params(session, text)))
            assert answer.status_code == 200
            quick = sse.collect(client, ACP, lambda event: event.json().get("id") == "last")
            slow.settimeout(DEADLINE)
            received = bytearray()
            while b'"id":"last"' not in received[-2000:]:
                received += slow.recv(1 << 20)
        body = bytes(received).partition(b"\r\n\r\n")[2]
        assert [sse.parse(block) for block in body.split(b"\n\n")[:-1] if b"heartbeat" not in block] == quick


def test_a_client_that_goes_is_noticed(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client, running_server.client() as reader:
        initialize(client, "a")
        before = _sockets(running_server)
        with sse.opened(reader, ACP):
            poll(lambda: _sockets(running_server) > before, what="the stream's connection")
        poll(lambda: _sockets(running_server) <= before, what="the end of the stream's connection")


def _sockets(server: Server) -> int:
    import psutil  # noqa: PLC0415 - here alone

    return len(psutil.Process(server.process.pid).net_connections("tcp"))


def test_deleting_a_server_ends_its_streams_with_its_last_words(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        initialize(client, "a")
        with sse.opened(client, ACP) as response:
            assert client.delete(ACP).status_code == 204
            told = list(sse.events(response))
        assert told[-1].json()["method"] == "_adapter/agent_exited"


def test_session_events_stream_and_page_the_same_envelopes(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).json()
        path = f"/v1/sessions/{made['id']}"
        client.post(f"{path}/prompts", json={"prompt": "[[burst count=30 size=300]]"}, headers={"Prefer": "wait=50"})
        last = client.get(path).json()["lastSequence"]
        streamed = sse.collect(client, f"{path}/events", lambda event: event.id == last)
        paged: list[object] = []
        after = 0
        while True:
            page = client.get(f"{path}/events", params={"after": after, "limit": 7}).json()
            paged += page["items"]
            after = page["nextAfter"]
            if not page["hasMore"]:
                break
        assert [event.json() for event in streamed] == paged
        assert [event.id for event in streamed] == [item["sequence"] for item in paged] == list(range(1, last + 1))
        assert {item["sender"] for item in paged} == {"agent", "client", "server"}
        resumed = sse.collect(client, f"{path}/events", lambda event: event.id == last, after=last - 3)
        assert resumed == streamed[-3:]


def test_a_page_of_huge_events_ends_early_and_loses_none(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).json()
        path = f"/v1/sessions/{made['id']}"
        prompt = {"prompt": "[[burst count=30 size=1000000]]"}
        client.post(f"{path}/prompts", json=prompt, headers={"Prefer": "wait=50"})
        last = client.get(path).json()["lastSequence"]
        seen: list[int] = []
        while not seen or seen[-1] < last:
            page = client.get(f"{path}/events", params={"after": seen[-1] if seen else 0, "limit": 1000})
            assert len(page.content) < 12_000_000
            seen += [item["sequence"] for item in page.json()["items"]]
        assert seen == list(range(1, last + 1))


def test_an_empty_page_keeps_the_cursor_and_a_foreign_cursor_is_told(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).json()
        prompt = f"/v1/sessions/{made['id']}/prompts"
        client.post(prompt, json={"prompt": "[[say x]]"}, headers=PATIENT)  # what the agent says of itself comes before
        path = f"/v1/sessions/{made['id']}/events"
        last = client.get(path, params={"limit": 1000}).json()["nextAfter"]
        empty = client.get(path, params={"after": last}).json()
        assert empty == {"items": [], "nextAfter": last, "hasMore": False, "reset": False}
        foreign = client.get(path, params={"after": last + 1000}).json()
        assert foreign["reset"] is True
        assert foreign["items"][0]["sequence"] == 1


def test_a_transcript_streams_a_snapshot_then_upserts_that_add_up(running_server: Server, tmp_path: Path) -> None:
    with running_server.client() as client:
        made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).json()
        path = f"/v1/sessions/{made['id']}"
        client.post(f"{path}/prompts", json={"prompt": "[[say one]]"}, headers={"Prefer": "wait=50"})
        with sse.opened(client, f"{path}/transcript") as response:
            stream = sse.events(response)
            snapshot = next(stream)
            assert snapshot.name == "snapshot"
            items = {item["id"]: item for item in snapshot.json()["items"]}
            assert snapshot.id == snapshot.json()["sequence"]
            title = None
            client.post(
                f"{path}/prompts", json={"prompt": "[[title Named]] [[think two]] three"}, headers={"Prefer": "wait=50"}
            )
            last = client.get(path).json()["lastSequence"]
            for event in stream:
                if event.name == "heartbeat":
                    continue
                assert event.name == "upsert"
                assert event.json()["sequence"] == event.id
                items |= {item["id"]: item for item in event.json()["items"]}
                title = event.json().get("header", {}).get("title", title)
                if (event.id or 0) >= last:
                    break
        now = client.get(f"{path}/transcript").json()
        assert sorted(items.values(), key=lambda item: item["created"]) == now["items"]
        assert title == now["title"] == "Named"


@pytest.mark.parametrize(
    ("form", "media", "start"),
    [
        ("md", "text/markdown", ""),
        ("html", "text/html", "<"),
        ("text", "text/plain", ""),
        ("ipynb", "application/x-ipynb+json", "{"),
        ("json", "application/json", "{"),
    ],
)
def test_a_transcript_is_exported_in_every_format(
    running_server: Server, tmp_path: Path, form: str, media: str, start: str
) -> None:
    with running_server.client() as client:
        made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).json()
        path = f"/v1/sessions/{made['id']}"
        client.post(f"{path}/prompts", json={"prompt": "[[say seventeen]]"}, headers={"Prefer": "wait=50"})
        answer = client.get(f"{path}/transcript", params={"format": form})
        assert answer.headers["Content-Type"].startswith(media)
        assert "seventeen" in answer.text
        assert answer.text.startswith(start)


async def test_a_stream_that_its_reader_stalls_loses_nothing_of_what_is_offered_to_it(tmp_path: Path) -> None:
    """Events go straight to the socket until it takes no more, then wait their turn; all arrive once, in order."""
    async with streamed(tmp_path) as (journal, theirs):
        loop = asyncio.get_running_loop()
        expected = received = b""
        for number in range(1, 401):
            payload = b'{"n":%d,"text":"%b"}' % (number, b"x" * (number * 7 % 900))
            journal.append(payload)
            expected += b"id: %d\nevent: message\ndata: %b\n\n" % (number, payload)
            if number % 50 < 10:  # otherwise it stalls
                received += await loop.sock_recv(theirs, 3000)
        journal.close()
        assert received + await rest(theirs) == expected


async def test_a_stream_ends_once_all_that_was_offered_to_it_is_sent(tmp_path: Path) -> None:
    """The socket takes a part of the last event; the journal ends before its reader has read that."""
    async with streamed(tmp_path) as (journal, theirs):
        payload = b"x" * 15_000
        journal.append(payload)
        journal.close()
        for _ in range(100):  # whoever would close the connection now has the time to
            await asyncio.sleep(0)
        assert await rest(theirs) == b"id: 1\nevent: message\ndata: %b\n\n" % payload


async def test_large_events_arrive_whole_however_the_socket_takes_them(tmp_path: Path) -> None:
    """Alone and in batches, among small ones: pieces that are sent in part go on where they were cut."""
    async with streamed(tmp_path) as (journal, theirs):
        expected = b""
        number = 0
        for sizes in [[70_000], [5, 100_000], [200_000, 80_000, 3], [65_536] * 9, [9], [300_000] * 3]:
            payloads = [b'{"n":%d,"text":"%b"}' % (size, b"x" * size) for size in sizes]
            journal.extend(payloads)
            for payload in payloads:
                number += 1
                expected += b"id: %d\nevent: message\ndata: %b\n\n" % (number, payload)
        journal.close()
        assert await rest(theirs) == expected


def test_what_is_unsent_is_the_end_of_it() -> None:
    """Wherever it was cut: within a piece, between two, at the very end."""
    pieces = [b"ab", b"c", b"defg"]
    for sent in range(8):
        assert b"".join(unsent(pieces, sent)) == b"abcdefg"[sent:]


@contextlib.asynccontextmanager
async def streamed(tmp_path: Path) -> AsyncIterator[tuple[Journal, socket.socket]]:
    """An empty journal and a reader of its stream, which waits for the first event; the connection holds little."""
    journals = open_journals(tmp_path / "store.db")
    await journals.start()
    journal = await journals.open("acp/a")
    await journals.records.durable()
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setblocking(False)
    outlet = Outlet()
    batches = raw_events(journal, None, outlet)
    async with asyncio.TaskGroup() as group:
        group.create_task(Streams().serve(IOStream(ours), [], batches, outlet))
        head = await asyncio.get_running_loop().sock_recv(theirs, 1 << 16)
        assert head.endswith(b"\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            while not journal.followed:  # noqa: ASYNC110  what is waited for has no event
                await asyncio.sleep(0)
        yield journal, theirs
    theirs.close()
    await journals.stop()


async def rest(reader: socket.socket) -> bytes:
    """What is to be read until the end."""
    received = b""
    while data := await asyncio.get_running_loop().sock_recv(reader, 1 << 16):
        received += data
    return received

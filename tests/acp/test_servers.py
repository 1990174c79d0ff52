"""The /v1/acp service over real processes."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.journal import Retention
from sandbox_agent.problems import (
    AgentProcessExited,
    Conflict,
    InvalidRequest,
    SessionNotFound,
    Timeout,
    UnsupportedAgent,
)
from sandbox_agent.supervisor import proctree

from .conftest import FA, Bridge, Recorder, entries, eventually, exit_of, fa, messages

if TYPE_CHECKING:
    from sandbox_agent.journal import Journal


async def test_the_first_post_starts_the_agent_and_the_answer_comes_back_untouched(bridge: Bridge) -> None:
    body = b'{"jsonrpc":"2.0","id":"a/1","method":"echo","params":{"n":1}}'
    assert await bridge.raw(body) == b'{"jsonrpc": "2.0", "id": "a/1", "result": {"n": 1}}'
    assert [payload for _, _, payload in await entries(await bridge.servers.journal("s"))] == [
        b'{"jsonrpc": "2.0", "id": "a/1", "result": {"n": 1}}'
    ]
    assert [(info.server_id, info.agent) for info in bridge.servers.list()] == [("s", "fa")]
    assert abs(bridge.servers.list()[0].created_at_ms / 1000 - time.time()) < 60


async def test_later_posts_need_no_agent_and_reach_the_same_process(bridge: Bridge) -> None:
    first = await bridge.call("pid")
    assert await bridge.call("pid", agent=None) == first
    assert await bridge.call("pid", agent="fa") == first


async def test_servers_are_listed_oldest_first(bridge: Bridge) -> None:
    for name in ("z", "a", "m"):
        await bridge.call("pid", server=name)
    assert [info.server_id for info in bridge.servers.list()] == ["z", "a", "m"]


async def test_many_first_posts_at_once_start_one_process(bridge: Bridge) -> None:
    pids = await asyncio.gather(*(bridge.call("pid") for _ in range(10)))
    assert len(set(pids)) == 1
    assert len(bridge.supervisor.children()) == 1


async def test_a_hundred_servers_at_once(bridge: Bridge) -> None:
    pids = await asyncio.gather(*(bridge.call("pid", server=f"s{n}") for n in range(100)))
    assert len(set(pids)) == 100


async def test_an_unknown_server_without_an_agent_is_refused(bridge: Bridge) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await bridge.call("pid", agent=None)
    assert caught.value.hint == "add ?agent=ID"


async def test_an_unknown_agent_is_refused_and_leaves_no_server(bridge: Bridge) -> None:
    with pytest.raises(UnsupportedAgent):
        await bridge.call("pid", agent="nobody")
    assert bridge.servers.list() == []
    with pytest.raises(SessionNotFound):
        await bridge.servers.journal("s")


async def test_another_agent_on_a_live_server_is_a_conflict(bridge: Bridge) -> None:
    await bridge.call("pid")
    with pytest.raises(Conflict):
        await bridge.call("pid", agent="fa --other")
    assert await bridge.call("echo", 1) == 1


async def test_two_agents_for_one_new_server_at_once(bridge: Bridge) -> None:
    """One starts, the other is the conflict."""
    done = await asyncio.gather(bridge.call("pid"), bridge.call("pid", agent="fa --other"), return_exceptions=True)
    assert [type(one) for one in done] in ([int, Conflict], [Conflict, int])


@pytest.mark.parametrize("body", [b"[]", b"{}", b"nonsense", b"", b'[{"jsonrpc":"2.0","id":1,"method":"m"}]'])
async def test_bad_bodies_are_refused_before_anything_starts(bridge: Bridge, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await bridge.raw(body)
    assert bridge.servers.list() == []
    assert bridge.supervisor.children() == []


async def test_notifications_and_responses_are_accepted_without_an_answer(bridge: Bridge) -> None:
    asked = asyncio.ensure_future(bridge.call("ask", {"q": 1}))
    await eventually(lambda: bool(bridge.servers.list()))
    journal = await bridge.servers.journal("s")
    await eventually(lambda: journal.visible == 1)
    assert await bridge.raw(b'{"jsonrpc":"2.0","method":"note"}') is None
    assert await bridge.raw(b'{"jsonrpc":"2.0","id":"from-agent","result":{"ok":true}}') is None
    assert (await asked)["result"] == {"ok": True}


async def test_an_answer_later_than_the_hold_time_arrives_on_the_stream(bridge: Bridge) -> None:
    """0.4.2 throws it away; here the POST is 202 and the response is an event."""
    assert await bridge.raw(b'{"id":7,"method":"later","params":{"after":0.2}}', hold=0.05) is None
    journal = await bridge.servers.journal("s")
    await eventually(lambda: journal.visible == 1)
    assert (await messages(journal))[0]["id"] == 7


async def test_a_stream_opened_while_the_agent_starts_waits_for_it(bridge: Bridge) -> None:
    """The official client opens its stream and sends its first POST at the same time."""
    first = asyncio.ensure_future(bridge.call("pid"))
    await asyncio.sleep(0)
    journal = await bridge.servers.journal("s")
    await first
    assert journal.head == 1


async def test_a_notification_passes_a_pending_request(bridge: Bridge) -> None:
    """R25: cancel reaches the agent while the prompt runs."""
    prompt = asyncio.ensure_future(bridge.call("prompt"))
    await eventually(lambda: bool(bridge.servers.list()))
    await bridge.raw(b'{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":"s"}}')
    assert await asyncio.wait_for(prompt, 60) == {"stopReason": "cancelled"}


async def test_two_clients_with_one_id_both_get_their_own_answer(bridge: Bridge) -> None:
    """R26: on the POST and on the stream under the id each of them chose."""
    one = bridge.raw(b'{"jsonrpc":"2.0","id":1,"method":"later","params":{"after":0.1}}')
    two = bridge.raw(b'{"jsonrpc":"2.0","id":1,"method":"echo","params":"two"}')
    three = bridge.raw(b'{"jsonrpc":"2.0","id":"1","method":"echo","params":"three"}')
    answers = [json.loads(answer or b"") for answer in await asyncio.gather(one, two, three)]
    assert [(answer["id"], answer["result"]) for answer in answers] == [(1, None), (1, "two"), ("1", "three")]
    assert [message["id"] for message in await bridge.messages()] == [1, 1, "1"]
    received = [json.loads(base64.b64decode(text))["id"] for text in await bridge.call("received")]
    assert received[:3] == [1, "sa-1", "1"]


async def test_bodies_reach_the_agent_byte_for_byte(bridge: Bridge) -> None:
    """R26: spacing, escapes and numbers beyond 64 bits; only line ends between tokens become blanks."""
    body = b'{ "id" : 123456789012345678901234567890, "method" : "x", "params" : [1.10, 1e400, -0.0, "\\u00e9"] }'
    await bridge.raw(body)
    await bridge.raw(b'{\n  "method": "y",\r\n  "params": "a\\nb"\n}\n')
    received = [base64.b64decode(text) for text in await bridge.call("received")]
    assert received[:2] == [body + b"\n", b'{   "method": "y",    "params": "a\\nb" }\n']


async def test_a_client_gone_in_the_middle_leaves_whole_lines(bridge: Bridge) -> None:
    """R27: the turn goes on, its answer is on the stream."""
    large = b'{"id":2,"method":"echo","params":"' + b"y" * (4 << 20) + b'"}'
    await bridge.call("pid")
    gone = asyncio.ensure_future(bridge.raw(large))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    await bridge.call("echo", 3)
    assert 2 in [message.get("id") for message in await bridge.messages()]


async def test_the_agents_death_is_every_pending_requests_error_at_once(bridge: Bridge) -> None:
    """R1: who holds a POST gets an error response; who gave it up, or lost it, finds it on the stream."""
    held = asyncio.ensure_future(bridge.call("hang"))
    assert await bridge.raw(b'{"id":"late","method":"hang"}', hold=0.1) is None
    assert await bridge.raw(b'{"method":"die","params":{"code":5,"stderr":"no memory"}}') is None
    problem = (await held)["data"]
    assert (problem["exitCode"], problem["stderr"]) == (5, "no memory")
    exited, *errors = await bridge.messages()
    assert exited["params"] == {"success": False, "code": 5, "signal": None, "stderr": "no memory", "expected": False}
    assert {error["id"] for error in errors} == {1, "late"}
    assert {error["error"]["data"]["type"] for error in errors} == {"urn:sandbox-agent:error:agent_process_exited"}


async def test_a_dead_server_is_listed_no_more_and_its_journal_goes_on(bridge: Bridge) -> None:
    """A POST with agent starts a new process on it; ids go on; the readers of the stream just read on."""
    first = await bridge.call("pid")
    journal = await bridge.servers.journal("s")
    seen: list[Any] = []

    async def read() -> None:
        async for segments in journal.follow(0):
            assert isinstance(segments, list)
            seen.extend(json.loads(payload) for segment in segments for payload in segment.payloads)

    reader = asyncio.ensure_future(read())
    await bridge.raw(b'{"method":"die","params":{"code":1}}')
    await exit_of(journal)
    assert bridge.servers.list() == []
    assert await bridge.servers.journal("s") is journal
    with pytest.raises(InvalidRequest):
        await bridge.call("pid", agent=None)
    assert await bridge.call("pid") != first
    await eventually(lambda: len(seen) == 3)
    assert [sequence for sequence, _, _ in await entries(journal)] == [1, 2, 3]
    await bridge.servers.delete("s")
    await asyncio.wait_for(reader, 60)


async def test_a_dead_server_takes_another_agent(bridge: Bridge) -> None:
    await bridge.call("pid")
    await bridge.raw(b'{"method":"die","params":{"code":1}}')
    await exit_of(await bridge.servers.journal("s"))
    assert await bridge.call("echo", 1, agent="fa --other") == 1
    assert bridge.servers.list()[0].agent == "fa --other"


async def test_an_agent_that_exits_at_start_says_why(bridge: Bridge) -> None:
    error = await bridge.call("initialize", agent="fa --exit")
    assert error["data"]["type"] == "urn:sandbox-agent:error:agent_process_exited"
    assert (error["data"]["exitCode"], error["data"]["stderr"]) == (3, "cannot start: no licence")
    assert bridge.servers.list() == []


async def test_an_agent_that_hangs_at_launch_is_ended(tmp_path: Path) -> None:
    """R2: the deadline is configurable; its tree is gone, the error has a hint, held or not."""
    async with Bridge(launch_deadline=0.4) as bridge:
        held = asyncio.ensure_future(bridge.call("initialize", {}, agent="fa --hang --daemon", server="one"))
        assert await bridge.raw(b'{"id":1,"method":"initialize"}', agent="fa --hang", server="two", hold=0.1) is None
        assert (await held)["data"]["hint"]
        await exit_of(await bridge.servers.journal("two"))
        _, error = await bridge.messages("two")
        assert error["error"]["data"]["type"] == "urn:sandbox-agent:error:timeout"
        await eventually(lambda: not bridge.supervisor.children())
        assert bridge.servers.list() == []


async def test_delete_ends_the_server_and_forgets_it(bridge: Bridge) -> None:
    await bridge.call("pid")
    await bridge.servers.delete("s")
    assert bridge.servers.list() == []
    with pytest.raises(SessionNotFound):
        await bridge.servers.journal("s")
    with pytest.raises(InvalidRequest):
        await bridge.call("pid", agent=None)
    await eventually(lambda: not bridge.supervisor.children())


async def test_delete_of_a_stubborn_agent_answers_at_once_and_its_tree_goes_within_the_grace(bridge: Bridge) -> None:
    """0.4.2 never answers."""
    await bridge.call("pid", agent="fa --ignore-term --daemon")
    waiting = asyncio.ensure_future(bridge.call("hang", agent=None))
    await asyncio.sleep(0)
    await bridge.servers.delete("s")
    assert bridge.supervisor.children(), "the end of the agent was not waited for"
    assert bridge.servers.list() == []
    assert (await waiting)["data"]["type"] == "urn:sandbox-agent:error:agent_process_exited"
    await eventually(lambda: not bridge.supervisor.children())


async def test_delete_can_be_repeated_and_of_what_never_was(bridge: Bridge) -> None:
    await bridge.servers.delete("s")
    await bridge.call("pid")
    await asyncio.gather(*(bridge.servers.delete("s") for _ in range(3)))
    await bridge.servers.delete("s")


async def test_a_name_is_free_again_after_delete(bridge: Bridge) -> None:
    """Even while the old process still dies; the new server starts from nothing."""
    first = await bridge.call("pid", agent="fa --ignore-term")
    await bridge.servers.delete("s")
    assert await bridge.call("pid") != first
    assert [sequence for sequence, _, _ in await entries(await bridge.servers.journal("s"))] == [1]


async def test_readers_of_a_deleted_server_get_its_last_words_and_the_end(bridge: Bridge) -> None:
    await bridge.call("pid")
    journal = await bridge.servers.journal("s")

    async def read() -> list[Any]:
        found: list[Any] = []
        async for segments in journal.follow(0):
            assert isinstance(segments, list)
            found += [json.loads(payload) for segment in segments for payload in segment.payloads]
        return found

    reader = asyncio.ensure_future(read())
    await bridge.servers.delete("s")
    found = await asyncio.wait_for(reader, 60)
    assert [message.get("method") for message in found] == [None, "_adapter/agent_exited"]


async def test_delete_of_a_dead_server_forgets_its_journal(bridge: Bridge) -> None:
    await bridge.call("pid")
    await bridge.raw(b'{"method":"die","params":{"code":1}}')
    await exit_of(await bridge.servers.journal("s"))
    await bridge.servers.delete("s")
    with pytest.raises(SessionNotFound):
        await bridge.servers.journal("s")


async def test_ids_go_on_across_a_restart_of_the_server(tmp_path: Path) -> None:
    """The same ids and bytes, then more; a server that only the disk knows can be read and deleted."""
    store = tmp_path / "store.db"
    async with Bridge(store) as bridge:
        await bridge.call("burst", {"count": 5, "size": 300})
        journal = await bridge.servers.journal("s")
        await journal.durable()
        before = await entries(journal)
    async with Bridge(store) as bridge:
        journal = await bridge.servers.journal("s")
        again = await entries(journal)
        assert again[: len(before)] == before
        assert json.loads(again[-1][2])["method"] == "_adapter/agent_exited"
        await bridge.call("pid")
        await journal.durable()
        assert [sequence for sequence, _, _ in await entries(journal)] == list(range(1, 9))
    async with Bridge(store) as bridge:
        await bridge.servers.delete("s")
        with pytest.raises(SessionNotFound):
            await bridge.servers.journal("s")


async def test_sessions_take_part_under_their_own_journal(bridge: Bridge) -> None:
    """Listed with the others, bridged under the session's id; the journal outlives the process."""
    role = Recorder()
    connection = await bridge.servers.open_session("ses", "fa", fa(), role)
    assert connection.journal.name == "session/ses"
    assert [info.server_id for info in bridge.servers.list()] == ["ses"]
    assert await bridge.call("echo", 1, server="ses", agent=None) == 1
    assert await bridge.servers.journal("ses") is connection.journal
    with pytest.raises(Conflict):
        await bridge.servers.open_session("ses", "fa", fa(), role)
    deleting = asyncio.ensure_future(bridge.servers.delete("ses"))
    await eventually(lambda: not bridge.servers.list())
    journal = await bridge.servers.journal("ses")  # while its agent ends, too
    await deleting
    await eventually(lambda: bool(role.exits))
    assert await bridge.servers.journal("ses") is journal
    assert journal.head >= 3
    with pytest.raises(Conflict, match="is a session"):
        await bridge.call("pid", server="ses")
    await bridge.servers.open_session("ses", "fa", fa(), role)


async def test_stopping_ends_all_and_keeps_the_journals(bridge: Bridge) -> None:
    journals: list[Journal] = []
    for n in range(5):
        await bridge.call("pid", server=f"s{n}", agent="fa --daemon")
        journals.append(await bridge.servers.journal(f"s{n}"))
    await bridge.servers.stop()
    assert bridge.supervisor.children() == []
    assert [journal.head for journal in journals] == [2] * 5


async def test_the_agent_sees_neither_token_nor_descriptors(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """R30, S4."""
    monkeypatch.setenv("SANDBOX_AGENT_TOKEN", "s3cret-token")
    assert "s3cret-token" not in json.dumps(await bridge.call("environ"))
    await bridge.call("pid", server="other")
    pid = await bridge.call("pid")
    assert sorted(entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()) == ["0", "1", "2"]  # noqa: ASYNC240


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


@pytest.mark.slow
async def test_a_million_small_updates_in_bounded_memory(tmp_path: Path, scale: float) -> None:
    """R4: nothing lost (1,000,000 at scale 10)."""
    count = int(100_000 * scale)
    async with Bridge(tmp_path / "store.db", retention=Retention(max_bytes=32 << 20)) as bridge:
        await bridge.call("burst", {"count": 20_000, "size": 200})
        before = resident()
        await bridge.call("burst", {"count": count, "size": 200}, hold=100)
        journal = await bridge.servers.journal("s")
        assert journal.head == count + 20_002
        assert resident() - before < 100 << 20


LEAVING = f"""
import asyncio, sys
sys.path.insert(0, {str(FA.rsplit("/tests/", 1)[0])!r})
from sandbox_agent.acp.servers import AcpServers
from sandbox_agent.journal import open_journals
from sandbox_agent.supervisor import Command, Supervisor

async def launch(agent):
    return Command((sys.executable, "-I", "-S", {FA!r}, *agent.split()))

async def main():
    supervisor, journals = Supervisor(), open_journals("memory:")
    await journals.start()
    servers = AcpServers(journals, supervisor, launch)
    for n in range(5):
        body = b'{{"jsonrpc":"2.0","id":1,"method":"pid"}}'
        await servers.post(f"s{{n}}", body, agent="--daemon --ignore-term", hold=20)
    print(supervisor._instance, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_server_leaves_no_agent_behind() -> None:
    """R23: SIGKILL; deaf agents and their daemons go."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEAVING, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    assert server.stdout is not None
    instance = (await server.stdout.readline()).strip()

    def alive() -> int:
        return len([row for row in proctree.table() if instance in row.spawns and not row.dead])

    assert instance
    assert alive() == 10
    server.kill()
    await server.wait()
    await eventually(lambda: alive() == 0)


@pytest.mark.slow
async def test_hundreds_of_failed_handshakes_leave_nothing(scale: float) -> None:
    """R23: create, fail, close (500 at scale 5): no process, no descriptor; memory within 5 % of the start."""
    kinds = ["fa", "fa --exit", "fa --hang --daemon", "fa --daemon", "nobody"]

    async def cycle(bridge: Bridge, n: int) -> None:
        server = f"s{n}"
        try:
            await bridge.call("initialize", {}, server=server, agent=kinds[n % len(kinds)])
            await bridge.call("burst", {"count": 10, "size": 2000}, server=server, agent=None)
        except (AgentProcessExited, InvalidRequest, Timeout, UnsupportedAgent):
            pass  # whichever the moment of its end makes it
        await bridge.servers.delete(server)

    async with Bridge(launch_deadline=0.3) as bridge:
        for begin in range(0, 100, 10):
            await asyncio.gather(*(cycle(bridge, begin + n) for n in range(10)))
        await eventually(lambda: not bridge.supervisor.children())
        await bridge.servers.stop()
        before = resident()
        for begin in range(100, 100 + int(100 * scale), 10):
            await asyncio.gather(*(cycle(bridge, begin + n) for n in range(10)))
        await eventually(lambda: not bridge.supervisor.children())
        await bridge.servers.stop()
        instance = bridge.supervisor._instance.encode()
        assert not [row for row in proctree.table() if instance in row.spawns]
        assert resident() < before * 1.05

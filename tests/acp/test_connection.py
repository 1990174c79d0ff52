"""One agent process and what crosses its streams."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.acp.connection import RpcError, parse_client
from sandbox_agent.journal import Sender
from sandbox_agent.problems import AgentNotInstalled, AgentProcessExited, InvalidRequest, StreamError, Timeout
from sandbox_agent.supervisor import Command

from .conftest import Recorder, b64, entries, eventually, exit_of, messages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox_agent.acp.connection import AgentConnection

    from .conftest import Bridge

    Connect = Callable[..., Awaitable[AgentConnection]]


async def forward(line: AgentConnection, body: bytes, *, hold: float | None) -> bytes | None:
    """A client's message, as the bridge passes it on."""
    return await line.forward(parse_client(body), hold=hold)


async def test_a_request_of_ours_gets_its_decoded_result(connect: Connect) -> None:
    line = await connect()
    assert await line.request("echo", {"a": [1, "é", None]}) == {"a": [1, "é", None]}


async def test_an_error_answer_is_raised_with_code_message_and_data(connect: Connect) -> None:
    line = await connect()
    with pytest.raises(RpcError, match="log in first") as caught:
        await line.request("fail", {"code": -32000, "message": "log in first", "data": {"methods": []}})
    assert (caught.value.code, caught.value.data) == (-32000, {"methods": []})


@pytest.mark.parametrize("error", ["nonsense", [1]])
async def test_an_error_that_is_none_of_json_rpc_is_a_stream_error(connect: Connect, error: Any) -> None:
    line = await connect()
    with pytest.raises(StreamError):
        await line.request("fail", error)


async def test_an_answer_after_its_deadline_still_reaches_the_journal(connect: Connect) -> None:
    """R22: the caller gave up; what the agent said is kept."""
    line = await connect()
    with pytest.raises(Timeout, match=r"did not answer later within 0\.05 s"):
        await line.request("later", {"after": 0.3}, deadline=0.05)
    await line.request("echo", {"n": 2})
    assert [message.get("id") for message in await messages(line.journal)] == ["sa-1", "sa-2"]


async def test_two_requests_pass_each_other(connect: Connect) -> None:
    line = await connect()
    prompt = asyncio.ensure_future(line.request("prompt", {}))
    assert await line.request("echo", 1) == 1
    await line.notify("session/cancel", {})
    assert await prompt == {"stopReason": "cancelled"}


async def test_what_we_send_is_recorded_when_asked_for(connect: Connect) -> None:
    """In stream order, with its sender."""
    line = await connect(record_clients=True)
    await line.request("echo", 1)
    await line.notify("note", {"x": 1})
    await forward(line, b'{"id":9,"method":"echo","params":2}', hold=60)
    assert [(int(sender), json.loads(payload).get("method")) for _, sender, payload in await entries(line.journal)] == [
        (Sender.CLIENT, "echo"),
        (Sender.AGENT, None),
        (Sender.CLIENT, "note"),
        (Sender.CLIENT, "echo"),
        (Sender.AGENT, None),
    ]


async def test_a_role_is_told_in_order_before_readers_are(connect: Connect) -> None:
    role = Recorder()
    line = await connect(handler=role)
    await line.request("burst", {"count": 3, "size": 300})
    assert role.told == [("notification", n, "session/update") for n in (1, 2, 3)]
    assert [sequence for sequence, _, _ in await entries(line.journal)] == [1, 2, 3, 4]


async def test_a_role_answers_the_agents_request(connect: Connect) -> None:
    role = Recorder()
    role.answers = True
    line = await connect(handler=role)
    asked = asyncio.ensure_future(line.request("ask", {"q": 1}))
    await eventually(lambda: bool(role.told))
    assert role.told == [("request", 1, "session/request_permission")]
    await line.respond(b'"from-agent"', {"outcome": "yes"})
    assert (await asked)["result"] == {"outcome": "yes"}


async def test_a_role_can_answer_with_an_error(connect: Connect) -> None:
    role = Recorder()
    role.answers = True
    line = await connect(handler=role)
    asked = asyncio.ensure_future(line.request("ask", {}))
    await eventually(lambda: bool(role.told))
    await line.respond(b'"from-agent"', error=RpcError(-32602, "no such file", {"path": "/x"}))
    assert (await asked)["error"] == {"code": -32602, "message": "no such file", "data": {"path": "/x"}}


async def test_a_request_the_role_does_not_know_is_refused_as_json_rpc_has_it(connect: Connect) -> None:
    line = await connect(handler=Recorder())
    assert (await line.request("ask", {}))["error"]["code"] == -32601


async def test_a_role_keeps_replayed_history_out_of_the_journal(connect: Connect) -> None:
    role = Recorder()
    role.refused = {"session/update"}
    line = await connect(handler=role)
    await line.request("burst", {"count": 5, "size": 300})
    assert role.told == []
    assert [message.get("id") for message in await messages(line.journal)] == ["sa-1"]


NOISE = {
    "banner": (b"Welcome to agent 1.0\n", "invalid character (byte 0)", "Welcome to agent 1.0"),
    "cut off": (b'{"jsonrpc":"2.0",\n', "truncated", '{"jsonrpc":"2.0",'),
    "not UTF-8": (b'{"a":"\xff"}\n', "not UTF-8 at byte 6", '{"a":"�"}'),
    "array": (b"[1,2]\n", "Expected `object`, got `array`", "[1,2]"),
    "long": (b"x" * 10_000 + b"\n", "invalid character", "x" * 4096 + "... (10000 bytes)"),
}


@pytest.mark.parametrize("kind", NOISE)
async def test_what_is_not_json_is_reported_and_the_connection_lives(connect: Connect, kind: str) -> None:
    """R3."""
    data, error, raw = NOISE[kind]
    line = await connect()
    await line.request("raw", {"data": b64(data)})
    found = await entries(line.journal)
    report = json.loads(found[0][2])
    assert found[0][1] == Sender.SERVER
    assert report["method"] == "_adapter/invalid_stdout"
    assert error in report["params"]["error"]
    assert report["params"]["raw"] == raw
    assert await line.request("echo", 1) == 1


async def test_noise_between_messages_keeps_its_place(connect: Connect) -> None:
    line = await connect()
    await line.request("raw", {"data": b64(b'{"method":"a"}\noops\n\n  \r\n{"method":"b"}\n')})
    assert [message.get("method") for message in await messages(line.journal)] == [
        "a",
        "_adapter/invalid_stdout",
        "b",
        None,
    ]


EXACT = [
    b'{"jsonrpc":"2.0","method":"m","params":{"big":123456789012345678901234567890,"tiny":1e-400,"neg":-0.0}}',
    b'{ "method" : "m" ,  "params" : [ 1.10 , 1E+2 , "\\u0041\\/" , "\xe2\x80\xa8" ] }',
    b'{"method":"m","params":"\\ud83d"}',
    b'{"method":"\\udc00","params":"\\\\ud83d \\uDE00"}',
    b'{"method":"m","method":"m","unknown":{"id":1}}',
    b'{"method":"m","params":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"level":"info"}',
]


async def test_every_byte_of_json_passes_unchanged(connect: Connect) -> None:
    """R26: numbers beyond 64 bits, spacing, escapes, doubled keys, any depth, and objects JSON-RPC does not know."""
    line = await connect()
    await line.request("raw", {"data": b64(b"\n".join(EXACT) + b"\n")})
    assert [payload for _, _, payload in await entries(line.journal)][:-1] == EXACT


async def test_byte_order_mark_and_crlf_are_not_part_of_a_message(connect: Connect) -> None:
    line = await connect()
    await line.request("raw", {"data": b64(b'\xef\xbb\xbf{"method":"a"}\r\n{"method":"b"}\r\n')})
    assert [payload for _, _, payload in await entries(line.journal)][:2] == [b'{"method":"a"}', b'{"method":"b"}']


async def test_a_line_of_64_mib_arrives_whole(connect: Connect) -> None:
    """R4."""
    line = await connect()
    await line.request("burst", {"count": 1, "size": 64 << 20}, deadline=60)
    payload = (await line.journal.read(0, max_bytes=1))[0].payloads[0]  # type: ignore[index,union-attr]
    assert len(payload) == (64 << 20) - 1
    assert json.loads(payload)["method"] == "session/update"


async def test_a_line_over_the_cap_is_skipped_and_reported(connect: Connect) -> None:
    """The connection lives on, the line's size is told."""
    line = await connect(line_cap=100_000)
    await line.request("burst", {"count": 1, "size": 3_000_000})
    first, _ = await messages(line.journal)
    assert first["method"] == "_adapter/invalid_stdout"
    assert first["params"]["error"] == "line of 2999999 bytes is over the limit and was skipped"
    assert await line.request("echo", 1) == 1


@pytest.mark.parametrize(
    ("how", "code", "signum"), [({"code": 7}, 7, None), ({"signal": 9}, None, 9), ({"code": 0}, 0, None)]
)
async def test_a_death_is_told_with_code_signal_and_last_words(
    connect: Connect, how: dict[str, int], code: int | None, signum: int | None
) -> None:
    """R1, R36: what was on stdout and stderr just before is there, before the exit."""
    role = Recorder()
    line = await connect(handler=role)
    last = b'{"method":"last"}\n{"method":"cut'
    with pytest.raises(AgentProcessExited) as caught:
        await line.request("die", how | {"stdout": b64(last), "stderr": "Traceback\nout of luck\n"}, deadline=60)
    assert caught.value.extensions["stderr"] == "Traceback\nout of luck"
    assert (caught.value.extensions.get("exitCode"), caught.value.extensions.get("signal")) == (code, signum)
    found = await messages(line.journal)
    assert [message["method"] for message in found] == ["last", "_adapter/invalid_stdout", "_adapter/agent_exited"]
    assert found[-1]["params"] == {
        "success": code == 0,
        "code": code,
        "signal": signum,
        "stderr": "Traceback\nout of luck",
        "expected": False,
    }
    assert line.exit is not None
    assert role.exits == [line.exit]


async def test_much_written_just_before_death_is_all_there(connect: Connect) -> None:
    """R36: a full pipe of it."""
    line = await connect()
    many = b"".join(b'{"method":"m%d"}\n' % n for n in range(50_000))
    with pytest.raises(AgentProcessExited):
        await line.request("die", {"code": 1, "stdout": b64(many)})
    assert [message["method"] for message in await messages(line.journal)][:-1] == [f"m{n}" for n in range(50_000)]


async def test_only_the_tail_of_much_stderr_is_kept(connect: Connect) -> None:
    line = await connect()
    with pytest.raises(AgentProcessExited):
        await line.request("die", {"code": 1, "stderr": "x" * 1_000_000 + "end"})
    assert line.exit is not None
    assert line.exit.stderr_tail == "x" * (16384 - 3) + "end"


async def test_a_grandchild_that_holds_the_pipe_does_not_hold_up_the_news(connect: Connect, bridge: Bridge) -> None:
    """R1: the exit is told in less than a second though somebody could still write."""
    line = await connect()
    await line.request("spawn", {"argv": ["sleep", "1000"], "daemon": True})
    with pytest.raises(AgentProcessExited):
        await asyncio.wait_for(line.request("die", {"code": 1}), 60)
    await asyncio.wait_for(line._life, 60)
    assert bridge.supervisor.children() == []


async def test_after_the_end_everything_is_refused_at_once(connect: Connect) -> None:
    line = await connect()
    await line.close()
    with pytest.raises(AgentProcessExited):
        await line.request("echo", 1)
    with pytest.raises(AgentProcessExited):
        await forward(line, b'{"id":1,"method":"echo"}', hold=1)
    with pytest.raises(AgentProcessExited):
        await line.notify("x", {})


async def test_closing_ends_what_waits_and_what_grew(connect: Connect, bridge: Bridge) -> None:
    line = await connect("--daemon", "--ignore-term")
    waiting = asyncio.ensure_future(line.request("hang", {}))
    await line.request("echo", 1)
    ended = await line.close(0.3)
    assert ended.signal == signal.SIGKILL
    assert bridge.supervisor.children() == []
    with pytest.raises(AgentProcessExited):
        await waiting
    assert (await exit_of(line.journal))["signal"] == signal.SIGKILL


async def test_closing_twice_is_closing_once(connect: Connect) -> None:
    line = await connect()
    first, second = await asyncio.gather(line.close(), line.close())
    assert first == second == await line.close()
    assert len(await messages(line.journal)) == 1


async def test_an_agent_silent_at_launch_is_ended_with_its_tree(connect: Connect, bridge: Bridge) -> None:
    """R2."""
    line = await connect("--hang", "--daemon", "--ignore-term", launch_deadline=0.3)
    with pytest.raises(Timeout, match=r"did not answer initialize within 0\.3 s") as caught:
        await line.request("initialize", {}, deadline=60)
    assert caught.value.hint
    await asyncio.wait_for(line._life, 60)
    assert bridge.supervisor.children() == []


async def test_the_launch_deadline_is_for_the_first_answer_only(connect: Connect) -> None:
    line = await connect(launch_deadline=0.3)
    await line.request("initialize", {})
    await line.request("later", {"after": 0.5})
    assert line.exit is None


async def test_a_missing_program_says_how_to_install(connect: Connect) -> None:
    with pytest.raises(AgentNotInstalled) as caught:
        await connect(command=Command(("/no/such/agent",)))
    assert caught.value.hint == "sandbox-agent install-agent fa"


async def test_a_program_that_cannot_run_is_told(connect: Connect) -> None:
    with pytest.raises(AgentProcessExited, match="cannot start /etc"):
        await connect(command=Command(("/etc",)))


@pytest.mark.parametrize("fd", [0, 1])
async def test_an_agent_that_closes_its_streams_is_ended(connect: Connect, fd: int) -> None:
    """Nothing can come of it any more: who waits gets the error."""
    line = await connect(command=Command(("sh", "-c", f"exec {fd}>&-; while :; do sleep 0.05; done")))
    with pytest.raises(AgentProcessExited):
        await asyncio.wait_for(line.request("echo", "x" * 100), 60)


async def test_an_agent_that_does_not_read_makes_senders_wait_and_not_memory_grow(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R28: a bounded queue, then an error by the sender's own patience; answers still come."""
    monkeypatch.setattr("sandbox_agent.acp.connection._STDIN_QUEUE", 1 << 20)
    line = await connect(command=Command(("sh", "-c", "read -r one; kill -STOP $$; cat >/dev/null")))
    body = b'{"method":"x","params":"' + b"x" * (1 << 20) + b'"}'
    while line._stdin.has_room.is_set():
        await forward(line, body, hold=1)
    with pytest.raises(Timeout, match="does not read its input"):
        await forward(line, body, hold=0.1)
    assert line._stdin.queued < 4 << 20
    line.child.signal(signal.SIGCONT)
    await asyncio.wait_for(forward(line, body, hold=60), 60)


async def test_a_cancelled_sender_leaves_no_half_line(connect: Connect) -> None:
    """R27: a message much larger than the pipe goes on when its sender is gone; the next one follows whole."""
    line = await connect()
    sender = asyncio.ensure_future(forward(line, b'{"id":1,"method":"later","params":{"after":0.2}}', hold=60))
    large = b'{"id":2,"method":"echo","params":"' + b"y" * (4 << 20) + b'"}'
    gone = asyncio.ensure_future(forward(line, large, hold=60))
    await asyncio.sleep(0.05)
    gone.cancel()
    assert await forward(line, b'{"id":3,"method":"echo","params":3}', hold=60)
    assert await sender
    received = [base64.b64decode(text) for text in await line.request("received", {})]
    assert received[1] == large + b"\n"
    assert received[2] == b'{"id":3,"method":"echo","params":3}\n'
    assert [message.get("id") for message in await messages(line.journal)][:3] == [1, 2, 3]


async def test_reading_stops_while_the_store_is_behind(connect: Connect) -> None:
    """The agent waits, memory does not grow; nothing is lost when it goes on."""
    line = await connect()
    line.journal.writable.clear()
    asked = asyncio.ensure_future(line.request("burst", {"count": 20_000, "size": 500}))
    await asyncio.sleep(0.3)
    held = line.journal.head
    assert held * 500 <= 3 << 20
    assert not asked.done()
    line.journal.writable.set()
    await asyncio.wait_for(asked, 60)
    assert line.journal.head == 20_001


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "batches"),
        (b' [{"id":1,"method":"m"}]', "batches"),
        (b"3", "Expected `object`, got `int`"),
        (b"{}", "a method, or an id"),
        (b'{"jsonrpc":"2.0"}', "a method, or an id"),
        (b'{"method":1}', "a method, or an id"),
        (b'{"id":{},"method":"m"}', "a method, or an id"),
        (b'{"id":1,"method":"\xff"}', "not UTF-8"),
    ],
)
def test_what_a_client_may_not_send_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_client(body)

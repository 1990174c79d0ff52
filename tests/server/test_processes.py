"""Processes over HTTP: every answer is checked against our description of it (`Server.client`)."""

from __future__ import annotations

import base64
import json
import re
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..support import sse
from ..support.pids import alive
from ..support.server import poll, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from ..support.server import Server

DEADLINE = 60.0
PROCESSES = "/v1/processes"


@pytest.fixture
def client(running_server: Server) -> Iterator[httpx2.Client]:
    with running_server.client() as client:
        yield client


def start(client: httpx2.Client, text: str, **options: Any) -> str:
    """A shell script as a managed process; its id."""
    answer = client.post(PROCESSES, json={"command": "sh", "args": ["-c", text], **options})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def info(client: httpx2.Client, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"{PROCESSES}/{name}").json()
    return answer


def ended(client: httpx2.Client, name: str) -> list[sse.Event]:
    """The whole followed log of a process that ends by itself."""
    events = sse.collect(client, f"{PROCESSES}/{name}/logs?follow=true", lambda _: False)
    assert events[-1].name == "exit"
    assert all(event.name == "log" for event in events[:-1])
    return events


def text(entries: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(entry["data"], validate=True) for entry in entries)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:sandbox-agent:error:")


def test_a_process_from_start_to_deletion(client: httpx2.Client) -> None:
    answer = client.post(PROCESSES, json={"command": "sh", "args": ["-c", "cat; exit 3"], "interactive": True})
    started = answer.json()
    assert re.fullmatch(r"proc_\d+", started["id"])
    assert (started["status"], started["owner"], started["interactive"]) == ("running", "user", True)
    assert isinstance(started["pid"], int)
    path = f"{PROCESSES}/{started['id']}"
    assert problem(client.delete(path)) == (409, "conflict")
    sent = client.post(f"{path}/input", json={"data": base64.b64encode(b"hi").decode()})
    assert sent.json() == {"bytesWritten": 2}
    client.post(f"{path}/input", json={"data": " there", "encoding": "utf8"})
    client.post(f"{path}/input", json={"data": "!", "encoding": "text", "eof": True})
    events = ended(client, started["id"])
    assert text([event.json() for event in events[:-1]]) == b"hi there!"
    exited = events[-1].json()
    assert (exited["id"], exited["status"], exited["exitCode"]) == (started["id"], "exited", 3)
    assert "pid" not in exited
    assert exited["exitedAtMs"] >= exited["createdAtMs"]
    assert problem(client.post(f"{path}/input", json={"data": ""})) == (409, "conflict")
    assert client.delete(path).status_code == 204
    assert problem(client.get(path)) == (404, "not_found")


def test_logs_are_entries_of_base64(client: httpx2.Client) -> None:
    """By stream, by the number after which to begin, by how many; whole or followed."""
    name = start(client, "echo a; read go; echo b >&2; read go; echo c")
    path = f"{PROCESSES}/{name}/logs"
    for number in (1, 2):  # each is read before the next is written, so that they are entries of their own
        sse.collect(client, f"{path}?follow=true", lambda event: event.id == number)  # noqa: B023 - used at once
        client.post(f"{PROCESSES}/{name}/input", json={"data": "\n", "encoding": "text"})
    events = ended(client, name)

    def logs(**query: Any) -> list[tuple[int, str, bytes]]:
        answer = client.get(path, params=query).json()
        assert (answer["processId"], answer["stream"]) == (name, query.get("stream", "combined"))
        assert "reset" not in answer
        assert {entry["encoding"] for entry in answer["entries"]} <= {"base64"}
        return [(e["sequence"], e["stream"], text([e])) for e in answer["entries"]]

    whole = [(1, "stdout", b"a\n"), (2, "stderr", b"b\n"), (3, "stdout", b"c\n")]
    assert logs() == logs(stream="combined") == logs(since=0) == whole
    assert logs(stream="stdout") == [whole[0], whole[2]]
    assert logs(stream="stdout", tail=1) == logs(since=2) == logs(tail=1) == [whole[2]]
    assert logs(stream="pty") == logs(tail=0) == logs(since=99) == []
    assert [(e.id, e.json()["stream"], text([e.json()])) for e in events[:-1]] == whole
    entries = client.get(path).json()["entries"]
    assert [event.json() for event in events[:-1]] == entries
    resumed = sse.collect(client, f"{path}?follow=true", lambda _: False, after=2)
    assert [event.id for event in resumed] == [3, None]
    tail = sse.collect(client, f"{path}?follow=true&stream=stderr&tail=5", lambda _: False)
    assert [event.id for event in tail] == [2, None]
    other = sse.collect(client, f"{path}?follow=true&since=77", lambda _: False)
    assert [event.name for event in other] == ["reset", "log", "log", "log", "exit"]


def test_a_log_is_followed_while_it_is_written(client: httpx2.Client) -> None:
    """Each line comes before the next is asked for."""
    name = start(client, "while read line; do echo got $line; done")
    with sse.opened(client, f"{PROCESSES}/{name}/logs?follow=true") as response:
        events = sse.events(response)
        for number in range(5):
            client.post(f"{PROCESSES}/{name}/input", json={"data": f"{number}\n", "encoding": "text"})
            event = next(events)
            assert (event.name, text([event.json()])) == ("log", b"got %d\n" % number)
        client.post(f"{PROCESSES}/{name}/input", json={"data": "", "eof": True})
        assert next(events).name == "exit"
        assert next(events, None) is None


def test_what_a_bounded_log_lost_is_said(client: httpx2.Client) -> None:
    """A cursor before what is kept gets a reset, in a page and in a stream."""
    client.post(f"{PROCESSES}/config", json={"maxLogBytesPerProcess": 200_000})
    name = start(client, "head -c 3000000 /dev/zero; echo end")
    wait_for(client, name)
    events = sse.collect(client, f"{PROCESSES}/{name}/logs?follow=true&since=0", lambda _: False)
    answer = client.get(f"{PROCESSES}/{name}/logs", params={"since": 0}).json()
    assert answer["reset"] is True
    assert text(answer["entries"]).endswith(b"end\n")
    assert len(text(answer["entries"])) < 3_000_000
    assert events[0].name == "reset"
    assert events[0].json()["first"] == events[1].id
    assert events[-1].name == "exit"


def wait_for(client: httpx2.Client, name: str) -> None:
    """Until it has ended by itself."""
    sse.collect(client, f"{PROCESSES}/{name}/logs?follow=true&tail=0", lambda _: False)


def test_processes_are_sorted_by_creation_and_filtered_by_owner(client: httpx2.Client) -> None:
    names = [start(client, "true") for _ in range(11)]
    listed = client.get(PROCESSES).json()["processes"]
    assert [one["id"] for one in listed] == names == [f"proc_{number}" for number in range(1, 12)]
    assert [one["id"] for one in client.get(PROCESSES, params={"owner": "user"}).json()["processes"]] == names
    assert client.get(PROCESSES, params={"owner": "desktop"}).json() == {"processes": []}
    assert problem(client.get(PROCESSES, params={"owner": "nobody"})) == (400, "invalid_request")


def test_stop_and_kill_wait_as_long_as_they_are_told(client: httpx2.Client) -> None:
    name = start(client, "trap '' TERM; echo up; while :; do sleep 0.05; done")
    sse.collect(client, f"{PROCESSES}/{name}/logs?follow=true", lambda event: event.name == "log")
    asked = client.post(f"{PROCESSES}/{name}/stop", params={"waitMs": 0})
    assert (asked.status_code, asked.json()["status"]) == (200, "running")
    killed = client.post(f"{PROCESSES}/{name}/kill", params={"waitMs": 60_000}).json()
    assert (killed["status"], killed["signal"]) == ("exited", 9)
    assert "exitCode" not in killed
    assert client.post(f"{PROCESSES}/{name}/kill").json() == killed
    assert client.post(f"{PROCESSES}/{name}/stop").json() == killed
    for verb in ("stop", "kill"):
        assert problem(client.post(f"{PROCESSES}/nobody/{verb}")) == (404, "not_found")
        assert problem(client.post(f"{PROCESSES}/{name}/{verb}", params={"waitMs": -1})) == (400, "invalid_request")


def test_run_gives_output_and_code(client: httpx2.Client) -> None:
    run = {"command": "sh", "args": ["-c", "echo $WORD; echo err >&2; pwd; exit 5"], "env": {"WORD": "hi"}, "cwd": "/"}
    answer = client.post(f"{PROCESSES}/run", json=run).json()
    duration = answer.pop("durationMs")
    assert duration >= 0
    assert answer == {
        "exitCode": 5,
        "timedOut": False,
        "stdout": "hi\n/\n",
        "stderr": "err\n",
        "stdoutTruncated": False,
        "stderrTruncated": False,
    }
    late = client.post(f"{PROCESSES}/run", json={"command": "sleep", "args": ["1000"], "timeoutMs": 100}).json()
    assert (late["timedOut"], late["exitCode"]) == (True, None)


def test_limits_are_checked_and_changed(client: httpx2.Client) -> None:
    limits = client.get(f"{PROCESSES}/config").json()
    assert limits == {
        "maxConcurrentProcesses": 64,
        "defaultRunTimeoutMs": 30_000,
        "maxRunTimeoutMs": 300_000,
        "maxOutputBytes": 1_048_576,
        "maxLogBytesPerProcess": 10_485_760,
        "maxInputBytesPerRequest": 65_536,
    }
    for name in limits:
        assert problem(client.post(f"{PROCESSES}/config", json=limits | {name: 0})) == (400, "invalid_request")
    assert client.get(f"{PROCESSES}/config").json() == limits
    clamped = client.post(f"{PROCESSES}/config", json=limits | {"defaultRunTimeoutMs": 300_001})
    assert clamped.json() == limits | {"defaultRunTimeoutMs": 300_000}
    small = client.post(f"{PROCESSES}/config", json={"maxInputBytesPerRequest": 4, "maxConcurrentProcesses": 1}).json()
    assert small == clamped.json() | {"maxInputBytesPerRequest": 4, "maxConcurrentProcesses": 1}
    name = start(client, "exec cat")
    path = f"{PROCESSES}/{name}/input"
    assert client.post(path, json={"data": "1234", "encoding": "text"}).status_code == 200
    assert problem(client.post(path, json={"data": "12345", "encoding": "text"})) == (413, "invalid_request")
    assert problem(client.post(PROCESSES, json={"command": "true"})) == (409, "conflict")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {}),
        ("", {"command": ""}),
        ("", {"command": "no-such-program"}),
        ("", {"command": "true", "cwd": "/no/such/folder"}),
        ("", {"command": "true", "args": "x"}),
        ("", {"command": "true", "env": {"A": 1}}),
        ("", {"command": "true", "restartPolicy": "sometimes"}),
        ("", {"command": "true", "tty": True, "cols": 0}),
        ("/run", {"command": "a\0b"}),
        ("/run", {"command": "true", "timeoutMs": -1}),
        ("/proc_1/input", {"data": "?"}),
        ("/proc_1/input", {"data": "a", "encoding": "rot13"}),
        ("/proc_1/input", {}),
        ("/config", {"maxOutputBytes": "many"}),
    ],
)
def test_what_is_wrong_is_said(client: httpx2.Client, path: str, body: dict[str, Any]) -> None:
    start(client, "exec sleep 1000")
    assert problem(client.post(PROCESSES + path, json=body)) == (400, "invalid_request")


def test_a_process_that_does_not_read_holds_up_no_request(client: httpx2.Client, running_server: Server) -> None:
    """R28: input to it waits for its deadline; list, get, another's input and kill are answered meanwhile."""
    deaf, other = start(client, "exec sleep 1000"), start(client, "exec cat")
    block = {"data": "x" * 65_536, "encoding": "text"}
    assert client.post(f"{PROCESSES}/{deaf}/input", json=block).json() == {"bytesWritten": 65_536}
    with ThreadPoolExecutor(1) as pool, running_server.client() as second:
        waiting = pool.submit(second.post, f"{PROCESSES}/{deaf}/input", json=block)
        assert len(client.get(PROCESSES).json()["processes"]) == 2
        assert info(client, deaf)["status"] == "running"
        assert client.post(f"{PROCESSES}/{other}/input", json={"data": "aGk="}).json() == {"bytesWritten": 2}
        answer = waiting.result(DEADLINE)
    assert problem(answer) == (504, "timeout")
    assert answer.json()["bytesWritten"] == 0
    assert client.post(f"{PROCESSES}/{deaf}/kill", params={"waitMs": 60_000}).json()["status"] == "exited"


def test_a_fork_bomb_holds_up_no_request_and_is_ended_by_one(client: httpx2.Client, tmp_path: Path) -> None:
    """R12: a hundred processes that replace themselves without end; one call, and none is left."""
    bomb = tmp_path / "bomb.py"
    bomb.write_text(
        "import os, time\n"
        "for _ in range(100):\n"
        "    if os.fork() == 0:\n"
        "        while True:\n"
        "            if os.fork(): os._exit(0)\n"
        "            time.sleep(0.05)\n"
        "print('lit', flush=True)\n"
        "time.sleep(1000)\n"
    )

    def burning() -> list[Path]:
        return [one for one in Path("/proc").glob("[0-9]*/cmdline") if str(bomb).encode() in look(one)]

    name = start(client, f"exec {sys.executable} {bomb}")
    sse.collect(client, f"{PROCESSES}/{name}/logs?follow=true", lambda event: event.name == "log")
    poll(lambda: len(burning()) > 1, what="the bomb, of which each look may miss all")
    for _ in range(5):
        assert client.get("/v1/health").status_code == 200
        assert info(client, name)["status"] == "running"
        answer = client.post(f"{PROCESSES}/run", json={"command": "echo", "args": ["fine"]})
        assert answer.json()["stdout"] == "fine\n"
    assert client.post(f"{PROCESSES}/{name}/kill", params={"waitMs": 60_000}).json()["status"] == "exited"
    poll(lambda: burning() == [], what="the end of the last")


def look(file: Path) -> bytes:
    """A file below /proc, whose process may end meanwhile."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_a_slow_reader_of_a_flood_gets_all_of_it(client: httpx2.Client, running_server: Server) -> None:
    """R5: it is six times the limit behind, others are not held up, and nothing is lost to it."""
    name = start(client, "read go; head -c 64000000 /dev/zero")
    with socket.create_connection(("127.0.0.1", running_server.port), DEADLINE) as slow:
        slow.sendall(f"GET {PROCESSES}/{name}/logs?follow=true HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        received = slow.recv(64)
        client.post(f"{PROCESSES}/{name}/input", json={"data": "Cg=="})
        deadline = time.monotonic() + DEADLINE
        while info(client, name)["status"] != "exited":
            assert time.monotonic() < deadline
        chunks = [received]
        while chunk := slow.recv(1 << 20):
            chunks.append(chunk)
    body = b"".join(chunks).partition(b"\r\n\r\n")[2]
    events = [sse.parse(block) for block in body.split(b"\n\n")[:-1]]
    logs = [json.loads(event.data) for event in events if event.name == "log"]
    assert [entry["sequence"] for entry in logs] == list(range(1, len(logs) + 1))
    assert text(logs) == bytes(64_000_000)
    assert {event.name for event in events} <= {"log", "heartbeat", "exit"}
    assert events[-1].name == "exit"


def test_the_token_does_not_reach_a_process(tmp_path: Path) -> None:
    """S4: nor does anything else that the server was given in its environment."""
    given = {"SANDBOX_AGENT_TOKEN": "tok3n", "SOME_SECRET": "s3cret"}
    with (
        serve(tmp_path / "home", token=given["SANDBOX_AGENT_TOKEN"], env=given) as server,
        server.client() as client,
    ):
        run = client.post(f"{PROCESSES}/run", json={"command": "env"}).json()
        assert "tok3n" not in run["stdout"]
        assert "s3cret" not in run["stdout"]
        name = start(client, "env")
        assert b"s3cret" not in text([event.json() for event in ended(client, name)[:-1]])


def test_nothing_outlives_the_server(tmp_path: Path) -> None:
    """R23: not when it is asked to end, and not when it is killed."""
    for number in (15, 9):
        with serve(tmp_path / str(number)) as server, server.client() as client:
            run = {"command": "sh", "args": ["-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]}
            pids = [int(client.post(f"{PROCESSES}/run", json=run).json()["stdout"])]
            name = start(client, "trap '' TERM; while :; do sleep 1; done")
            pids.append(info(client, name)["pid"])
            server.stop(number)
            poll(lambda: not any(map(alive, pids)))  # noqa: B023 - called at once


def test_the_end_of_a_process_can_be_waited_for(client: httpx2.Client) -> None:
    """A held request is answered by the end; one that holds too shortly by how it is."""
    name = start(client, "read x; exit 7", interactive=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, f"{PROCESSES}/{name}", headers={"Prefer": "wait=60"})
        assert client.get(f"{PROCESSES}/{name}", headers={"Prefer": "wait=0.1"}).json()["status"] == "running"
        assert not waiting.done()
        client.post(f"{PROCESSES}/{name}/input", json={"data": "Cg=="})
        answer = waiting.result(DEADLINE).json()
    assert (answer["status"], answer["exitCode"]) == ("exited", 7)
    assert client.get(f"{PROCESSES}/none", headers={"Prefer": "wait=60"}).status_code == 404

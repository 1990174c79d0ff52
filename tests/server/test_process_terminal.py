"""Terminals over WebSockets: keys, output, offsets, several lookers, screens drawn anew, floods, and the end."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from websockets.exceptions import InvalidStatus

from ..support.server import poll, serve
from ..support.terminal import DEADLINE, Viewer, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from ..support.server import Server

LIMITS = "/v1/processes/config"
MIB = 1 << 20
BASH = {"env": {"PS1": "ready> ", "HISTFILE": "/dev/null"}}


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[httpx2.Client]:
    with module_server.client() as client:
        client.post(LIMITS, json={"maxConcurrentProcesses": 1000})
        yield client


@pytest.fixture(autouse=True)
def nothing_left(client: httpx2.Client) -> Iterator[None]:
    """Each test's processes go with it."""
    yield
    for process in client.get("/v1/processes").json()["processes"]:
        client.post(f"/v1/processes/{process['id']}/kill")
        poll(lambda path=f"/v1/processes/{process['id']}": client.delete(path).status_code in {204, 404})


def bash(client: httpx2.Client, **options: Any) -> str:
    return start(client, "bash", "--norc", "--noprofile", "-i", **(BASH | options))


def view(server: Server, name: str, **query: int | str) -> Viewer:
    return Viewer(server.url, name, **query)


def info(client: httpx2.Client, name: str) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/v1/processes/{name}").json()
    return told


def refusal(server: Server, name: str, **query: int | str) -> dict[str, Any]:
    with pytest.raises(InvalidStatus) as refused:
        view(server, name, **query)
    document: dict[str, Any] = json.loads(refused.value.response.body or b"")
    assert document["status"] == refused.value.response.status_code
    return document


def test_keys_go_in_and_output_comes_out_byte_for_byte(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "stty raw -echo; printf go; exec cat")
    with view(module_server, name) as viewer:
        assert viewer.ready == {
            "type": "ready",
            "processId": name,
            "offset": 0,
            "repaint": False,
            "cols": 80,
            "rows": 24,
        }
        viewer.until_text("go")
        viewer.type("grüße")
        viewer.say(type="input", data="!", encoding="utf8")
        viewer.say(type="input", data="?", encoding="text")
        viewer.type_bytes(b"\x00\xff")
        viewer.socket.send(b"\x01raw")
        expected = "gogrüße!?".encode() + b"\x00\xff\x01raw"
        viewer.until(lambda viewer: len(viewer.data) == len(expected))
        assert viewer.data == expected


def test_the_last_bytes_come_before_the_exit_and_the_exit_before_the_close(
    module_server: Server, client: httpx2.Client
) -> None:
    name = start(client, "sh", "-c", "stty -echo; printf ready; read x; seq 20000; printf last; exit 7")
    with view(module_server, name) as viewer:
        viewer.until_text("ready")
        viewer.type("\r")
        output = viewer.all()
    numbers = "".join(f"{number}\r\n" for number in range(1, 20_001))
    assert output == f"ready{numbers}last".encode()
    assert viewer.frames == [{"type": "exit", "exitCode": 7}]
    assert (viewer.socket.close_code, viewer.socket.close_reason) == (1000, "")


def test_a_process_that_was_ended_by_a_signal_says_by_which(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "printf here; exec sleep 1000")
    with view(module_server, name) as viewer:
        viewer.until_text("here")
        client.post(f"/v1/processes/{name}/kill")
        viewer.all()
        assert viewer.frames == [{"type": "exit", "exitCode": None, "signal": 9}]


def test_who_comes_after_the_end_sees_what_there_was(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "printf 'all of it'; exit 3")
    poll(lambda: info(client, name)["status"] == "exited")
    for _ in range(3):
        with view(module_server, name) as viewer:
            assert viewer.all() == b"all of it"
            assert viewer.frames == [{"type": "exit", "exitCode": 3}]


def test_several_lookers_see_the_same_and_all_may_type(module_server: Server, client: httpx2.Client) -> None:
    name = bash(client)
    with view(module_server, name) as one, view(module_server, name) as two:
        one.until_text("ready> ")
        two.until_text("ready> ")
        one.type("echo from $((40 + 1))\r")
        two.until_text("from 41")
        two.type("echo from $((40 + 2))\r")
        one.until_text("from 42")
        two.until_text("from 42")
        assert one.screen.text() == two.screen.text()


def test_a_looker_that_goes_leaves_the_process_to_the_others(module_server: Server, client: httpx2.Client) -> None:
    name = bash(client)
    with view(module_server, name) as stays:
        stays.until_text("ready> ")
        with view(module_server, name) as goes:
            goes.say(type="close")
            goes.all()
            assert goes.socket.close_code == 1000
        with view(module_server, name) as cut:
            cut.socket.socket.close()
        stays.type("echo still $((40 + 2))\r")
        stays.until_text("still 42")


def test_output_goes_on_at_any_byte(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "stty -echo raw; seq 1000; printf over; exec cat")
    with view(module_server, name) as viewer:
        viewer.until_text("over")
        whole = bytes(viewer.data)
    for offset in (0, 1, 17, len(whole) // 2, len(whole) - 1, len(whole)):
        with view(module_server, name, offset=offset) as later:
            assert (later.ready["offset"], later.ready["repaint"]) == (offset, False)
            later.until(lambda viewer, rest=whole[offset:]: bytes(viewer.data) == rest)
    with view(module_server, name, offset=len(whole)) as last:
        last.type("more")
        last.until(lambda viewer: viewer.data == b"more")


def test_an_offset_that_cannot_be_had_gets_the_screen_instead(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "stty -echo raw; printf hello; exec cat")
    with view(module_server, name) as viewer:
        viewer.until_text("hello")
    with view(module_server, name, offset=10**9) as ahead:
        assert (ahead.ready["offset"], ahead.ready["repaint"]) == (5, True)
        assert ahead.screen.text()[0] == "hello"
        assert ahead.data == b""
        ahead.type("!")
        ahead.until(lambda viewer: viewer.data == b"!")
        assert ahead.screen.text()[0] == "hello!"


def test_who_looks_second_is_not_told_questions_that_were_answered(
    module_server: Server, client: httpx2.Client
) -> None:
    """Programs ask terminals what they are; an answer to an old question would be taken for keys."""
    name = start(client, "sh", "-c", r"stty -echo raw; printf 'hi\033[c\033[6n'; exec cat")
    with view(module_server, name) as first:
        first.until(lambda viewer: viewer.data == b"hi\x1b[c\x1b[6n")
    with view(module_server, name) as second:
        assert second.ready["repaint"]
        assert second.screen.text()[0] == "hi"
        assert second.data == b""


def test_the_size_is_that_of_the_request_and_of_whoever_resized_last(
    module_server: Server, client: httpx2.Client
) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done"
    name = start(client, "sh", "-c", script, cols=100, rows=30)
    with view(module_server, name) as viewer:
        assert (viewer.ready["cols"], viewer.ready["rows"]) == (100, 30)
        viewer.until_text("30 100")
        viewer.resize(90, 20)
        viewer.until_text("20 90")
        answer = client.post(f"/v1/processes/{name}/terminal/resize", json={"cols": 120, "rows": 40})
        assert answer.json() == {"cols": 120, "rows": 40}
        viewer.until_text("40 120")
        told = info(client, name)
        assert (told["cols"], told["rows"]) == (120, 40)
    for bad in ({"cols": 0, "rows": 1}, {"cols": 1}, {"cols": 70_000, "rows": 1}):
        assert client.post(f"/v1/processes/{name}/terminal/resize", json=bad).status_code == 400


def test_what_is_no_terminal_has_none(module_server: Server, client: httpx2.Client) -> None:
    name = str(client.post("/v1/processes", json={"command": "cat"}).json()["id"])
    assert (refusal(module_server, name)["status"], refusal(module_server, "proc_0")["status"]) == (409, 404)
    assert refusal(module_server, name, offset=-1)["status"] == 400
    assert client.post(f"/v1/processes/{name}/terminal/resize", json={"cols": 1, "rows": 1}).status_code == 409
    assert client.get(f"/v1/processes/{name}/terminal/screen").status_code == 409
    assert client.get("/v1/processes/proc_0/terminal/screen").status_code == 404
    client.post(f"/v1/processes/{name}/kill")


def test_what_cannot_be_understood_is_told_and_does_no_harm(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "stty -echo raw; printf go; exec cat")
    limit = client.get(LIMITS).json()["maxInputBytesPerRequest"]
    wrong = (
        "{",
        "[]",
        "[" * 100_000,
        '{"type":"nothing"}',
        '{"type":"input"}',
        '{"type":"input","data":"%%%","encoding":"base64"}',
        '{"type":"input","data":"x","encoding":"rot13"}',
        '{"type":"resize","cols":0,"rows":1}',
        json.dumps({"type": "input", "data": "x" * (limit + 1)}),
        b"x" * (limit + 1),
    )
    with view(module_server, name) as viewer:
        viewer.until_text("go")
        for message in wrong:
            before = len(viewer.frames)
            viewer.socket.send(message)
            viewer.until(lambda viewer, count=before: len(viewer.frames) > count)
            assert viewer.frames[-1]["type"] == "error"
            assert viewer.frames[-1]["message"]
        viewer.type("fine")
        viewer.until(lambda viewer: viewer.data == b"gofine")


def test_the_log_of_a_terminal_is_one_stream(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", "printf out; printf err >&2")
    poll(lambda: info(client, name)["status"] == "exited")
    for stream, expected in (("combined", b"outerr"), ("pty", b"outerr"), ("stdout", b""), ("stderr", b"")):
        entries = client.get(f"/v1/processes/{name}/logs", params={"stream": stream}).json()["entries"]
        assert b"".join(base64.b64decode(entry["data"]) for entry in entries) == expected
        assert {entry["stream"] for entry in entries} <= {"pty"}
    unasked = client.get(f"/v1/processes/{name}/logs").json()
    assert (unasked["stream"], len(unasked["entries"]) > 0) == ("pty", True)


def test_a_terminal_takes_input_over_plain_http_too(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", 'stty -echo; printf go; read line; echo "[$line]"')
    with view(module_server, name) as viewer:
        viewer.until_text("go")
        client.post(f"/v1/processes/{name}/input", json={"data": "typed\r", "encoding": "utf8"})
        assert viewer.all().endswith(b"[typed]\r\n")


def test_the_screen_is_told_as_text(module_server: Server, client: httpx2.Client) -> None:
    name = start(client, "sh", "-c", r"stty -echo raw; printf '\033]0;my title\007one\r\n\033[31mtwo'; exec cat")
    path = f"/v1/processes/{name}/terminal/screen"
    poll(lambda: client.get(path).json()["lines"][1] == "two")
    told = client.get(path).json()
    assert told["lines"] == ["one", "two", *[""] * 22]
    assert (told["cursorRow"], told["cursorCol"], told["cols"], told["rows"]) == (1, 3, 80, 24)
    assert (told["title"], told["alternate"]) == ("my title", False)


def same(one: Viewer, other: Viewer) -> bool:
    """Whether two people see the same."""
    left, right = one.screen, other.screen
    cells = all(left.buffer[y][x] == right.buffer[y][x] for y in range(left.lines) for x in range(left.columns))
    return (
        cells
        and (left.cursor.x, left.cursor.y, left.cursor.hidden) == (right.cursor.x, right.cursor.y, right.cursor.hidden)
        and (left.alternate, left.flags, left.shape) == (right.alternate, right.flags, right.shape)
    )


def colours(viewer: Viewer) -> set[str]:
    screen = viewer.screen
    return {screen.buffer[y][x].fg for y in range(screen.lines) for x in range(screen.columns)} - {"default"}


def test_vim_is_drawn_anew_for_who_comes_later(module_server: Server, client: httpx2.Client, tmp_path: Path) -> None:
    """R24: text, colours, cursor, the alternate screen and its modes; and the screen below comes back."""
    source = tmp_path / "hello.c"
    source.write_text("int main(void) {\n" + "".join(f"    int x{n} = {n};\n" for n in range(100)) + "}\n")
    settings = ("set noswapfile viminfo= background=dark number", "syntax on", "set cursorline")
    name = bash(client, env={"PS1": "ready> ", "HOME": str(tmp_path)}, cols=100, rows=30)
    with view(module_server, name) as first:
        first.until_text("ready> ")
        arguments = " ".join(f"-c '{command}'" for command in settings)
        first.type(f"vim -u NONE -N {arguments} {source}\r")
        first.until(lambda viewer: viewer.screen.alternate and "int x27" in "\n".join(viewer.screen.text()))
        first.type("20Gwwi9\x1b")
        first.until(lambda viewer: "x9" in "\n".join(viewer.screen.text()))
        with view(module_server, name) as second:
            assert second.ready["repaint"]
            assert second.screen.alternate
            assert len(colours(second)) > 2
            both_until_same(first, second)
            second.type(":q!\r")
            second.until(lambda viewer: not viewer.screen.alternate)
            assert any("ready> vim" in line for line in second.screen.text())
            both_until_same(first, second)


def both_until_same(one: Viewer, other: Viewer) -> None:
    """Read both until nothing differs: each may be behind the other at any moment."""
    end = time.monotonic() + DEADLINE
    while not same(one, other):
        assert time.monotonic() < end, (one.screen.text(), other.screen.text())
        for viewer in (one, other):
            try:
                viewer.read(0.05)
            except TimeoutError:
                continue


def test_htop_is_drawn_anew_for_who_comes_later(module_server: Server, client: httpx2.Client, tmp_path: Path) -> None:
    """R24: a program that keeps writing, and only what has changed."""
    name = start(client, "htop", "-d", "5", env={"HOME": str(tmp_path)}, cols=110, rows=35)
    with view(module_server, name) as first:
        first.until(lambda viewer: "F10Quit" in viewer.screen.text()[-1])
        for _ in range(3):
            with view(module_server, name) as later:
                assert later.ready["repaint"]
                assert later.screen.alternate
                assert "F10Quit" in later.screen.text()[-1]
                assert len(colours(later)) > 2
                both_until_same(first, later)
        first.type("q")
        first.all()
        assert first.frames[-1] == {"type": "exit", "exitCode": 0}


def test_a_screen_is_drawn_anew_within_a_moment(module_server: Server, client: httpx2.Client, tmp_path: Path) -> None:
    """Even of a program that has written much since: the screen does not start from the beginning."""
    draw = r"printf '\033[%d;%dH\033[3%dm%05d' $((n % 24 + 1)) $((n % 70 + 1)) $((n % 8)) $n"
    script = f"for n in $(seq 3000); do {draw}; done"
    name = start(client, "sh", "-c", f"stty raw -echo; {script}; printf over; exec cat")
    with view(module_server, name) as first:
        first.until_text("over")
        with view(module_server, name) as second:
            assert second.ready["repaint"]
            both_until_same(first, second)


def test_a_flood_keeps_memory_flat_and_is_interrupted_through_the_same_socket(
    module_server: Server, client: httpx2.Client
) -> None:
    name = bash(client)
    server = psutil.Process(module_server.process.pid)
    with view(module_server, name) as viewer:
        viewer.until_text("ready> ")
        before = server.memory_info().rss
        viewer.type("yes 0123456789012345678901234567890123456789\r")
        peak, seen = before, 0
        while seen < 64 * MIB:
            message = viewer.socket.recv(DEADLINE)
            seen += len(message)
            peak = max(peak, server.memory_info().rss)
        viewer.type("\x03")
        viewer.screen.reset()
        tail = b""
        while b"ready> " not in tail:
            message = viewer.socket.recv(DEADLINE)
            assert isinstance(message, bytes)
            tail = tail[-20:] + message
        viewer.type("echo over $((40 + 2))\r")
        viewer.until_text("over 42")
        assert peak - before < 48 * MIB
        with view(module_server, name) as later:
            assert any("over 42" in line for line in later.screen.text())
            assert any("01234567890123456789" in line for line in later.screen.text())


def test_a_looker_that_is_too_slow_for_a_flood_gets_the_screen_and_memory_stays_flat(tmp_path: Path) -> None:
    with serve(tmp_path / "server") as server, server.client() as client:
        client.post(LIMITS, json={"maxLogBytesPerProcess": MIB})
        process = psutil.Process(server.process.pid)
        name = start(
            client,
            "sh",
            "-c",
            "stty raw -echo; printf go; read x; yes 012345678901234567890123 | head -c 50000000; printf over; exec cat",
        )
        with Viewer(server.url, name) as slow:
            slow.until_text("go")
            before = process.memory_info().rss
            slow.type("\n")
            with Viewer(server.url, name, offset=0) as quick:
                quick.until(lambda viewer: "over" in "".join(viewer.screen.text()))
            assert process.memory_info().rss - before < 48 * MIB
            slow.until(lambda viewer: "over" in "".join(viewer.screen.text()))
            assert [frame["type"] for frame in slow.frames] == ["ready"] * len(slow.frames) != []
            assert slow.frames[-1]["repaint"]
            assert slow.frames[-1]["offset"] <= 50_000_006
            slow.type("x")
            slow.until(lambda viewer: viewer.data[-1:] == b"x")


def test_a_program_that_does_not_read_holds_up_nobody_else(tmp_path: Path) -> None:
    """R28: its own looker is told, and everything else goes on."""
    with serve(tmp_path / "server") as server, server.client() as client:
        stuck = start(client, "sh", "-c", "stty raw -echo; printf go; exec sleep 1000")
        fine = start(client, "sh", "-c", "stty raw -echo; printf go; exec cat")
        with Viewer(server.url, stuck) as mute, Viewer(server.url, fine) as other:
            mute.until_text("go")
            other.until_text("go")
            for _ in range(4):
                mute.type("x" * 30_000)
            for number in range(50):
                other.type("k")
                other.until(lambda viewer, count=number + 3: len(viewer.data) == count)
            assert client.get("/v1/processes").status_code == 200
            mute.until(lambda viewer: any(frame["type"] == "error" for frame in viewer.frames))
            assert client.post(f"/v1/processes/{stuck}/kill", params={"waitMs": 60_000}).json()["status"] == "exited"
            mute.until(lambda viewer: viewer.frames[-1]["type"] == "exit")


def test_many_terminals_are_open_and_keys_still_echo(tmp_path: Path) -> None:
    """R33: each has a looker and gets its own keys back. How fast is for a benchmark."""
    count = 500
    with serve(tmp_path / "server") as server, server.client() as client:
        client.post(LIMITS, json={"maxConcurrentProcesses": count})
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(lambda _: start(client, "cat"), range(count)))
            viewers = list(pool.map(lambda name: Viewer(server.url, name), names))
        try:
            for number, viewer in enumerate(viewers):
                viewer.type(f"{number},")
                viewer.until(lambda viewer, text=f"{number},": viewer.data == text.encode())
            assert len({bytes(viewer.data) for viewer in viewers}) == count
        finally:
            for viewer in viewers:
                viewer.close()

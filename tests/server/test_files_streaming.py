"""Large files over HTTP: flat memory, broken connections, slow readers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from ..support.server import DEADLINE, poll, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server

SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))
GIB = 1 << 30
MIB = 1 << 20
MOST_OVER_IDLE = 30 * MIB


def memory(server: Server, what: str) -> int:
    """``VmRSS`` is what the server has, ``VmHWM`` the most it had since `forget`, in bytes."""
    with open(f"/proc/{server.process.pid}/status") as status:  # noqa: PTH123 - of another process
        line = next(line for line in status if line.startswith(what))
    return int(line.split()[1]) * 1024


def forget(server: Server) -> None:
    """Let the most it had be what it has (proc(5), clear_refs)."""
    with open(f"/proc/{server.process.pid}/clear_refs", "w") as refs:  # noqa: PTH123 - of another process
        refs.write("5")


def open_below(server: Server, folder: Path) -> list[str]:
    """The files below a folder that the server has open; those without a name, too."""
    found = []
    for fd in os.listdir(f"/proc/{server.process.pid}/fd"):  # noqa: PTH208 - of another process
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{server.process.pid}/fd/{fd}"))  # noqa: PTH115 - of another process
    return [path for path in found if path.startswith(f"{folder}/")]


def connect(server: Server, head: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
    sock.sendall(f"{head} HTTP/1.1\r\nHost: localhost\r\n".encode())
    return sock


def receive(sock: socket.socket) -> tuple[bytes, int, str]:
    """The head of an answer, and of its body the length and digest, until the connection ends."""
    received = b""
    while b"\r\n\r\n" not in received and (chunk := sock.recv(65536)):
        received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    digest, size = hashlib.blake2b(rest), len(rest)
    buffer = memoryview(bytearray(MIB))
    with contextlib.suppress(ConnectionResetError):
        while count := sock.recv_into(buffer):
            digest.update(buffer[:count])
            size += count
    return head, size, digest.hexdigest()


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Server]:
    """A server that has handled a file of a few MiB, so that what stays with it is there."""
    with serve(tmp_path / "server") as server, server.client() as client:
        for path in (f"{tmp_path}/warm", f"{tmp_path}/warm"):
            client.put("/v1/fs/file", params={"path": path}, content=bytes(4 * MIB))
            client.get("/v1/fs/file", params={"path": path})
        yield server


@pytest.mark.slow
def test_a_gibibyte_goes_down_and_up_in_flat_memory(warm: Server, tmp_path: Path) -> None:
    size = int(GIB * SCALE)
    with (tmp_path / "big").open("wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        file.write(b"in the middle")
    idle = memory(warm, "VmRSS")
    forget(warm)
    with connect(warm, f"GET /v1/fs/file?path={tmp_path}/big") as sock:
        sock.sendall(b"Connection: close\r\n\r\n")
        head, received, digest = receive(sock)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert received == size
    assert memory(warm, "VmHWM") - idle < MOST_OVER_IDLE
    with (tmp_path / "big").open("rb") as file:
        assert hashlib.file_digest(file, "blake2b").hexdigest() == digest
        file.seek(0)
        with connect(warm, f"PUT /v1/fs/file?path={tmp_path}/copy") as sock:
            sock.sendall(f"Content-Length: {size}\r\nConnection: close\r\n\r\n".encode())
            sock.sendfile(file)
            head, _, _ = receive(sock)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert memory(warm, "VmHWM") - idle < MOST_OVER_IDLE
    with (tmp_path / "copy").open("rb") as file:
        assert hashlib.file_digest(file, "blake2b").hexdigest() == digest


def test_an_upload_that_breaks_off_leaves_the_old_file_and_nothing_else(module_server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    for extra, body in (("Content-Length: 9999999", b"x" * 3 * MIB), ("Transfer-Encoding: chunked", b"3\r\nabc\r\n")):
        with connect(module_server, f"PUT /v1/fs/file?path={tmp_path}/f") as sock:
            sock.sendall(f"{extra}\r\n\r\n".encode() + body)
            poll(lambda: open_below(module_server, tmp_path), what="the upload to begin")
        poll(lambda: not open_below(module_server, tmp_path), what="the upload to be undone")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def test_a_server_that_is_killed_during_an_upload_leaves_the_old_file(tmp_path: Path) -> None:
    """And nothing beside it, where the file system has files without a name."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "f").write_text("old")
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
        beside = 0
    except OSError:
        beside = 1
    with serve(tmp_path / "server") as server, connect(server, f"PUT /v1/fs/file?path={folder}/f") as sock:
        sock.sendall(b"Content-Length: 9999999\r\n\r\n" + b"x" * 3 * MIB)
        poll(lambda: open_below(server, folder), what="the upload to begin")
        server.stop(signal.SIGKILL)
    assert (folder / "f").read_text() == "old"
    assert len(list(folder.iterdir())) == 1 + beside


def test_a_malformed_chunk_is_a_broken_upload(module_server: Server, tmp_path: Path) -> None:
    with connect(module_server, f"PUT /v1/fs/file?path={tmp_path}/f") as sock:
        sock.sendall(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
        head, _, _ = receive(sock)
    assert head.startswith(b"HTTP/1.1 400 ")
    poll(lambda: not open_below(module_server, tmp_path), what="the upload to be undone")
    assert list(tmp_path.iterdir()) == []


def test_readers_that_do_not_read_hold_nobody_up(module_server: Server, tmp_path: Path) -> None:
    """More of them than there are threads; each still gets all of its file when it reads on."""
    content = os.urandom(MIB) * 24
    (tmp_path / "big").write_bytes(content)
    digest = hashlib.blake2b(content).hexdigest()
    with contextlib.ExitStack() as stack, module_server.client() as client:
        readers = [
            stack.enter_context(connect(module_server, f"GET /v1/fs/file?path={tmp_path}/big")) for _ in range(24)
        ]
        for reader in readers:
            reader.sendall(b"Connection: close\r\n\r\n")
        poll(lambda: len(open_below(module_server, tmp_path)) == len(readers), what="all downloads to begin")
        for number in range(20):
            path = {"path": f"{tmp_path}/small{number}"}
            assert client.put("/v1/fs/file", params=path, content=b"x").status_code == 200
            assert client.get("/v1/fs/file", params=path).content == b"x"
        for reader in readers:
            head, size, received = receive(reader)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert (size, received) == (len(content), digest)
    poll(lambda: not open_below(module_server, tmp_path), what="the files to be closed")


def test_a_reader_that_goes_lets_go_of_the_file(module_server: Server, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 * MIB)
    for read_first in (True, False):
        with connect(module_server, f"GET /v1/fs/file?path={tmp_path}/big") as sock:
            sock.sendall(b"\r\n")
            poll(lambda: open_below(module_server, tmp_path), what="the download to begin")
            if read_first:
                assert sock.recv(1000)
        poll(lambda: not open_below(module_server, tmp_path), what="the file to be closed")


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection_not_the_server(
    running_server: Server, tmp_path: Path
) -> None:
    """What was announced cannot be sent any more; the reader sees that its answer was cut."""
    size = 64 * MIB
    with (tmp_path / "big").open("wb") as file:
        file.truncate(size)
        with connect(running_server, f"GET /v1/fs/file?path={tmp_path}/big") as sock:
            sock.sendall(b"\r\n")
            first = sock.recv(1000)
            file.truncate(0)
            _, received, _ = receive(sock)
    assert f"Content-Length: {size}".encode() in first
    assert received < size
    poll(lambda: "ends before" in running_server.log(), what="the cut to be logged")
    assert "Traceback" not in running_server.log()
    with running_server.client() as client:
        assert client.get("/v1/fs/file", params={"path": str(tmp_path / "big")}).content == b""


def test_a_server_that_stops_does_not_wait_for_readers(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 * MIB)
    with serve(tmp_path / "server") as server, connect(server, f"GET /v1/fs/file?path={tmp_path}/big") as sock:
        sock.sendall(b"\r\n")
        assert sock.recv(1000)
        assert server.stop() == 0
        assert "Traceback" not in server.log()


def test_nothing_of_all_this_was_a_fault_of_the_server(module_server: Server) -> None:
    assert "Traceback" not in (log := module_server.log()), log[-3000:]

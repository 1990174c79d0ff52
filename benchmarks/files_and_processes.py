"""Runs the files, processes and terminals of this server beside the reference's and prints both, with ratios.

As `run.py`: the same core for both, a fresh server for each measure, medians over the rounds.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measures import Measure
from run import main
from wire import Connection, Log, Peak, Terminal, path, start, upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hosts import Server
    from measures import Numbers

MIB = 1 << 20
TAR = "application/x-tar"
OCTETS = "application/octet-stream"
LINE = "0123456789abcdef" * 4
LEFT = contextlib.ExitStack()
"""What is removed at the end only: ext4 passes over the inodes of files deleted a moment ago one by one, so whoever
makes files after a thousand were deleted pays for them."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sandbox-agent-bench-") as folder:
        yield Path(folder)


def mib(count: int, scale: float) -> int:
    return max(4, int(count * scale)) * MIB


def get(server: Server, scale: float) -> Numbers:
    """The file is in the page cache."""
    size = mib(256, scale)
    with scratch() as folder, Connection(server) as connection:
        (folder / "large").write_bytes(bytes(size))
        taken = []
        with Peak(server) as peak:
            for _ in range(5):
                begun = time.perf_counter()
                status, length = connection.ask("GET", path("/v1/fs/file", path=str(folder / "large")))
                taken.append(time.perf_counter() - begun)
                if (status, length) != (200, size):
                    raise RuntimeError(f"the file was answered {status} with {length} bytes")
    return {"MB/s": size / statistics.median(taken) / 1e6, "memory over idle, MiB": peak.mib}


def put(server: Server, scale: float) -> Numbers:
    """It is on the disk when it is answered; a server that does not take it has no speed."""
    size = mib(256, scale)
    with scratch() as folder, Peak(server) as peak:
        target = path("/v1/fs/file", path=str(folder / "large"))
        status, taken = upload(server, "PUT", target, OCTETS, bytes(size))
        there = (folder / "large").stat().st_size if (folder / "large").exists() else 0
    return _uploaded(status == 200 and there == size, size, taken, peak)


def _uploaded(done: bool, size: int, taken: float, peak: Peak) -> Numbers:
    return {"refused": float(not done), "MB/s": size / taken / 1e6 if done else 0.0, "memory over idle, MiB": peak.mib}


def archive(count: int, size: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for number in range(count):
            member = tarfile.TarInfo(f"d{number // 100}/f{number}")
            member.size = size
            tar.addfile(member, io.BytesIO(bytes(size)))
    return data.getvalue()


def tar(server: Server, scale: float) -> Numbers:
    count = max(4, int(200 * scale))
    body = archive(count, MIB)
    with scratch() as folder, Peak(server) as peak:
        status, taken = upload(server, "POST", path("/v1/fs/upload-batch", path=str(folder / "up")), TAR, body)
        there = sum(1 for file in folder.rglob("f*") if file.stat().st_size == MIB)
    return _uploaded(status == 200 and there == count, len(body), taken, peak)


def small(server: Server, scale: float) -> Numbers:
    """One archive each time, into a new folder."""
    count = max(100, int(1000 * scale))
    body = archive(count, 200)
    taken = []
    folder = Path(LEFT.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-agent-bench-")))
    for number in range(10):
        target = path("/v1/fs/upload-batch", path=str(folder / str(number)))
        status, seconds = upload(server, "POST", target, TAR, body)
        there = sum(1 for file in (folder / str(number)).rglob("f*"))
        if (status, there) != (200, count):
            raise RuntimeError(f"the archive was answered {status} with {there} files")
        taken.append(seconds * 1000)
    return {"1,000 files, ms": statistics.median(taken[1:]) * 1000 / count}


def entries(server: Server, scale: float) -> Numbers:
    """The listing, and how long a health request takes while listings go on."""
    count = max(500, int(10_000 * scale))
    with scratch() as folder, Connection(server) as connection:
        for number in range(count):
            (folder / f"entry-{number:05}").touch()
        target = path("/v1/fs/entries", path=str(folder))
        connection.ask("GET", target)
        taken, over = [], threading.Event()
        delays: list[float] = []
        for _ in range(20):
            begun = time.perf_counter()
            status, _length = connection.ask("GET", target)
            taken.append((time.perf_counter() - begun) * 1000)
            if status != 200:
                raise RuntimeError(f"the listing was answered {status}")
        asking = threading.Thread(target=_ask_health, args=(server, over, delays))
        asking.start()
        for _ in range(20):
            connection.ask("GET", target)
        over.set()
        asking.join()
    delays.sort()
    return {
        "10,000 entries, ms": statistics.median(taken) * 10_000 / count,
        "health meanwhile p50, ms": statistics.median(delays),
        "health meanwhile p99, ms": delays[int(len(delays) * 0.99)],
    }


def _ask_health(server: Server, over: threading.Event, delays: list[float]) -> None:
    with Connection(server) as connection:
        while not over.is_set() or not delays:
            begun = time.perf_counter()
            connection.ask("GET", "/v1/health")
            delays.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.001)


def run_true(server: Server, scale: float) -> Numbers:
    count = max(50, int(300 * scale))
    body, headers = b'{"command":"true"}', "Content-Type: application/json\r\n"
    taken = []
    before = server.cpu_us()
    with Connection(server) as connection:
        for _ in range(count):
            begun = time.perf_counter()
            status, _ = connection.ask("POST", "/v1/processes/run", body, headers)
            taken.append((time.perf_counter() - begun) * 1000)
            if status != 200:
                raise RuntimeError(f"the command was answered {status}")
    taken.sort()
    cpu = (server.cpu_us() - before) / count
    return {"p50, ms": taken[count // 2], "p99, ms": taken[int(count * 0.99)], "server CPU each, us": cpu}


def _follow(server: Server, size: int, rate: float | None) -> Numbers:
    script = f"read go; yes {LINE} | head -c {size}"
    process = start(server, "sh", "-c", script, interactive=True)
    log = Log(server, process)
    before = server.cpu_us()
    with Peak(server) as peak:
        begun = time.perf_counter()
        server.request("POST", f"/v1/processes/{process}/input", {"data": "go\n", "encoding": "text"})
        log.read(size, rate)
    cpu = server.cpu_us() - before
    log.close()
    return {
        "MB/s": log.received / max(1e-9, log.last - begun) / 1e6,
        "lost, %": 100 * (1 - log.received / size),
        "server CPU a MB, us": cpu / max(1.0, log.received / 1e6),
        "memory over idle, MiB": peak.mib,
    }


def follow(server: Server, scale: float) -> Numbers:
    return _follow(server, mib(200, scale), None)


def follow_slowly(server: Server, scale: float) -> Numbers:
    return _follow(server, mib(60, scale), 10e6)


def keystroke(server: Server, scale: float) -> Numbers:
    """From the key's frame to its echo's: the terminal itself echoes, no program is waited for."""
    count = max(100, int(1000 * scale))
    process = start(server, "cat", tty=True, interactive=True)
    terminal = Terminal(server, process)
    terminal.quiet(0.5)
    taken = []
    for number in range(count):
        if number % 60 == 59:
            terminal.type("\r")
            terminal.quiet(0.05)
        begun = time.perf_counter()
        terminal.echo("qxzj"[number % 4])
        taken.append((time.perf_counter() - begun) * 1e6)
    terminal.close()
    taken.sort()
    return {"p50, us": taken[count // 2], "p99, us": taken[int(count * 0.99)]}


MEASURES = (
    Measure("get", get, "GET of a file of 256 MB"),
    Measure("put", put, "PUT of 256 MB"),
    Measure("tar", tar, "an archive of 200 MB, 200 files"),
    Measure("small files", small, "an archive of 1,000 files of 200 B"),
    Measure("entries", entries, "a folder of 10,000 files"),
    Measure("run", run_true, "POST of `true`, from the same connection"),
    Measure("log", follow, "200 MB of lines, followed as fast as they go"),
    Measure("log, slow reader", follow_slowly, "60 MB of lines to a reader of 10 MB/s"),
    Measure("keystroke", keystroke, "a key typed into a terminal, until its echo"),
)

if __name__ == "__main__":
    with LEFT:
        sys.exit(main(MEASURES, __doc__))

"""The desktop's stream on one core: a window that moves on a screen of 1440x900 pixels, seen by one viewer at 30 fps.

The server and its X server share a core; the moving program, the viewer and who asks for `/v1/health` have the others.
The viewer acknowledges each picture when it has come, and decodes it. Numbers:

- frames a second that come, their bits, and the time of a core that the server and all of the desktop take for them;
- capture to receipt: from the moment the server had the picture until its last byte is here;
- glass to glass: from the moment before a program paints a number until the number is seen in a decoded picture;
- how long `/v1/health` takes before and meanwhile.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import struct
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import httpx2
import psutil
from hosts import Bench, ours
from websockets.sync.client import connect

if TYPE_CHECKING:
    from hosts import Server

SIZE = (1440, 900)
FPS = 30
HEAD = struct.Struct(">BBHIQ")
PROGRAM = Path(__file__).parent / "programs" / "moving.py"
CELL, CELLS = 20, 16  # of the program
WARM = 2.0


@dataclass
class Seen:
    """What a viewer has had: delays in ms, and the moment (monotonic ns) at which each number was first seen."""

    frames: int = 0
    size: int = 0
    behind: list[float] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)


def watch(port: int, seconds: float) -> Seen:
    """Look at the stream, from now on."""
    seen = Seen()
    decoder: Any = av.CodecContext.create("h264", "r")
    address = f"ws://127.0.0.1:{port}/v1/desktop/stream/ws?codec=h264&fps={FPS}"
    with connect(address, max_size=None, compression=None) as socket:
        begun = time.monotonic()
        while (now := time.monotonic()) < begun + WARM + seconds:
            message = socket.recv(timeout=30)
            if isinstance(message, str):
                continue
            came = time.monotonic_ns()
            _, _, _, number, taken = HEAD.unpack_from(message)
            socket.send(json.dumps({"type": "ack", "number": number}))
            (picture,) = decoder.decode(av.Packet(message[HEAD.size :]))
            shown = _number(picture)
            if now < begun + WARM:
                continue
            seen.frames += 1
            seen.size += len(message)
            seen.behind.append(came / 1e6 - taken / 1e3)
            seen.numbers.setdefault(shown, time.monotonic_ns())
    return seen


def _number(picture: Any) -> int:
    """What the cells say."""
    plane = picture.planes[0]
    row = memoryview(plane)[CELL // 2 * plane.line_size :]
    return sum((row[CELL * bit + CELL // 2] > 128) << bit for bit in range(CELLS))


def ask_health(port: int, seconds: float) -> list[float]:
    """Milliseconds of each request, one after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    delays = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        connection.request("GET", "/v1/health")
        connection.getresponse().read()
        delays.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.005)
    return sorted(delays)


def processor_seconds(server: Server) -> tuple[float, float]:
    """Processor time of the server, threads that have ended too, and of X server and window manager."""
    own = psutil.Process(server.process.pid)
    desktop = [process for process in own.children(recursive=True) if process.name() in {"Xvfb", "openbox"}]
    return _seconds(own), sum(map(_seconds, desktop))


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(server: Server, seconds: float, others: ProcessPoolExecutor) -> dict[str, float]:
    address = f"http://127.0.0.1:{server.port}/v1/desktop"
    with tempfile.TemporaryDirectory() as folder, httpx2.Client(base_url=address, timeout=120) as client:
        stamps = Path(folder) / "stamps"
        client.post("/start", json={"width": SIZE[0], "height": SIZE[1]}).raise_for_status()
        quiet = others.submit(ask_health, server.port, seconds / 2).result()
        app = {"app": "/usr/bin/python3", "args": [str(PROGRAM), str(stamps)]}
        client.post("/launch", json=app).raise_for_status()
        while not stamps.exists() or not stamps.stat().st_size:
            time.sleep(0.1)
        begun, before = time.monotonic(), processor_seconds(server)
        asked = others.submit(ask_health, server.port, WARM + seconds)
        seen = watch(server.port, seconds)
        took = time.monotonic() - begun
        used, drawn = (now - then for now, then in zip(processor_seconds(server), before, strict=True))
        meanwhile = asked.result()
        painted = dict(
            map(int, line.split()) for line in stamps.read_text().splitlines(keepends=True) if line[-1] == "\n"
        )
        client.post("/stop").raise_for_status()
    numbers = sorted(seen.numbers)[1:]  # the first had been there before
    glass = sorted((seen.numbers[number] - painted[number]) / 1e6 for number in numbers if number in painted)
    seen.behind.sort()
    return {
        "frames a second": seen.frames / seconds,
        "Mbit a second": seen.size * 8 / seconds / 1e6,
        "server CPU, % of a core": used / took * 100,
        "X server CPU, % of a core": drawn / took * 100,
        "capture to receipt p50, ms": at(seen.behind, 0.5),
        "capture to receipt p95, ms": at(seen.behind, 0.95),
        "glass to glass p50, ms": at(glass, 0.5),
        "glass to glass p95, ms": at(glass, 0.95),
        "numbers seen": len(glass),
        "health before p99, ms": at(quiet, 0.99),
        "health before max, ms": quiet[-1],
        "health meanwhile p50, ms": at(meanwhile, 0.5),
        "health meanwhile p99, ms": at(meanwhile, 0.99),
        "health meanwhile max, ms": meanwhile[-1],
    }


def at(ordered: list[float], part: float) -> float:
    return ordered[int(len(ordered) * part)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="how long the stream is looked at")
    options = parser.parse_args()
    bench = Bench()
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as others,
        bench.running(ours()) as server,
    ):
        for name, value in measure(server, options.seconds, others).items():
            print(f"{name:<30}{value:>10,.1f}", flush=True)


if __name__ == "__main__":
    main()

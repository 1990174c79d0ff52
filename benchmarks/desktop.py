"""The desktop of this server beside the reference's: milliseconds from request to answer, and bytes of pictures.

Each has a fresh server and a desktop of 1440x900 pixels with the same busy content, a number that changes every 20 ms
in it, and time for it to change from one request to the next, so that no picture is one that was encoded before. Needs
what the reference's desktop wants from the system.

Then ours alone at 1920x1080, through the Python SDK, with all cores for the server and a terminal that is flooded
beside the busy window: how long `.screenshot()` takes, and `/v1/health` meanwhile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from desktop_stream import ask_health, at
from hosts import Bench, ours, reference, reference_program

from sandbox_agent import SandboxAgent

if TYPE_CHECKING:
    from collections.abc import Callable

    from hosts import Server

SIZE = (1440, 900)
TEXT = "The quick brown fox jumps over the lazy dog; 0123456789 times it did, and nobody has seen it coming."[:100]
BUSY = str(Path(__file__).parent / "programs" / "busy.py")
CHANGED = 0.03  # s after which the screen is another
LARGE = (1920, 1080)
FLOOD = "while :; do seq 100000; done"

Numbers = dict[str, float]


class Desktop:
    """Requests to one server's desktop."""

    def __init__(self, server: Server) -> None:
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{server.port}/v1/desktop", timeout=120)

    def get(self, path: str, **query: Any) -> Any:
        return self._checked(self.http.get(path, params=query))

    def post(self, path: str, **body: Any) -> Any:
        return self._checked(self.http.post(path, json=body))

    @staticmethod
    def _checked(response: Any) -> Any:
        response.raise_for_status()
        return response


def timed(times: int, act: Callable[[], Any], apart: float = 0) -> tuple[float, Any]:
    """The median in milliseconds, and the last answer; requests begin at least ``apart`` seconds from each other."""
    taken, answer = [], None
    begun = 0.0
    for _ in range(times):
        time.sleep(max(0, begun + apart - time.perf_counter()))
        begun = time.perf_counter()
        answer = act()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken), answer


def fill(desktop: Desktop) -> None:
    """The busy window, and a terminal that is typed into."""
    desktop.post("/launch", app="xterm", args=["-iconic", "-e", "/usr/bin/python3", BUSY])
    desktop.post("/launch", app="xterm", args=["-geometry", "60x12+900+640", "-T", "typed", "-e", "cat"])
    wanted = {"busy", "typed"}
    while not wanted <= {window["title"] for window in desktop.get("/windows").json()["windows"]}:
        time.sleep(0.2)
    typed = next(w for w in desktop.get("/windows").json()["windows"] if w["title"] == "typed")
    desktop.post(f"/windows/{typed['id']}/focus")
    time.sleep(2)


def measure(server: Server, times: int) -> Numbers:
    desktop = Desktop(server)
    numbers: Numbers = {}
    numbers["start"], _ = timed(1, lambda: desktop.post("/start", width=SIZE[0], height=SIZE[1]))
    fill(desktop)
    for form in ("png", "jpeg", "webp"):
        numbers[form], answer = timed(times, lambda form=form: desktop.get("/screenshot", format=form), CHANGED)
        numbers[f"{form} bytes"] = len(answer.content)
    part = {"x": 100, "y": 100, "width": 400, "height": 300}
    numbers["region 400x300"], _ = timed(times, lambda: desktop.get("/screenshot/region", **part), CHANGED)
    for name, act in {
        "move": lambda: desktop.post("/mouse/move", x=1300, y=850),
        "click": lambda: desktop.post("/mouse/click", x=1000, y=700),
        "position": lambda: desktop.get("/mouse/position"),
        "press": lambda: desktop.post("/keyboard/press", key="ctrl+a"),
        "type 100 characters": lambda: desktop.post("/keyboard/type", text=TEXT),
        "windows": lambda: desktop.get("/windows"),
        "status": lambda: desktop.get("/status"),
    }.items():
        numbers[name], _ = timed(times, act)
    desktop.post("/stop")
    return numbers


def flooded(port: int, times: int, others: ProcessPoolExecutor) -> Numbers:
    """Of a screen of 1920x1080 pixels that is drawn on all the time, through the SDK."""
    numbers: Numbers = {}
    with SandboxAgent.connect(f"http://127.0.0.1:{port}") as agent:
        desktop = agent.desktop
        desktop.start(width=LARGE[0], height=LARGE[1])
        desktop.launch("xterm", ["-iconic", "-e", "/usr/bin/python3", BUSY])
        desktop.launch("xterm", ["-geometry", "100x60+1000+50", "-T", "flood", "-e", "sh", "-c", FLOOD])
        while not {"busy", "flood"} <= {window.title for window in desktop.windows()}:
            time.sleep(0.2)
        time.sleep(2)
        for form in ("png", "jpeg"):
            asked = others.submit(ask_health, port, times * 0.04)
            taken = []
            for _ in range(times):
                time.sleep(0.01)
                begun = time.perf_counter()
                shot = desktop.screenshot(format=form)
                taken.append((time.perf_counter() - begun) * 1000)
            taken.sort()
            meanwhile = asked.result()
            numbers |= {
                f"1080p {form} p50": at(taken, 0.5),
                f"1080p {form} p95": at(taken, 0.95),
                f"1080p {form} bytes": len(shot.data),
                f"1080p {form} health p99": at(meanwhile, 0.99),
                f"1080p {form} health max": meanwhile[-1],
            }
        desktop.stop()
    return numbers


def large(times: int, bench: Bench) -> None:
    """On all cores, as a server has them."""
    every = sorted({bench.core, *bench.rest})
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as others:
        others.submit(os.getpid).result()
        with bench.running(ours(), cores=every) as server:
            for name, value in flooded(server.port, times, others).items():
                print(f"{name:<22}{'ours':>12} {value:>12,.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=15, help="how often each is asked (the median counts)")
    parser.add_argument("--rounds", type=int, default=3, help="fresh servers of each, in turn")
    parser.add_argument("--shots", type=int, default=100, help="screenshots of each format at 1920x1080")
    parser.add_argument("--host", choices=["ours", "reference"], help="measure only one of the two")
    parser.add_argument("--reference", type=Path, metavar="PATH", help="the reference's program (default: from npm)")
    options = parser.parse_args()
    hosts = [] if options.host == "ours" else [reference(options.reference or reference_program())]
    hosts += [] if options.host == "reference" else [ours()]
    bench = Bench()
    rounds: dict[str, list[Numbers]] = {host.name: [] for host in hosts}
    for _ in range(options.rounds):
        for host in hosts:
            with bench.running(host) as server:
                rounds[host.name].append(measure(server, options.times))
    for name in next(iter(rounds.values()))[0]:
        found = {host: statistics.median(numbers[name] for numbers in measured) for host, measured in rounds.items()}
        cells = "".join(f"{host:>12} {value:>12,.1f}" for host, value in found.items())
        ratio = (
            f"   reference/ours {found['reference'] / found['ours']:8.1f}" if len(found) == len(("both", "of")) else ""
        )
        print(f"{name:<22}{cells}{ratio}", flush=True)
    if options.host != "reference":
        large(options.shots, bench)


if __name__ == "__main__":
    main()

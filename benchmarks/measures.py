"""What is measured. Each measure gets a fresh server and returns numbers by name.

A name ends in its unit: what is counted a second is better the larger, all else the smaller.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hosts import alive, terminate

if TYPE_CHECKING:
    from collections.abc import Callable

    from hosts import Server

Numbers = dict[str, float]


@dataclass(frozen=True)
class Measure:
    name: str
    run: Callable[[Server, float], Numbers]  # the second argument shrinks the work
    about: str


def start(server: Server, scale: float) -> Numbers:
    time.sleep(1)
    return {"start to healthy, ms": server.started_ms, "idle memory, MiB": server.memory_kib() / 1024}


def burst(server: Server, count: int, size: int, readers: int) -> Numbers:
    server.send("load", "initialize", {}, wait=True)
    reader = server.read("load", readers, 60)
    before = server.cpu_us()
    begun = time.monotonic_ns()  # the reader's clock too; from the asking, so that batching flatters nobody
    server.send("load", "bench/burst", {"count": count, "size": size, "rate": 0})
    assert reader.stdout is not None
    seen = json.loads(reader.stdout.read())
    cpu = server.cpu_us() - before
    delivered = seen["delivered"]
    return {
        "events/s": delivered / max(1, seen["last_ns"] - begun) * 1e9,
        "first event after, ms": (seen["first_ns"] - begun) / 1e6,
        "lost, %": 100 * (1 - delivered / (count * readers)),
        "out of order": seen["disorder"],
        "server CPU an event, us": cpu / max(1, delivered),
        "memory after, MiB": server.memory_kib() / 1024,
    }


def events(count: int, size: int, readers: int) -> Callable[[Server, float], Numbers]:
    return lambda server, scale: burst(server, max(100, int(count * scale)), size, readers)


def latency(server: Server, scale: float) -> Numbers:
    count = max(100, int(500 * scale))
    server.send("load", "initialize", {}, wait=True)
    reader = server.read("load", 1, 60)
    before = server.cpu_us()
    server.send("load", "bench/burst", {"count": count, "size": 200, "rate": 100})
    assert reader.stdout is not None
    seen = json.loads(reader.stdout.read())
    cpu = server.cpu_us() - before
    return {
        "p50, us": seen["p50_us"],
        "p99, us": seen["p99_us"],
        "lost, %": 100 * (1 - seen["delivered"] / count),
        "server CPU an event, us": cpu / count,
    }


def echo(connections: int) -> Callable[[Server, float], Numbers]:
    def run(server: Server, scale: float) -> Numbers:
        server.send("load", "initialize", {}, wait=True)
        server.post("load", connections, 200)
        before = server.cpu_us()
        result = server.post("load", connections, max(500, int(10_000 * scale)))
        cpu = server.cpu_us() - before
        return {
            "requests/s": result["answered"] / result["seconds"],
            "p50, us": result["p50_us"],
            "p99, us": result["p99_us"],
            "server CPU a request, us": cpu / max(1, result["answered"]),
            "unanswered or wrong": result["missed"] + result["wrong"],
        }

    return run


def spawn(server: Server, scale: float) -> Numbers:
    """From the first POST of a new server id to the agent's answer: a process is started in between."""
    server.send("warm", "initialize", {}, wait=True)
    taken = [server.send(f"spawn-{n}", "initialize", {}, wait=True) for n in range(max(5, int(20 * scale)))]
    return {"first answer of a new agent, ms": statistics.median(taken)}


def mock(server: Server, scale: float) -> Numbers:
    """Each server's own mock agent. The reference's answers any request with its echo; ours is a whole agent."""
    params = {"protocolVersion": 1, "clientCapabilities": {}}
    taken = [
        server.send(f"mock-{n}", "initialize", params, agent="mock", wait=True) for n in range(max(5, int(20 * scale)))
    ]
    return {"first answer of a new mock, ms": statistics.median(taken)}


def hundred(server: Server, scale: float) -> Numbers:
    server.send("warm", "initialize", {}, wait=True)
    before = server.memory_kib()
    taken = [server.send(f"many-{n}", "initialize", {}, wait=True) for n in range(100)]
    return {"100 agents made, ms": sum(taken), "memory each, KiB": (server.memory_kib() - before) / 100}


def delete(server: Server, scale: float) -> Numbers:
    server.send("gone", "initialize", {}, wait=True)
    agents = server.agents()
    begun = time.perf_counter()
    try:
        answered = server.request("DELETE", "/v1/acp/gone", deadline=5)[0] == 204
    except TimeoutError:
        answered = False
    taken = (time.perf_counter() - begun) * 1000
    return {"answer, ms": taken, "unanswered": float(not answered), "agents left": len(alive(agents))}


def end(server: Server, scale: float) -> Numbers:
    """SIGTERM with ten live agents that would rather stay."""
    for n in range(10):
        server.send(f"stay-{n}", "initialize", {}, wait=True)
        server.send(f"stay-{n}", "bench/stay", {})
    agents = server.agents()
    taken = terminate(server)
    time.sleep(0.5)
    left = alive(agents)
    for process in left:
        process.kill()
    return {"ended after, ms": taken * 1000, "agents left of 10": len(left)}


MEASURES = (
    Measure("start", start, "a fresh server, until /v1/health answers"),
    Measure("events 200 B", events(200_000, 200, 1), "as fast as they go, one reader"),
    Measure("events 200 B x10", events(60_000, 200, 10), "ten readers of one agent; events/s in all"),
    Measure("events 2 KB", events(60_000, 2_000, 1), "one reader"),
    Measure("events 200 KB", events(1_500, 200_000, 1), "one reader"),
    Measure("latency", latency, "agent's write to client's read, 100 events a second"),
    Measure("echo x1", echo(1), "POST of a request, agent's answer, one connection"),
    Measure("echo x32", echo(32), "the same from 32 connections"),
    Measure("spawn", spawn, "an agent process for a new server id"),
    Measure("mock", mock, "the mock agent's process and its answer to initialize"),
    Measure("100 agents", hundred, "one after the other"),
    Measure("delete", delete, "DELETE of a server with a live agent"),
    Measure("end", end, "SIGTERM to the server"),
)

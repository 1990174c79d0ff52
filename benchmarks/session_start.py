"""What a session through this server adds to an agent's own start: POST /v1/sessions beside plain stdio.

Both start the same program in the same environment and end with the answer to ``session/new``; they alternate. The
agents are those that `sandbox-agent install-agent` installs, kept in the user's cache folder, with a stub for a model.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from sandbox_agent.supervisor.environment import DEFAULT_ALLOWED, child_environment
from tests.real_agents.agents import DEFAULT, MORE
from tests.real_agents.lab import Lab
from tests.real_agents.model_stub import serving
from tests.support.server import environment

if TYPE_CHECKING:
    import httpx

KNOWN = {agent.name: agent for agent in DEFAULT + MORE}


def driven(lab: Lab) -> float:
    """Milliseconds from the start of the program to its answer to ``session/new``."""
    program = lab.home / "data" / "sandbox-agent" / "bin" / "agent_processes" / f"{lab.agent.name}-acp"
    environ = child_environment(environment(lab.home), DEFAULT_ALLOWED, lab.env, "")
    begun = time.perf_counter()
    process = subprocess.Popen(
        [program], cwd=lab.work, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        ask(process, 1, "initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        ask(process, 2, "session/new", {"cwd": str(lab.work), "mcpServers": []})
        return (time.perf_counter() - begun) * 1000
    finally:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[bytes], number: int, method: str, params: dict[str, Any]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    for line in process.stdout:
        message = json.loads(line)
        if message.get("id") == number and "method" not in message:
            assert "result" in message, message
            return
    raise AssertionError(f"the agent ended before it answered {method}")


def served(lab: Lab, client: httpx.Client) -> tuple[float, float]:
    """Milliseconds of one POST /v1/sessions, and how many of them the agent had not been asked yet or had answered."""
    body = {"agent": lab.agent.name, "cwd": str(lab.work), "env": dict(lab.env)}
    begun, wall = time.perf_counter(), time.time() * 1000
    made = client.post("/v1/sessions", json=body)
    taken = (time.perf_counter() - begun) * 1000
    assert made.status_code == 201, made.text
    path = f"/v1/sessions/{made.json()['id']}"
    events = client.get(f"{path}/events", params={"limit": 1000}).json()["items"]
    answered = [event for event in events if "sessionId" in event["payload"].get("result", {})]
    client.delete(path)
    return taken, taken - (answered[0]["createdAtMs"] - max(wall, events[0]["createdAtMs"]))


def measure(name: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, serving() as stub:
        lab = Lab.build(KNOWN[name], Path(home), stub)
        with lab.server() as (_, client):
            client.event_hooks = {}  # the check against the contract is none of the server's time
            driven(lab)
            served(lab, client)
            turns = [(driven(lab), *served(lab, client)) for _ in range(rounds)]
    for word, pick in (("median", statistics.median), ("fastest", min)):
        alone, through, ours = (pick(column) for column in zip(*turns, strict=True))
        print(f"{name:<10}{word:<8} alone {alone:>8.1f}   through us {through:>8.1f}   of these ours {ours:>6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs="*", default=["claude", "codex", "opencode"], help=", ".join(KNOWN))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds")
    for name in options.agents:
        measure(name, options.rounds)


if __name__ == "__main__":
    main()

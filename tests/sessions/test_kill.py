"""The server's process is killed: what was promised is kept, what was not is not pretended."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.journal import Sender

from ..support.pids import alive

if TYPE_CHECKING:
    from .conftest import World

DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.sessions.conftest import World

async def main():
    world = World(Path(sys.argv[1]))
    await world.start()
    session = await world.create(id="kept", mode="plan")
    await world.prompt("kept", "[[say before]]")
    running = await world.send("kept", "[[tick count=100000 every=0.0005]]", key="running")
    queued = await world.send("kept", "[[say queued]]", key="queued")
    other = await world.create(id="asking")
    await world.send("asking", "[[ask May I?]]")
    asked = await world.asked("asking")
    await world.until(lambda: said(world))
    print(running.id, queued.id, asked.id, *world.agent_pids(), flush=True)
    await asyncio.sleep(60)

async def said(world):
    return any(" 1 2 3" in text for _, text in await world.texts("kept"))

asyncio.run(main())
"""


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1])
async def test_a_killed_server_keeps_its_promises(stopped: World, delay: float) -> None:
    """The turn that ran is failed, the queued one runs once, the permission is cancelled, no agent is left."""
    program = stopped.folder / "driver.py"
    program.write_text(DRIVER)
    root = str(Path(__file__).parents[2])
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(stopped.folder), root, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    async with asyncio.timeout(60):
        running, queued, asked, *pids = (await server.stdout.readline()).decode().split()
    await asyncio.sleep(delay)  # the later, the more was written since
    server.send_signal(signal.SIGKILL)
    await server.wait()
    await stopped.until(lambda: _gone([int(pid) for pid in pids]))

    await stopped.start()
    failed = await stopped.sessions.prompt_info("kept", running)
    assert (failed.state, failed.stop_reason) == ("failed", "agent_exited")
    assert (await stopped.sessions.wait_prompt("kept", queued, 60)).state == "completed"
    assert (await stopped.send("kept", "[[say queued]]", key="queued")).id == queued
    assert [text for role, text in await stopped.texts("kept") if role == "agent"].count("queued") == 1
    kept = await stopped.sessions.get("kept")
    assert (kept.continuity, kept.mode) == ("native", "plan")
    told = (await stopped.sessions.permissions("asking")).items
    assert [(one.id, one.state, one.reason) for one in told] == [(asked, "cancelled", "server_restarted")]
    sent = [json.loads(payload) for sender, payload in await stopped.events("kept") if sender is Sender.CLIENT]
    prompts = [message["params"]["_meta"]["promptId"] for message in sent if message["method"] == "session/prompt"]
    assert prompts[1:] == [running, queued], "each prompt is sent once"


async def _gone(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)

"""The limit on descriptors: raised for the server, not for its children."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, os, resource, sys
from sandbox_agent.supervisor import Command, Size, Supervisor, descriptors

async def told(child):
    await child.wait()
    os.set_blocking(child.stdout_fd, True)
    return os.read(child.stdout_fd, 100).decode().strip()

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    descriptors.raise_limit()
    supervisor = Supervisor()
    await supervisor.start()
    script = Command(("sh", "-c", "sleep 0.2; ulimit -S -n"))
    piped = await supervisor.spawn(script, owner="test")
    on_terminal = await supervisor.spawn_on_terminal(script, owner="test", size=Size())
    print(await told(piped), await told(on_terminal), resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 200)
    await supervisor.stop(0)

asyncio.run(main())
"""


def test_the_server_may_open_more_than_the_programs_it_starts() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "200 200 True\n", done.stderr

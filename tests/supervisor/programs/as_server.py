"""A process with a supervisor, as a server is one; what it does is its first argument, what came of it its output."""

import asyncio
import json
import os
import sys
from pathlib import Path

from sandbox_agent.supervisor import Child, Command, Supervisor, proctree

DAEMONS = str(Path(__file__).parent / "daemons.py")


def say(found: dict) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def ours(supervisor: Supervisor) -> list[proctree.Process]:
    """Our children (the keeper is one), and all that carry our marker."""
    mark = supervisor._instance.encode()
    return [row for row in proctree.table() if row.ppid == os.getpid() or mark in row.spawns]


async def ready(child: Child) -> None:
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    loop.add_reader(child.stdout_fd, seen.set)
    await seen.wait()
    loop.remove_reader(child.stdout_fd)


async def end_daemons(supervisor: Supervisor, count: int, stay: str) -> dict:
    """A child with many daemons is ended: who is left, living or dead."""
    child = await supervisor.spawn(Command((sys.executable, "-I", "-S", DAEMONS, str(count), stay)), owner="test")
    await ready(child)
    before = len([row for row in ours(supervisor) if not row.dead])
    await child.end(0.5)
    keeper = 1
    rows = ours(supervisor)
    child.close_fds()
    return {
        "before": before,
        "alive": len([row for row in rows if not row.dead]) - keeper,
        "dead": len([row for row in rows if row.dead]),
    }


async def reap_daemons(supervisor: Supervisor, count: int) -> dict:
    """Daemons that end by themselves while their child lives leave no zombies with us."""
    command = Command((sys.executable, "-I", "-S", DAEMONS, str(count), "stay", "0.5"))
    child = await supervisor.spawn(command, owner="test")
    await ready(child)
    adopted = len([row for row in ours(supervisor) if row.pid != child.pid]) - 1
    while len(ours(supervisor)) > 2:  # noqa: ASYNC110  # the daemons tell nobody that they end
        await asyncio.sleep(0.05)
    await child.end(0.5)
    child.close_fds()
    return {"adopted": adopted}


async def leave_unmarked(supervisor: Supervisor) -> dict:
    """A daemon without marker is all that is left of a child."""
    child = await supervisor.spawn(
        Command(("sh", "-c", "env -i setsid sh -c 'echo up; sleep 1000' & exit 0")), owner="t"
    )
    await ready(child)
    await child.wait()
    await child.end()
    child.close_fds()
    keeper = supervisor._keeper.pid
    return {"adopted": len([row for row in ours(supervisor) if row.pid != keeper and not row.dead])}


async def leave(supervisor: Supervisor) -> None:
    """Stand there with stubborn children until somebody kills us."""
    for script in ("sleep 1000", "trap '' TERM; sleep 1000; sleep 1000", "setsid sleep 1000 & sleep 1000"):
        await supervisor.spawn(Command(("sh", "-c", script)), owner="test")
    child = await supervisor.spawn(Command((sys.executable, "-I", "-S", DAEMONS, "20", "exit")), owner="test")
    await ready(child)
    await child.wait()
    say({"instance": supervisor._instance, "alive": len(ours(supervisor))})
    await asyncio.Event().wait()


async def fork(supervisor: Supervisor, program: str) -> None:
    """Stand there with two programs of the fork server's until somebody kills us."""
    command = Command((sys.executable, "-I", "-S", "-E", program), program=program)
    for _ in range(2):
        await ready(await supervisor.spawn(command, owner="test"))
    say({"instance": supervisor._instance})
    await asyncio.Event().wait()


async def main() -> None:
    what, adopt, *rest = sys.argv[1:]
    supervisor = Supervisor(adopt_orphans=adopt == "adopt")
    await supervisor.start()
    if what == "leave":
        await leave(supervisor)
    elif what == "forks":
        await fork(supervisor, rest[0])
    elif what == "reap":
        found = await reap_daemons(supervisor, int(rest[0]))
    elif what == "unmarked":
        found = await leave_unmarked(supervisor)
    else:
        found = await end_daemons(supervisor, int(rest[0]), rest[1])
    await supervisor.stop()
    say(found | {"left": len(ours(supervisor)), "pid": os.getpid()})


asyncio.run(main())

"""The accessibility worker: `python -m sandbox_agent.desktop.a11y.worker SOCKET`.

A process of its own, because what it talks to may hang, answer nonsense, or say more than there is memory for. It ends
when the accessibility bus does.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from sandbox_agent.desktop.a11y import acting, messages
from sandbox_agent.desktop.a11y.bus import Bus, Refused
from sandbox_agent.desktop.a11y.messages import Act, Look, Walk
from sandbox_agent.desktop.a11y.walk import Walker

if TYPE_CHECKING:
    from sandbox_agent.desktop.a11y.messages import Reply, Request


async def serve(path: str) -> None:
    """Answer on the socket ``path`` until the accessibility bus ends."""
    bus = await Bus.find()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = messages.requests.decode(await messages.receive(reader))
            writer.write(messages.packed(await answer(bus, request)))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):  # who asked has gone
            return
        finally:
            writer.close()

    async with await asyncio.start_unix_server(talk, path):
        await bus.ended()


async def answer(bus: Bus, request: Request) -> Reply:
    match request:
        case Walk():
            return await Walker(bus, request).walk()
        case Look():
            return await acting.see(bus, request.ref)
        case Act():
            return await acting.act(bus, request)


def main() -> int:
    try:
        asyncio.run(serve(sys.argv[1]))
    except (Refused, OSError, TimeoutError, EOFError) as error:
        print(f"there is no accessibility bus: {error}", file=sys.stderr)  # noqa: T201 -- its log
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A request body that an endpoint reads while it comes in.

Whoever sends is held back: what has come but was not taken yet is bounded, and beyond that nothing more is read from
the connection. A body that breaks off raises in the endpoint, which can then undo what it began.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HELD_BYTES = 1 << 20
"""What may wait for the endpoint; with what is in its hands, twice this is the memory of one upload."""


class ClientGone(SandboxAgentError):
    """The client went away before the whole body had come."""


class Upload:
    """One body: iterate it once, or take it as a `whole`, for chunks of at most about a mebibyte.

    ``media`` is its media type (empty when none was said), ``length`` the declared bytes, ``None`` when unknown.
    Iterating raises ``ClientGone``, or ``PayloadTooLarge`` once the body is over the server's limit.
    """

    def __init__(self, media: str, length: int | None) -> None:
        self.media = media
        self.length = length
        self.wanted = asyncio.Event()
        """Set once the endpoint asks for the body: it has nothing against the request's head."""
        self.ended = False
        """Whether the whole body has come."""
        self._chunks: list[bytes] = []
        self._whole: bytearray | None = None
        self._held = 0
        self._fault: SandboxAgentError | None = None
        self._dropping = False
        self._news = asyncio.Event()
        self._room: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        """Whether no more of it will come."""
        return self.ended or isinstance(self._fault, ClientGone)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.wanted.set()
        while True:
            await self._news.wait()
            if self._fault is not None:
                raise self._fault
            if chunk := self._take():
                yield chunk
            elif self.ended:
                return

    async def whole(self) -> bytearray:
        """All of it, with the same exceptions, instead of iterating: for a body that is known to be small.

        It is put together as it comes, which spares the endpoint a turn for every piece.
        """
        self._whole = bytearray(self._take())
        self.wanted.set()
        while True:
            await self._news.wait()
            if self._fault is not None:
                raise self._fault
            if self.ended:
                return self._whole
            self._news.clear()

    def _take(self) -> bytes:
        chunks, self._chunks, self._held = self._chunks, [], 0
        if not self.ended:
            self._news.clear()
        self._make_room()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    # -- the connection's side ------------------------------------------------------------------------------------

    def feed(self, chunk: bytes) -> asyncio.Future[None] | None:
        """More of the body has come; what to wait for before the next is read."""
        if self._dropping or self._fault is not None:
            return None
        if self._whole is not None:
            self._whole += chunk
            return None
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._news.set()
        if self._held < HELD_BYTES:
            return None
        self._room = asyncio.get_running_loop().create_future()
        return self._room

    def end(self) -> None:
        """The whole body has come."""
        self.ended = True
        self._news.set()

    def fail(self, fault: SandboxAgentError) -> None:
        """No more of it will come, for this reason."""
        if not self.ended and self._fault is None:
            self._fault = fault
            self._chunks.clear()
            self._news.set()
            self._make_room()

    def drop(self) -> None:
        """Nobody wants what is still to come."""
        self._dropping = True
        self._chunks.clear()
        self._make_room()

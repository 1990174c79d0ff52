"""`GET /v1/fs/search`: files by name and by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.server import negotiate
from sandbox_agent.server.call import ByteStream, encode_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sandbox_agent.server.call import Call


async def search(call: Call) -> ByteStream:
    """Sent as a stream of one piece, for a stream that nobody reads any more is ended, and the search with it."""
    return ByteStream(chunks=_found(call), media=negotiate.JSON)


async def _found(call: Call) -> AsyncGenerator[bytes, None]:
    path = call.sandbox.files.absolute(call.query.path)
    yield encode_json(await call.sandbox.search.run(path, call.query))

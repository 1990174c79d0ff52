"""`/v1/mcp/desktop`: the desktop's tools for agents, over MCP's streamable HTTP.

A message is posted and answered with JSON. There is no stream of the server's own messages, for it has none, and no
session to end: GET and DELETE are told so with 405, as the protocol has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.server.call import Answer

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call
    from sandbox_agent.wire.base import JsonObject

PATH = "/v1/mcp/desktop"


async def answer(call: Call) -> Answer:
    """200 with the answer to a request; 202 to what has none."""
    from sandbox_agent.desktop.mcp import VERSIONS  # noqa: PLC0415 - who asks for no tools does not pay for them

    version = call.headers.get("Mcp-Protocol-Version")
    message = _decoded(call.body)
    asks_version = message.get("method") in ("initialize", "server/discover")
    if version is not None and version not in VERSIONS and not asks_version:
        raise InvalidRequest(f"MCP protocol version {version} is not spoken here", hint=f"one of {', '.join(VERSIONS)}")
    found = await call.sandbox.mcp.answer(message, call.lent_to or "")
    return Answer(202) if found is None else Answer(body=msgspec.json.encode(found))


def _decoded(raw: bytes) -> JsonObject:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"one JSON-RPC message is expected: {error}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the request body is not JSON: {error}") from error

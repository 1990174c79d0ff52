"""The raw ACP bridge: JSON-RPC envelopes to and from one agent process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.client import api
from sandbox_agent.client.calls import perform
from sandbox_agent.client.states import AcpState
from sandbox_agent.client.stream import follow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.client.async_driver import AsyncDriver, AsyncStream
    from sandbox_agent.client.results import AcpMessage
    from sandbox_agent.client.sync_driver import Stream, SyncDriver
    from sandbox_agent.wire.base import JsonObject


def encode(envelope: Mapping[str, Any] | bytes) -> bytes:
    return envelope if isinstance(envelope, bytes) else msgspec.json.encode(envelope)


class AcpServer:
    """One raw ACP server by its id. It is made by the first :meth:`post` that names an agent."""

    def __init__(self, driver: SyncDriver, server_id: str) -> None:
        self._driver = driver
        self.id = server_id

    def post(
        self, envelope: Mapping[str, Any] | bytes, *, agent: str | None = None, wait: float | None = None
    ) -> JsonObject | None:
        """Hand an envelope to the agent, bytes as they are.

        A request answers with the agent's response, or ``None`` when that takes longer than ``wait`` seconds (the
        server's own time without): it arrives on the :meth:`stream`. Notifications and responses answer ``None``.
        Never sent twice, so a lost answer raises :class:`ServerUnreachable`.
        """
        return self._driver.run(perform(api.acp_post(self.id, encode(envelope), agent=agent, wait=wait)))

    def stream(self, after: int | None = None) -> Stream[AcpMessage]:
        """Everything the agent wrote, from the start or after a sequence, and on as it comes; reconnects by itself."""
        return self._driver.iterate(follow(AcpState(self.id, after)))

    def delete(self) -> None:
        """End the process."""
        self._driver.run(perform(api.acp_delete(self.id)))

    def __repr__(self) -> str:
        return f"<AcpServer {self.id}>"


class AsyncAcpServer:
    """One raw ACP server by its id. It is made by the first :meth:`post` that names an agent."""

    def __init__(self, driver: AsyncDriver, server_id: str) -> None:
        self._driver = driver
        self.id = server_id

    async def post(
        self, envelope: Mapping[str, Any] | bytes, *, agent: str | None = None, wait: float | None = None
    ) -> JsonObject | None:
        """See :meth:`AcpServer.post`."""
        return await self._driver.run(perform(api.acp_post(self.id, encode(envelope), agent=agent, wait=wait)))

    def stream(self, after: int | None = None) -> AsyncStream[AcpMessage]:
        """See :meth:`AcpServer.stream`."""
        return self._driver.iterate(follow(AcpState(self.id, after)))

    async def delete(self) -> None:
        """End the process."""
        await self._driver.run(perform(api.acp_delete(self.id)))

    def __repr__(self) -> str:
        return f"<AsyncAcpServer {self.id}>"

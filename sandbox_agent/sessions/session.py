"""One session: its row and the parts that act for it, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.sessions import events
from sandbox_agent.sessions.core import effective, now_ms
from sandbox_agent.sessions.desk import PermissionDesk
from sandbox_agent.sessions.link import AgentLink
from sandbox_agent.sessions.options import CHOICES, not_accepted, plan
from sandbox_agent.sessions.outfit import Outfit
from sandbox_agent.sessions.permissions import resolved
from sandbox_agent.sessions.policy import as_policy
from sandbox_agent.sessions.prompts import blocks_of, for_agent
from sandbox_agent.sessions.queue import PromptQueue
from sandbox_agent.sessions.records import PermissionRow
from sandbox_agent.sessions.updates import ToolCalls
from sandbox_agent.sessions.verbs import copy
from sandbox_agent.sessions.view import TranscriptView
from sandbox_agent.wire.sessions import SessionInfo

if TYPE_CHECKING:
    from sandbox_agent.acp.servers import AcpServers
    from sandbox_agent.agents import Agents
    from sandbox_agent.journal import Journal
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.sessions.errands import Errands
    from sandbox_agent.sessions.options import Choice
    from sandbox_agent.sessions.outfit import Wardrobe
    from sandbox_agent.sessions.records import SessionRow
    from sandbox_agent.wire.sessions import PromptInfo, PromptRequest, SessionState, SessionUpdateRequest


class Session:
    """A session in this run of the server, with or without an agent process."""

    def __init__(
        self, core: Core, errands: Errands | None, *, servers: AcpServers, agents: Agents, wardrobe: Wardrobe
    ) -> None:
        tools = ToolCalls()
        self.core = core
        self.view = TranscriptView(core.id, core.row.agent, core.journal, core.records)
        self.desk = PermissionDesk(core, tools)
        self.outfit = Outfit(core, wardrobe)
        self.link = AgentLink(
            core, self.view, self.desk, tools, self.outfit, errands=errands, servers=servers, agents=agents
        )
        self.queue = PromptQueue(core, self.link, self.desk, tools, self.view)

    async def start(self, choices: dict[Choice, str], *, asking_mode: str | None = None) -> None:
        """Start the agent with a new session and these choices; raises when one of them is not accepted.

        ``asking_mode`` is chosen as well where the agent offers it; not this waits for it, but every turn.
        """
        await self.link.create()
        for choice in CHOICES:
            value = choices.get(choice)
            if value is not None and (stands := await self.link.choose(choice, value)) != value:
                raise not_accepted(choice, value, stands, agent=self.core.row.agent)
        if asking_mode is not None and asking_mode in self.core.row.options.available("mode"):
            self.link.ask_for_mode(asking_mode)

    async def fork(self, source: Journal) -> None:
        """Start the agent where another session stands, whose row this one has, with a copy of all that was said."""
        await copy(source, self.core.journal)
        await self.core.journal.durable()
        row = self.core.row
        self.core.note(events.notice("info", f"Forked from session {row.forked_from}"))
        await self.link.fork()

    async def restore(self) -> None:
        """Take up what an earlier run of the server left: prompts, permissions, the checkpoint."""
        core = self.core
        core.persist = True
        prompts, permissions = await core.records.last_ordinal(core.id)
        self.desk.restore(permissions)
        for row in await core.records.open_permissions(core.id):
            info = resolved(row.info, None, by="cancel", now_ms=now_ms(), reason="server_restarted")
            core.records.put_permission(PermissionRow(ordinal=row.ordinal, info=info))
            core.note(events.permission(info))
        await self.view.prepare()
        self.queue.restore(prompts, await core.records.open_prompts(core.id))

    async def prompt(self, request: PromptRequest, key: str | None) -> PromptInfo:
        blocks = blocks_of(request.prompt)
        for_agent(blocks, self.core.row.agent_capabilities, agent=self.core.row.agent)  # else it is refused now
        return await self.queue.submit(blocks, key)

    async def update(self, request: SessionUpdateRequest) -> None:
        """Title and policy need no agent; the others start it when it does not run. A bad value changes nothing."""
        row = self.core.row
        chosen = {choice: value for choice in CHOICES if (value := getattr(request, choice)) is not msgspec.UNSET}
        for choice, value in chosen.items():
            if choice != "thought_level" or "model" not in chosen:  # another model may offer other levels
                plan(row.options, choice, value, agent=row.agent, session_id=row.agent_session_id or "")
        if request.permission_policy is not msgspec.UNSET:
            self.core.change(permission_policy=as_policy(request.permission_policy))
        if request.title is not msgspec.UNSET:
            self.core.change(title=request.title, titled_by="client")
        for choice, value in chosen.items():
            await self.link.choose(choice, value)
        await self.core.records.durable()

    async def close(self, *, keep: bool) -> None:
        """End the agent and what runs; ``keep``: for a restart of the server."""
        await self.queue.stop(keep=keep)
        await self.view.close(save=keep)
        if keep:
            self.core.change()

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting the session in memory."""
        return self.link.connection is None and not self.queue.busy and not self.view.readers and not self.desk.pending

    def info(self, *, persisted: bool) -> SessionInfo:
        running = self.queue.running
        info = info_of(self.core.row, persisted=persisted)
        return msgspec.structs.replace(
            info,
            state=self._state(),
            last_sequence=self.core.journal.visible,
            pending_permissions=len(self.desk.pending),
            queued_prompts=self.queue.queued,
            current_prompt_id=running.info.id if running is not None else None,
        )

    def _state(self) -> SessionState:
        if self.desk.pending:
            return "waiting"
        if self.queue.busy:
            return "running"
        return "failed" if self.core.row.error is not None else "idle"


def info_of(row: SessionRow, *, persisted: bool) -> SessionInfo:
    """A session that is not in memory, from its row."""
    options = row.standing
    model, mode, thought_level = effective(options)
    return SessionInfo(
        id=row.id,
        agent=row.agent,
        cwd=row.cwd,
        state="failed" if row.error is not None else "idle",
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        last_sequence=row.last_sequence,
        permission_policy=row.permission_policy,
        title=row.title,
        model=model,
        mode=mode,
        thought_level=thought_level,
        agent_session_id=row.agent_session_id,
        continuity=row.continuity,
        config_options=options.config_options,
        modes=options.modes,
        models=options.models,
        agent_info=row.agent_info,
        agent_capabilities=row.agent_capabilities,
        mcp_servers=row.mcp_servers,
        mcp=row.mcp,
        skills=row.skills,
        forked_from=row.forked_from,
        error=row.error,
        persisted=persisted,
    )

"""What a session's agent is given beside its prompts: MCP servers and skills.

They come with the request that made the session, and from the configuration of its folder and those above, which is
read anew each time an agent starts. What cannot be given is told, in the session and as a notice, and stops nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sandbox_agent.agents.credentials import secrets as secrets_in
from sandbox_agent.agents.environment import SERVER_SECRETS
from sandbox_agent.config import DirectoryConfig
from sandbox_agent.config.fetch import FetchFailed, SkillSources
from sandbox_agent.config.links import SkillLinks
from sandbox_agent.config.mcp import converted, shown, unusable
from sandbox_agent.config.skills import select
from sandbox_agent.sessions import desktop_offer, events
from sandbox_agent.sessions.mcp_watch import McpWatch, marked
from sandbox_agent.sessions.private import pairs
from sandbox_agent.wire.config import RemoteMcpServer, SkillsConfig
from sandbox_agent.wire.sessions import McpStatus, SkillStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from sandbox_agent.agents import Agents
    from sandbox_agent.config import Found
    from sandbox_agent.sessions.core import Core
    from sandbox_agent.supervisor import Supervisor
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.config import SkillSource

SESSION = "session"


class Candidate(NamedTuple):
    """An MCP server that may be offered; ``problem`` is why there is none, or what else is to be said of it."""

    origin: str
    name: str
    server: JsonObject | None
    problem: str | None = None
    disabled: bool = False


class Wardrobe:
    """Where outfits come from; one for all sessions. ``lent`` are the secrets that went with them."""

    def __init__(self, agents: Agents, directories: DirectoryConfig, sources: SkillSources, links: SkillLinks) -> None:
        self.agents = agents
        self.directories = directories
        self.sources = sources
        self.links = links
        self.lent: set[str] = set()
        self.desktop = desktop_offer.DesktopOffer()

    @classmethod
    def at_home(cls, agents: Agents, supervisor: Supervisor) -> Wardrobe:
        """With skills kept beside the installed agents."""
        home, root = agents.environ.get("HOME"), agents.root.parent / "skills"
        directories = DirectoryConfig(Path(home) if home else None)
        return cls(agents, directories, SkillSources(root / "sources", supervisor), SkillLinks(root / "links"))


class Outfit:
    """One session's MCP servers and skills."""

    def __init__(self, core: Core, wardrobe: Wardrobe) -> None:
        self._core = core
        self._from = wardrobe
        self._configured: list[Found] = []
        self.watch = McpWatch(core.id, self._lives)

    async def prepare(self) -> None:
        """Before the agent starts: read what is configured, and put the skills where it will look for them."""
        directories, cwd = self._from.directories, self._core.row.cwd
        self._configured = await directories.reaching("mcp", cwd)
        await self._equip(await directories.reaching("skills", cwd))

    def servers(self, capabilities: Mapping[str, Any] | None) -> tuple[JsonObject, ...]:
        """The MCP servers to offer an agent with these capabilities; the session tells what became of each."""
        row = self._core.row
        statuses: dict[str, McpStatus] = {}
        offered: list[JsonObject] = []
        environ = {key: text for key, text in self._from.agents.environ.items() if key not in SERVER_SECRETS}
        candidates = [Candidate(SESSION, server["name"], server) for server in row.mcp_servers]
        candidates += self._desktop()
        candidates += [_candidate(found, environ) for found in self._configured]
        for one in candidates:
            if one.name in statuses:
                continue
            statuses[one.name] = self._judged(one, capabilities)
            if one.server is not None and statuses[one.name].status == "offered":
                offered.append(marked(one.server, row.id))
        self._tell_servers(tuple(statuses.values()))
        self._lend(offered, environ)
        if any("command" in server for server in offered):
            self.watch.begin()
        return tuple(offered)

    async def take_off(self) -> None:
        """The session is no more: its skills go from its folder, its key opens nothing any more."""
        self._from.desktop.revoke(self._core.id)
        if self._core.row.skills:
            await asyncio.to_thread(self._from.links.release, self._core.id)

    # -- MCP servers

    def _desktop(self) -> list[Candidate]:
        """The desktop's own MCP server, where the session is to have it."""
        if not self._core.row.desktop:
            return []
        server = self._from.desktop.server(self._core.id)
        problem = None if server else "the server is not reached by a URL"
        return [Candidate(SESSION, desktop_offer.NAME, server, problem)]

    def _lend(self, offered: list[JsonObject], environ: Mapping[str, str]) -> None:
        """What the servers were given in secret is shown nowhere."""
        remote = [found.config for found in self._configured if isinstance(found.config, RemoteMcpServer)]
        names = [name for config in remote for name in (config.env_headers or {}).values()]
        names += [config.bearer_token_env_var for config in remote if config.bearer_token_env_var]
        lent = secrets_in(pairs(offered)) | frozenset(filter(None, map(environ.get, names)))
        self._from.lent |= lent
        self._core.redact = self._core.redact.also(lent)

    def _judged(self, one: Candidate, capabilities: Mapping[str, Any] | None) -> McpStatus:
        agent = self._core.row.agent
        if one.server is None:
            status: Literal["disabled", "failed"] = "disabled" if one.disabled else "failed"
            return McpStatus(name=one.name, status=status, origin=one.origin, detail=one.problem)
        why = unusable(one.server, capabilities)
        if not self._from.agents.spec(agent).takes_mcp:
            why = f"{agent} uses no MCP servers"
        if why is not None:
            return McpStatus(name=one.name, status="unsupported", origin=one.origin, detail=why)
        return McpStatus(name=one.name, status="offered", origin=one.origin, detail=one.problem)

    def _tell_servers(self, statuses: tuple[McpStatus, ...]) -> None:
        known = {status.name: status for status in self._core.row.mcp}
        if statuses != self._core.row.mcp:
            self._core.change(mcp=statuses)
        for status in statuses:
            if status.status in {"unsupported", "failed"} and known.get(status.name) != status:
                text = f"The MCP server {status.name} is not available to the agent"
                self._core.note(events.notice("warning", text, status.detail))

    def _lives(self, name: str, pid: int, alive: bool) -> None:
        detail = f"process {pid}" if alive else f"its process {pid} ended"
        change = {"status": "running" if alive else "exited", "detail": detail}
        self._core.change(
            mcp=tuple(msgspec.structs.replace(one, **change) if one.name == name else one for one in self._core.row.mcp)
        )
        if not alive:
            self._core.note(events.notice("warning", f"The MCP server {name} has ended; the session goes on", detail))

    # -- skills

    async def _equip(self, configured: list[Found]) -> None:
        row = self._core.row
        wanted = [(SESSION, Path(row.cwd), source) for source in row.skill_sources]
        statuses: list[SkillStatus] = []
        for found in configured:
            if isinstance(found.config, SkillsConfig):
                wanted += [(str(found.directory), found.directory, source) for source in found.config.sources]
            else:
                origin = str(found.directory)
                statuses.append(SkillStatus(name=found.name, status="failed", origin=origin, detail=found.problem))
        for origin, directory, source in wanted:
            statuses += await self._place(origin, directory, source)
        self._tell_skills(tuple(statuses))

    async def _place(self, origin: str, directory: Path, source: SkillSource) -> list[SkillStatus]:
        try:
            fetched = await self._from.sources.fetch(source, directory)
        except FetchFailed as error:
            return [SkillStatus(name=source.source, status="failed", origin=origin, detail=str(error))]
        return await asyncio.to_thread(self._link, origin, source, fetched.folder, fetched.called, fetched.note)

    def _link(self, origin: str, source: SkillSource, root: Path, called: str, note: str | None) -> list[SkillStatus]:
        row = self._core.row
        folder = Path(row.cwd) / self._from.agents.spec(row.agent).skills_folder
        selection = select(root, source.skills, called=called)
        statuses = [
            SkillStatus(name=name, status="failed", origin=origin, detail=f"{source.source} has no such skill")
            for name in selection.missing
        ]
        if not selection.skills and not selection.missing:
            detail = f"{root} holds no SKILL.md"
            statuses.append(SkillStatus(name=source.source, status="failed", origin=origin, detail=detail))
        for skill in selection.skills:
            placed = self._from.links.place(row.id, folder, skill)
            statuses.append(
                SkillStatus(
                    name=skill.name,
                    status=placed.status,
                    origin=origin,
                    path=str(placed.path),
                    detail=placed.detail or note,
                )
            )
        return statuses

    def _tell_skills(self, statuses: tuple[SkillStatus, ...]) -> None:
        known = set(self._core.row.skills)
        if statuses != self._core.row.skills:
            self._core.change(skills=statuses)
        for status in statuses:
            if status.status == "failed" and status not in known:
                self._core.note(events.notice("warning", f"The skill {status.name} is not available", status.detail))


def shown_servers(servers: tuple[JsonObject, ...]) -> list[JsonObject]:
    """As they may stand in the session's events."""
    return [shown(server) for server in servers]


def _candidate(found: Found, environ: Mapping[str, str]) -> Candidate:
    origin, config = str(found.directory), found.config
    if config is None or isinstance(config, SkillsConfig):
        return Candidate(origin, found.name, None, found.problem)
    if config.enabled is False:
        return Candidate(origin, found.name, None, disabled=True)
    server, problem = converted(found.name, config, found.directory, environ)
    return Candidate(origin, found.name, server, problem)

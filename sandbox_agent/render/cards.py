"""Short forms of the client's objects, as HTML in the transcripts' style and as their plain-text twins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox_agent.render.html import answers, root
from sandbox_agent.render.markup import Markup, join, tag
from sandbox_agent.render.parts import content_text, cut, duration, pretty, usage_text
from sandbox_agent.render.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import msgspec

    from sandbox_agent.wire.agents import AgentInfo
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import PermissionInfo, PromptInfo, SessionEvent, SessionInfo

_DOTS = {
    "idle": "sa-ok",
    "completed": "sa-ok",
    "selected": "sa-ok",
    "ready": "sa-ok",
    "running": "sa-busy",
    "queued": "",
    "waiting": "sa-warn",
    "pending": "sa-warn",
    "failed": "sa-bad",
}

_PEEK = 160
"""Characters of a payload or prompt in a table."""


def card_html(title: str, facts: Mapping[str, Any], *, state: str | None = None, note: str | None = None) -> str:
    """A card of names and values; what is None, empty or False is left out."""
    return root(_card(title, facts, state=state, note=note))


def card_text(title: str, facts: Mapping[str, Any], *, state: str | None = None, note: str | None = None) -> str:
    """The same as text."""
    head = f"{title} ({state})" if state else title
    shown = _shown(facts)
    width = max((len(name) for name, _ in shown), default=0)
    lines = [f"  {name.ljust(width)}  {value}" for name, value in shown]
    return clean("\n".join([head, *lines, *([f"  {note}"] if note else [])]))


def session_html(session: SessionInfo) -> str:
    return card_html(**_session(session))


def session_text(session: SessionInfo) -> str:
    return card_text(**_session(session))


def prompt_html(prompt: PromptInfo) -> str:
    return card_html(**_prompt(prompt))


def prompt_text(prompt: PromptInfo) -> str:
    return card_text(**_prompt(prompt))


def permission_html(permission: PermissionInfo) -> str:
    """A permission with its options: what to answer while it waits, what was answered after."""
    waits = permission.state == "pending"
    more = answers([(option.name, option.option_id) for option in permission.options]) if waits else None
    return root(_card(**_permission(permission), more=more))


def permission_text(permission: PermissionInfo) -> str:
    options = " | ".join(f"{option.name} [{option.option_id}]" for option in permission.options)
    return card_text(**_permission(permission), note=options if permission.state == "pending" else None)


def agents_html(agents: Sequence[AgentInfo]) -> str:
    """What agents there are, and what keeps one from being used."""
    rows = [
        (join([_dot("ready" if agent.installed and not agent.problem else ""), tag("b", agent.id)]), *_agent(agent)[1:])
        for agent in agents
    ]
    return table_html(("Agent", "Version", "Installed", "Credentials", "What to do"), rows)


def agents_text(agents: Sequence[AgentInfo]) -> str:
    return table_text(
        ("Agent", "Version", "Installed", "Credentials", "What to do"), [_agent(agent) for agent in agents]
    )


def sessions_html(sessions: Sequence[SessionInfo]) -> str:
    rows = [
        (tag("code", s.id), s.agent, join([_dot(s.state), tag("span", s.state)]), s.title or "", _time(s.updated_at_ms))
        for s in sessions
    ]
    return table_html(("Session", "Agent", "State", "Title", "Updated"), rows)


def sessions_text(sessions: Sequence[SessionInfo]) -> str:
    rows = [(s.id, s.agent, s.state, s.title or "", _time(s.updated_at_ms)) for s in sessions]
    return table_text(("Session", "Agent", "State", "Title", "Updated"), rows)


def events_html(events: Sequence[SessionEvent]) -> str:
    """Raw events as a table, each payload cut to a line."""
    rows = [(*thin(str(e.sequence), _time(e.created_at_ms), e.sender), tag("code", _peek(e.payload))) for e in events]
    return table_html(("#", "Time", "Sender", "Payload"), rows)


def events_text(events: Sequence[SessionEvent]) -> str:
    rows = [(str(e.sequence), _time(e.created_at_ms), e.sender, _peek(e.payload)) for e in events]
    return table_text(("#", "Time", "Sender", "Payload"), rows)


def table_html(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells that are ``Markup`` are taken as they are."""
    body = [tag("tr", *(cell if isinstance(cell, Cell) else tag("td", cell) for cell in row)) for row in rows]
    if not body:
        return root(tag("div", "None.", cls="sa-dim"))
    head = tag("tr", *(tag("th", name) for name in heads))
    return root(tag("table", tag("thead", head), tag("tbody", *body), cls="sa-table"))


class Cell(Markup):
    """A finished cell of a table."""

    __slots__ = ()


def thin(*cells: str) -> list[Cell]:
    """Cells no wider than what they hold."""
    return [Cell(tag("td", cell, cls="sa-thin")) for cell in cells]


def table_text(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        return "None."
    table = [list(heads), *cells]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _card(
    title: str,
    facts: Mapping[str, Any],
    *,
    state: str | None = None,
    note: str | None = None,
    more: Markup | None = None,
) -> Markup:
    told = tag("span", _dot(state), state, cls="sa-small sa-push") if state else None
    shown = [tag("dt", name) + tag("dd", value) for name, value in _shown(facts)]
    return tag(
        "div",
        tag("div", tag("b", title), told, cls="sa-bar"),
        tag("dl", *map(Markup, shown), cls="sa-facts-list") if shown else None,
        tag("div", note, cls="sa-note") if note else None,
        tag("div", more, cls="sa-part") if more else None,
        cls="sa-card sa-object",
    )


def _shown(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _value(value)) for name, value in facts.items() if value not in (None, "", False, (), [], {}, 0)]


def _value(value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, dict | list | tuple):
        return cut(pretty(value, None), _PEEK)[0]
    return str(value)


def _dot(state: str | None) -> Markup:
    return tag("span", cls=f"sa-dot {_DOTS.get(state or '', '')}".strip())


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _peek(payload: msgspec.Raw) -> str:
    text, rest = cut(bytes(payload)[: _PEEK * 4].decode("utf-8", "replace"), _PEEK)
    return text + ("…" if rest else "")


def _error(error: JsonObject | None) -> str | None:
    if not error:
        return None
    told = error.get("detail") or error.get("message") or error.get("title") or "failed"
    hint = error.get("hint")
    return f"{told} ({hint})" if hint else str(told)


def _session(session: SessionInfo) -> dict[str, Any]:
    facts = {
        "Session": session.id,
        "Directory": session.cwd,
        "Model": session.model,
        "Mode": session.mode,
        "Thought level": session.thought_level,
        "Policy": session.permission_policy.default if session.permission_policy.default != "ask" else None,
        "Continuity": session.continuity if session.continuity != "native" else None,
        "Waiting for you": session.pending_permissions,
        "Queued prompts": session.queued_prompts,
        "Events": session.last_sequence,
    }
    note = _error(session.error) or (None if session.persisted else "Not on disk: the store cannot write.")
    title = f"{session.agent} · {session.title}" if session.title else session.agent
    return {"title": title, "facts": facts, "state": session.state, "note": note}


def _prompt(prompt: PromptInfo) -> dict[str, Any]:
    took = None
    if prompt.started_at_ms is not None and prompt.ended_at_ms is not None:
        took = duration(prompt.ended_at_ms - prompt.started_at_ms)
    facts = {
        "Prompt": cut(content_text(prompt.prompt), _PEEK)[0],
        "Stop reason": prompt.stop_reason,
        "Took": took,
        "Usage": usage_text(prompt.usage),
        "Session": prompt.session_id,
    }
    return {"title": f"Prompt {prompt.id}", "facts": facts, "state": prompt.state, "note": _error(prompt.error)}


def _permission(permission: PermissionInfo) -> dict[str, Any]:
    call = permission.tool_call
    raw = call.get("rawInput")
    facts = {
        "Request": permission.id,
        "Kind": call.get("kind"),
        "Command": raw.get("command") if isinstance(raw, dict) else None,
        "Answer": permission.reply or permission.option_id,
        "By": permission.resolved_by_name or permission.resolved_by,
        "Rule": permission.rule,
    }
    return {"title": f"Permission · {call.get('title') or 'tool call'}", "facts": facts, "state": permission.state}


def _agent(agent: AgentInfo) -> tuple[str, str, str, str, str]:
    trouble = agent.problem or agent.config_error or ""
    return (
        agent.id,
        agent.version or "",
        "yes" if agent.installed else "no",
        "yes" if agent.credentials_available else "no",
        " · ".join(filter(None, (trouble, agent.hint))),
    )

"""What the doctor found: as text for a terminal, as HTML for a notebook, and as a problem report in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox_agent.render.cards import table_html, table_text, thin
from sandbox_agent.render.markup import tag
from sandbox_agent.render.text import clean

if TYPE_CHECKING:
    from sandbox_agent.wire.doctor import AgentCheck, Check, DoctorReport, Finding

_MARKS: dict[Finding, str] = {"ok": "ok", "warning": "note", "fault": "FAULT", "skipped": "-"}
_CHECK_HEADS = ("Check", "", "Found", "What to run")
_AGENT_HEADS = ("Agent", "Ready", "Version", "Credentials", "Handshake", "What is wrong", "What to run")
_BUILTIN = "mock"
_FEW = 3
_NEEDLESS = "not needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What only the reporter knows; what is left empty is asked for in the report."""

    symptoms: str = ""
    error: str = ""
    code: str = ""
    tried: str = ""
    deployment: str = ""
    sdk: str = ""
    agent: str = ""
    provider: str = ""


def verdict(report: DoctorReport) -> str:
    """In a sentence: which agents are ready, or how one gets ready."""
    ready = [agent.id for agent in report.agents if agent.usable]
    real = [agent for agent in ready if agent != _BUILTIN]
    if real:
        return f"Ready: {', '.join(ready)}."
    others = [agent for agent in report.agents if agent.fix and not agent.usable]
    first = next(
        (agent for agent in others if agent.credentials not in {None, _NEEDLESS}), others[0] if others else None
    )
    step = f" To get {first.name} ready: {first.fix}" if first is not None else ""
    return (f"Only the {_BUILTIN} agent is ready." if ready else "No agent is ready.") + step


def doctor_text(report: DoctorReport) -> str:
    """The checks, a table of the agents, and a verdict."""
    width = max((len(check.name) for check in report.checks), default=0)
    lines = [f"{_MARKS[check.state]:<5}  {check.name:<{width}}  {check.detail}{_run(check)}" for check in report.checks]
    shown, rest = _worth_showing(report)
    table = table_text(_AGENT_HEADS, [_agent(agent) for agent in shown]) if shown else ""
    return "\n\n".join(filter(None, [clean("\n".join(lines)), table, rest, verdict(report)]))


def doctor_html(report: DoctorReport) -> str:
    """The same for a notebook."""
    shown, rest = _worth_showing(report)
    agents = [(tag("b", row[0]), *row[1:]) for row in map(_agent, shown)]
    checks = [(*thin(name, mark), *told) for name, mark, *told in _checks(report)]
    parts = [table_html(_CHECK_HEADS, checks), table_html(_AGENT_HEADS, agents) if agents else ""]
    return "".join([*parts, *(tag("p", line) for line in (rest, verdict(report)) if line)])


def _run(check: Check) -> str:
    return f"\n       run: {check.fix}" if check.fix else ""


def _worth_showing(report: DoctorReport) -> tuple[list[AgentCheck], str]:
    """The agents that somebody wants here; the many others in a line."""
    if len(report.agents) <= _FEW:
        return list(report.agents), ""
    shown = [agent for agent in report.agents if agent.installed or agent.credentials not in {None, _NEEDLESS}]
    others = [agent.id for agent in report.agents if agent not in shown]
    rest = f"Not installed: {', '.join(others)}. To install one: sandbox-agent install-agent AGENT" if others else ""
    return shown, rest


def doctor_markdown(report: DoctorReport, story: Story | None = None) -> str:
    """A problem report to paste into an issue, filled in as far as can be told from here."""
    story = story or Story()
    faults = [f"{check.name}: {check.detail}" for check in report.checks if check.state == "fault"]
    faults += [f"{agent.id}: {agent.problem}" for agent in report.agents if _told(agent, story)]
    time = datetime.fromtimestamp(report.created_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    sections = {
        "Symptoms": story.symptoms or _ask("what happens, and what you expected"),
        "Local or deployed": story.deployment or _ask("local, or where: a container, JupyterHub, a provider"),
        "Error": _fenced("\n".join(filter(None, [story.error, *faults]))) or _ask("the error, with its trace"),
        "Relevant code": _fenced(story.code, "python") or _ask("the shortest code that shows it"),
        "What was tried": story.tried or _ask("what you tried, and what it changed"),
        "Environment": _markdown(_CHECK_HEADS, _checks(report)),
        "Version": f"sandbox-agent {report.version}",
        "SDK in use": story.sdk or f"Python SDK {report.version}",
        "Agent": (f"In use: {story.agent}\n\n" if story.agent else "")
        + _markdown(_AGENT_HEADS, [_agent(agent) for agent in report.agents]),
        "Provider": story.provider or _providers(report),
    }
    body = "\n\n".join(f"### {title}\n\n{text}" for title, text in sections.items())
    return f"## Problem report\n\nMade by `sandbox-agent doctor --report` at {time}.\n\n{body}\n"


def _told(agent: AgentCheck, story: Story) -> bool:
    """An agent that nobody installed is no fault, unless it is the one in use."""
    return agent.problem is not None and (agent.installed or agent.id in story.agent.split(", "))


def _providers(report: DoctorReport) -> str:
    known = {agent.credentials for agent in report.agents if agent.credentials not in {None, _NEEDLESS}}
    return f"Credentials found: {', '.join(sorted(filter(None, known)))}" if known else "No credentials found."


def _checks(report: DoctorReport) -> list[tuple[str, str, str, str]]:
    return [(check.name, _MARKS[check.state], check.detail, check.fix or "") for check in report.checks]


def _agent(agent: AgentCheck) -> tuple[str, ...]:
    hands = agent.handshake
    took = f"{hands.seconds:.2f} s" if hands.seconds is not None else ""
    shook = {"ok": took, "fault": f"failed after {took}", "warning": took, "skipped": "-"}[hands.state]
    return (
        agent.id,
        "yes" if agent.usable else "no",
        agent.version or ("?" if agent.installed else "-"),
        agent.credentials or "none",
        shook,
        agent.problem or "",
        agent.fix or "",
    )


def _ask(what: str) -> str:
    return f"<!-- {what} -->"


def _fenced(text: str, language: str = "text") -> str:
    """A code block whose fence is longer than any in it (CommonMark, 4.5)."""
    if not text.strip():
        return ""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def _markdown(heads: tuple[str, ...], rows: list[tuple[str, ...]] | list[tuple[str, str, str, str]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())

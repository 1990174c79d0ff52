"""What the doctor found, as text, HTML and Markdown: from values made up here."""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox_agent.render import Story, doctor_html, doctor_markdown, doctor_text
from sandbox_agent.render.doctor import verdict
from sandbox_agent.wire.doctor import AgentCheck, Check, DoctorReport, Handshake

from ..support.safe_html import faults

OK = Check(name="Python", state="ok", detail="3.11")
BAD = Check(name="data directory", state="fault", detail="<b>/x</b> cannot be | written", fix="chown x")


def agent(name: str, **given: Any) -> AgentCheck:
    base: dict[str, Any] = {"usable": True, "installed": True, "credentials": "KEY", "version": "1"}
    return AgentCheck(id=name, name=name.title(), handshake=Handshake(state="ok", seconds=0.5), **(base | given))


MISSING = agent("claude", usable=False, installed=False, problem="not installed", fix="install it", version=None)


def report(*agents: AgentCheck) -> DoctorReport:
    return DoctorReport(
        version="1.2", created_at_ms=0, usable=any(a.usable for a in agents), checks=(OK, BAD), agents=agents
    )


def test_text_tells_each_finding_with_its_remedy() -> None:
    text = doctor_text(report(agent("codex"), MISSING))
    assert "FAULT  data directory" in text
    assert "run: chown x" in text
    assert "install it" in text
    assert text.endswith("Ready: codex.")


def test_the_verdict_names_the_nearest_way_to_a_ready_agent() -> None:
    """An agent whose key is there already goes before others."""
    keyless = msgspec.structs.replace(MISSING, id="x", name="X", credentials=None, fix="other")
    assert verdict(report(keyless, MISSING)) == "No agent is ready. To get Claude ready: install it"
    assert verdict(report(keyless, agent("mock"))).startswith("Only the mock agent is ready. To get X ready: other")
    assert verdict(report()) == "No agent is ready."


def test_of_many_agents_those_nobody_wants_are_told_in_a_line() -> None:
    others = [msgspec.structs.replace(MISSING, id=f"other{n}", credentials=None) for n in range(5)]
    text = doctor_text(report(MISSING, *others))
    assert "Not installed: other0, other1, other2, other3, other4." in text
    assert "claude" in text


def test_html_is_safe() -> None:
    html = doctor_html(report(agent("codex"), MISSING))
    assert faults(html) == []
    assert "<b>/x</b>" not in html


def test_a_problem_report_is_filled_in_and_asks_for_the_rest() -> None:
    """Every section is there; tables stay tables whatever is in a cell."""
    told = doctor_markdown(report(agent("codex"), MISSING))
    for title in (
        "Symptoms",
        "Local or deployed",
        "Error",
        "Relevant code",
        "What was tried",
        "Environment",
        "Version",
        "SDK in use",
        "Agent",
        "Provider",
    ):
        assert f"\n### {title}\n" in told
    assert told.count("<!-- ") == 4
    assert "data directory: <b>/x</b> cannot be | written" in told
    rows = [line for line in told.splitlines() if line.startswith("| data directory")]
    assert rows == ["| data directory | FAULT | &lt;b>/x&lt;/b> cannot be \\| written | chown x |"]


def test_what_the_reporter_knows_goes_into_the_report() -> None:
    """Code that holds a fence is fenced by a longer one; the agent in use is told though it is not installed."""
    story = Story(
        symptoms="it hangs", error="boom", code="```x```", tried="all", deployment="deployed: a", agent="claude"
    )
    told = doctor_markdown(report(MISSING), story)
    assert "it hangs" in told
    assert "```text\nboom\ndata directory" in told
    assert "claude: not installed" in told
    assert "````python\n```x```\n````" in told
    assert "<!--" not in told

"""Transcripts and other results as text, Markdown, HTML and notebooks: pure functions of wire values."""

from __future__ import annotations

from sandbox_agent.render.cards import (
    agents_html,
    agents_text,
    card_html,
    card_text,
    events_html,
    events_text,
    permission_html,
    permission_text,
    prompt_html,
    prompt_text,
    session_html,
    session_text,
    sessions_html,
    sessions_text,
    table_html,
    table_text,
)
from sandbox_agent.render.desktop import desktop_html, desktop_text, windows_html, windows_text
from sandbox_agent.render.doctor import Story, doctor_html, doctor_markdown, doctor_text
from sandbox_agent.render.files import (
    entries_html,
    entries_text,
    file_html,
    file_text,
    matches_html,
    matches_text,
    size_text,
)
from sandbox_agent.render.html import item_html, to_html
from sandbox_agent.render.markdown import item_markdown, to_markdown
from sandbox_agent.render.notebook import to_notebook
from sandbox_agent.render.processes import (
    process_html,
    process_text,
    processes_html,
    processes_text,
    run_html,
    run_text,
    screen_html,
)
from sandbox_agent.render.text import item_text, to_text

__all__ = [
    "Story",
    "agents_html",
    "agents_text",
    "card_html",
    "card_text",
    "desktop_html",
    "desktop_text",
    "doctor_html",
    "doctor_markdown",
    "doctor_text",
    "entries_html",
    "entries_text",
    "events_html",
    "events_text",
    "file_html",
    "file_text",
    "item_html",
    "item_markdown",
    "item_text",
    "matches_html",
    "matches_text",
    "permission_html",
    "permission_text",
    "process_html",
    "process_text",
    "processes_html",
    "processes_text",
    "prompt_html",
    "prompt_text",
    "run_html",
    "run_text",
    "screen_html",
    "session_html",
    "session_text",
    "sessions_html",
    "sessions_text",
    "size_text",
    "table_html",
    "table_text",
    "to_html",
    "to_markdown",
    "to_notebook",
    "to_text",
    "windows_html",
    "windows_text",
]

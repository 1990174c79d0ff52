"""Amp's streamed JSON as ACP updates. Pure: messages in, updates out.

A message is ``system`` (the thread and its MCP servers), ``assistant`` (text, thinking, tool calls), ``user`` (results
of tools, and the prompt itself) or ``result`` (how the turn ended).
"""

from __future__ import annotations

import json
from typing import Any

KINDS = {
    "read": "read",
    "bash": "execute",
    "edit_file": "edit",
    "create_file": "edit",
    "undo_edit": "edit",
    "apply_patch": "edit",
    "delete_file": "delete",
    "grep": "search",
    "glob": "search",
    "finder": "search",
    "codebase_search_agent": "search",
    "web_search": "fetch",
    "read_web_page": "fetch",
    "oracle": "think",
    "task": "other",
}
_STATUS = {"completed": "completed", "in-progress": "in_progress", "in_progress": "in_progress"}
Update = dict[str, Any]


class Translator:
    """Keeps the calls that are open, and how the turn ended once that is known."""

    def __init__(self) -> None:
        self.thread: str | None = None
        self.result: dict[str, Any] | None = None
        self.usage: dict[str, int] = {}
        self.calls: dict[str, tuple[str, Any]] = {}

    def take(self, message: dict[str, Any]) -> list[Update]:
        """The updates of one message; an unknown one has none."""
        if isinstance(message.get("session_id"), str):
            self.thread = message["session_id"]
        kind = message.get("type")
        if kind == "result":
            self.result = message
            self._count(message.get("usage"))
            return []
        if kind not in {"assistant", "user"}:
            return []
        body = message.get("message")
        blocks = body.get("content") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(blocks, list):
            return []
        parent = message.get("parent_tool_use_id")
        updates: list[Update] = []
        for block in blocks:
            if isinstance(block, dict):
                updates += self._assistant(block, body.get("id"), parent) if kind == "assistant" else self._user(block)
        return updates

    def open_calls(self) -> list[str]:
        return list(self.calls)

    def call_for(self, tool: str, arguments: Any) -> str | None:
        """The open call that a permission is asked for."""
        same = [call for call, (name, given) in self.calls.items() if name == tool and given == arguments]
        return same[-1] if same else None

    def _assistant(self, block: dict[str, Any], message_id: Any, parent: Any) -> list[Update]:
        kind = block.get("type")
        if kind in {"text", "thinking"} and parent is None:
            said = "agent_message_chunk" if kind == "text" else "agent_thought_chunk"
            text = block.get("text") if kind == "text" else block.get("thinking", block.get("text"))
            update: Update = {"sessionUpdate": said, "content": {"type": "text", "text": str(text or "")}}
            return [update | ({"messageId": message_id} if isinstance(message_id, str) else {})]
        if kind != "tool_use":
            return []
        call, name, given = str(block.get("id")), str(block.get("name")), block.get("input")
        if name == "todo_write" and (plan := plan_of(given)) is not None:
            return [plan]
        self.calls[call] = (name, given)
        meta = {"_meta": {"amp": {"parentToolUseId": parent}}} if parent else {}
        return [{"sessionUpdate": "tool_call", "status": "in_progress", **described(call, name, given), **meta}]

    def _user(self, block: dict[str, Any]) -> list[Update]:
        call = str(block.get("tool_use_id"))
        if block.get("type") != "tool_result" or call not in self.calls:
            return []
        del self.calls[call]
        text = text_of_result(block.get("content"))
        update: Update = {
            "sessionUpdate": "tool_call_update",
            "toolCallId": call,
            "status": "failed" if block.get("is_error") else "completed",
            "rawOutput": block.get("content"),
        }
        return [update | ({"content": [content(text)]} if text else {})]

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self.usage = {key: value for key, value in usage.items() if isinstance(value, int)}


def described(call: str, name: str, given: Any) -> dict[str, Any]:
    """What ACP tells of a tool call, by its name and arguments."""
    arguments = given if isinstance(given, dict) else {}
    path = next((arguments[key] for key in ("path", "file_path") if isinstance(arguments.get(key), str)), None)
    command = next((arguments[key] for key in ("cmd", "command") if isinstance(arguments.get(key), str)), None)
    shown = f"`{command}`" if command else f"{name} {path}" if path else name
    told: dict[str, Any] = {
        "toolCallId": call,
        "title": shown,
        "kind": KINDS.get(name.lower(), "other"),
        "rawInput": given,
    }
    if path:
        told["locations"] = [{"path": path}]
    new = next((arguments[key] for key in ("new_str", "content") if isinstance(arguments.get(key), str)), None)
    if path and new is not None and told["kind"] == "edit":
        old = arguments.get("old_str")
        told["content"] = [
            {"type": "diff", "path": path, "oldText": old if isinstance(old, str) else None, "newText": new}
        ]
    return told


def plan_of(given: Any) -> Update | None:
    todos = given.get("todos") if isinstance(given, dict) else None
    if not isinstance(todos, list):
        return None
    entries = [
        {
            "content": str(todo.get("content", "")),
            "status": _STATUS.get(str(todo.get("status")), "pending"),
            "priority": todo["priority"] if todo.get("priority") in {"high", "medium", "low"} else "medium",
        }
        for todo in todos
        if isinstance(todo, dict)
    ]
    return {"sessionUpdate": "plan", "entries": entries}


def content(text: str) -> dict[str, Any]:
    return {"type": "content", "content": {"type": "text", "text": text}}


def text_of_result(value: Any) -> str:
    """Results are texts, lists of text blocks, or JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict) and "text" in part for part in value):
        return "".join(str(part["text"]) for part in value)
    return "" if value is None else json.dumps(value, ensure_ascii=False)

"""Stands for the `amp` program: speaks its documented stream, asks by its permission rules. The prompt is a script.

Its command lines are appended to the file in FAKE_AMP_LOG, one JSON list a line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

THREAD = "T-1234"
LAST_WORDS = {"login": "No API key found. Run `amp login` first.", "crash": "it broke"}
FAILURES = {"max": ("error_max_turns", "too many"), "fail": ("error_during_execution", "out of credit")}
USAGE = {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 7}


def emit(kind: str, **members: Any) -> None:
    line(json.dumps({"type": kind, "session_id": THREAD, **members}))


def line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def assistant(*content: dict[str, Any], parent: str | None = None) -> None:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "usage": USAGE}
    emit("assistant", message=message, parent_tool_use_id=parent)


def result(text: str) -> None:
    emit("result", subtype="success", is_error=False, result=text, duration_ms=1, num_turns=1, usage=USAGE)


def allowed(tool: str, arguments: Any) -> bool:
    """As Amp decides: by its first rule for the tool, and a program that a rule delegates to."""
    if "--dangerously-allow-all" in sys.argv:
        return True
    settings = json.loads(Path(sys.argv[sys.argv.index("--settings-file") + 1]).read_text())
    rule = next(rule for rule in settings["amp.permissions"] if rule["tool"] in {tool, "*"})
    if rule["action"] != "delegate":
        return bool(rule["action"] == "allow")
    env = {**os.environ, "AGENT_TOOL_NAME": tool}
    return subprocess.run([rule["to"]], input=json.dumps(arguments).encode(), env=env, check=False).returncode == 0


def tool(name: str, arguments: dict[str, Any]) -> None:
    assistant({"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments})
    ran = allowed(name, arguments)
    if ran and name == "Bash":
        text = subprocess.run(arguments["cmd"], shell=True, capture_output=True, check=False).stdout.decode()  # noqa: S602
    else:
        text = "done" if ran else "refused"
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text, "is_error": not ran}
    emit("user", message={"role": "user", "content": [block]}, parent_tool_use_id=None)


def hang() -> None:
    """Until the signal that a person's Ctrl-C is."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    assistant({"type": "text", "text": "thinking"})
    while True:
        time.sleep(60)


def act(verb: str, rest: str) -> None:
    if verb == "bash":
        tool("Bash", {"cmd": rest})
    elif verb == "edit":
        tool("edit_file", {"path": rest, "old_str": "a", "new_str": "b"})
    elif verb == "plan":
        todos = [{"content": "one", "status": "completed"}, {"content": "two", "status": "in-progress"}]
        assistant({"type": "tool_use", "id": "toolu_1", "name": "todo_write", "input": {"todos": todos}})
    elif verb == "hang":
        hang()
    elif verb == "unfinished":
        assistant({"type": "tool_use", "id": "toolu_9", "name": "Read", "input": {"path": "/x"}})
    elif verb == "noise":
        line("not JSON")
        emit("surprise", message=1)
        emit("assistant", message={"content": "text"})


def main() -> None:
    with Path(os.environ["FAKE_AMP_LOG"]).open("a") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    text = sys.stdin.read().rstrip("\n")
    verb, _, rest = text.partition(" ")
    if verb in LAST_WORDS:
        sys.exit(LAST_WORDS[verb])
    emit("system", subtype="init", cwd=str(Path.cwd()), tools=[], mcp_servers=[])
    emit("user", message={"role": "user", "content": [{"type": "text", "text": text}]}, parent_tool_use_id=None)
    if verb in FAILURES:
        subtype, error = FAILURES[verb]
        emit("result", subtype=subtype, is_error=True, error=error, duration_ms=1, num_turns=9)
        return
    act(verb, rest)
    assistant({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": f"said: {text}"})
    assistant({"type": "text", "text": "from a subagent"}, parent="toolu_5")
    result(text)


if __name__ == "__main__":
    main()

"""The verbs with which the mock agent does something: it reads, edits, runs and asks, for real.

A tool call goes as it does with real agents: announced as pending, asked for when it changes something, in progress,
then completed or failed with what came of it.
"""
# pathlib takes as long to import as all the rest of this agent.
# ruff: noqa: PTH103, PTH118, PTH120, PTH123

from __future__ import annotations

import json
import os

from .turn import Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .script import Step
    from .turn import Turn


class Tool:
    """One tool call and its updates."""

    def __init__(self, turn: Turn, kind: str, title: str, **members: Any) -> None:
        self.turn = turn
        self.call = {"toolCallId": turn.tool_id(), "title": title, "kind": kind, "status": "pending"} | members
        turn.tell({"sessionUpdate": "tool_call"} | self.call)

    @property
    def id(self) -> str:
        return str(self.call["toolCallId"])

    def change(self, *, keep: bool = True, **members: Any) -> None:
        """An update of the call; ``keep`` false for one that a load need not replay."""
        update = {"sessionUpdate": "tool_call_update", "toolCallId": self.id} | members
        (self.turn.tell if keep else self.turn.update)(update)

    def permitted(self) -> bool:
        """Ask; a call that is not allowed has failed."""
        try:
            choice = self.turn.permit(self.call)
        except Stopped:
            self.change(status="failed", rawOutput="cancelled")
            raise
        if choice.startswith("allow"):
            self.change(status="in_progress", keep=False)
            return True
        self.fail("The user rejected this tool call.")
        return False

    def fail(self, why: str) -> None:
        self.change(status="failed", rawOutput=why, content=[_text(why)])


def _text(text: str) -> dict[str, Any]:
    return {"type": "content", "content": {"type": "text", "text": text}}


def read(turn: Turn, step: Step) -> None:
    path = _path(turn, step.fields()["path"])
    tool = Tool(turn, "read", f"Read {path}", locations=[{"path": path}], rawInput={"path": path})
    try:
        text = _contents(path)
    except OSError as error:
        tool.fail(str(error))
    else:
        tool.change(status="completed", content=[_text(text)], rawOutput={"bytes": len(text.encode())})


def edit(turn: Turn, step: Step) -> None:
    fields = step.fields()
    path = _path(turn, fields["path"])
    try:
        before = _contents(path)
        fault = None if fields["old"] in before else f"{path} does not contain {fields['old']!r}"
    except OSError as error:
        before, fault = "", str(error)
    if fault is None:
        _change(turn, f"Edit {path}", path, before, before.replace(fields["old"], fields.get("new", ""), 1))
    else:
        Tool(turn, "edit", f"Edit {path}", locations=[{"path": path}], rawInput=fields).fail(fault)


def write(turn: Turn, step: Step) -> None:
    fields = step.fields()
    path = _path(turn, fields["path"])
    try:
        before: str | None = _contents(path)
    except OSError:
        before = None
    _change(turn, f"Write {path}", path, before, fields.get("text", ""))


def _change(turn: Turn, title: str, path: str, before: str | None, after: str) -> None:
    diff = {"type": "diff", "path": path, "oldText": before, "newText": after}
    raw = {"path": path, "content": after}
    tool = Tool(turn, "edit", title, locations=[{"path": path}], rawInput=raw, content=[diff])
    if not tool.permitted():
        return
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(after)
    except OSError as error:
        tool.fail(str(error))
    else:
        tool.change(status="completed", content=[diff], rawOutput={"bytes": len(after.encode())})


def bash(turn: Turn, step: Step) -> None:
    """Run a command; its output streams as a terminal's, in the `_meta` members that clients of real agents know."""
    command = step.text()
    raw = {"command": command, "cwd": turn.session.cwd}
    tool = Tool(turn, "execute", command, rawInput=raw)
    terminal = {"terminal_id": tool.id}
    if not tool.permitted():
        return
    tool.change(
        content=[{"type": "terminal", "terminalId": tool.id}],
        _meta={"terminal_info": terminal | {"cwd": turn.session.cwd}},
    )

    def stream(text: str) -> None:
        tool.change(_meta={"terminal_output_delta": terminal | {"data": text}})

    try:
        code = _run(turn, command, stream)
    except OSError as error:
        tool.fail(str(error))
    except Stopped:
        tool.change(status="failed", rawOutput="cancelled")
        raise
    else:
        ended = {"exit_code": max(code, 0) if code >= 0 else None, "signal": None if code >= 0 else -code}
        tool.change(
            status="failed" if code else "completed",
            rawOutput={"exit_code": code},
            _meta={"terminal_exit": terminal | ended},
        )


def _run(turn: Turn, command: str, stream: Callable[[str], None]) -> int:
    """The exit code; output goes to ``stream`` as it comes. Whatever ends the turn ends the command's whole group."""
    import codecs  # noqa: PLC0415 -- only where a command runs
    import select  # noqa: PLC0415
    import signal  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    child = subprocess.Popen(  # noqa: S602 -- running the command is the tool
        command,
        shell=True,
        executable="/bin/bash",
        cwd=turn.session.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert child.stdout is not None  # noqa: S101 -- for the type checker
    output = child.stdout.fileno()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def end() -> None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    turn.on_abandon(end)
    try:
        while True:
            turn.poll(lambda: bool(select.select([output], [], [], 0.05)[0]), every=0)
            data = os.read(output, 65536)
            text = decoder.decode(data, final=not data)
            if text:
                stream(text)
            if not data:
                return child.wait()
    finally:
        end()
        child.wait()
        child.stdout.close()
        turn.on_abandon(None)


def ask(turn: Turn, step: Step) -> None:
    """A permission for nothing in particular; the answer is said."""
    tool = Tool(turn, "other", step.text() or "May I?")
    choice = turn.permit(tool.call)
    tool.change(status="completed" if choice.startswith("allow") else "failed")
    turn.say(f"You chose: {choice}")


def call(turn: Turn, step: Step) -> None:
    """Any request to the client; its result or error is said as JSON."""
    fields = step.fields()
    response = turn.ask(fields["method"], json.loads(fields.get("params", "{}")))
    answer = {name: response[name] for name in ("result", "error") if name in response}
    turn.say(json.dumps(answer, ensure_ascii=False))


def _path(turn: Turn, path: str) -> str:
    return os.path.join(turn.session.cwd, path)


def _contents(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return file.read()


VERBS: dict[str, Callable[[Turn, Step], Any]] = {verb.__name__: verb for verb in (read, edit, write, bash, ask, call)}

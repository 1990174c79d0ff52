"""What each ``%agent`` command does; the words are in `grammar`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.error import StdinNotImplementedError
from IPython.display import display

from sandbox_agent import __version__, render
from sandbox_agent_jupyter.magics.context import choices
from sandbox_agent_jupyter.magics.files import FileCommands
from sandbox_agent_jupyter.magics.grammar import MagicUsageError, help_text
from sandbox_agent_jupyter.magics.installs import install
from sandbox_agent_jupyter.magics.runs import end, show_logs, show_run
from sandbox_agent_jupyter.magics.turns import show_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

    from sandbox_agent.client import PermissionInfo, Session
    from sandbox_agent.wire.transcript import PermissionItem
    from sandbox_agent_jupyter.magics.context import MagicContext
    from sandbox_agent_jupyter.magics.grammar import Invocation

WAITING_NOTE = "Waiting for permission. Answer with %agent approve (or --always) or %agent reject."
PERMISSION_PATIENCE_S = 30.0
"""How long `approve` and `reject` wait for a request of a turn that runs but has not asked yet."""

POLL_S = 0.1

_BY_SUFFIX: dict[str, Literal["md", "html", "ipynb"]] = {".md": "md", ".html": "html", ".ipynb": "ipynb"}
_ANSWERS = {"y": "once", "yes": "once", "a": "always", "always": "always", "n": "reject", "no": "reject"}


class Commands:
    """Runs invocations; ``namespace`` is the user's, for ``--into``."""

    def __init__(self, context: MagicContext, namespace: MutableMapping[str, Any]) -> None:
        self.context = context
        self.namespace = namespace
        self._files = FileCommands(context)

    def run(self, call: Invocation) -> None:
        """Run one command. Its method is the command's name with a ``do_`` before it."""
        name = call.command.parent or call.command.name
        handler: Callable[[Invocation], None] = getattr(self, f"do_{name}")
        handler(call)
        self.context.say_notes()

    def do_prompt(self, call: Invocation) -> None:
        session = self.context.for_prompt(call.options)
        self.context.say_notes()
        handle = session.prompt(call.text, wait=False)
        if call.options["background"]:
            self._store(call.options["into"], handle)
            print(f"Running in the background in session {session.id}.")  # noqa: T201
            return
        self._follow(session, handle.id)
        if call.options["into"]:
            self._store(call.options["into"], handle.wait(check=False) if handle.refresh().done else handle)

    def do_new(self, call: Invocation) -> None:
        display(self.context.new(call.text or None, call.options))

    def do_use(self, call: Invocation) -> None:
        display(self.context.use(call.text))

    def do_list(self, call: Invocation) -> None:
        display(self.context.client.list_sessions(limit=call.options["limit"] or 20))

    def do_status(self, call: Invocation) -> None:
        if self.context.session is None and not call.options["session"]:
            print(self.context.none_in_use())  # noqa: T201
            return
        session = self.context.current(call.options["session"])
        session.refresh()
        display(session)
        if waiting := session.permissions().pending:
            display(session.permissions())
            print(WAITING_NOTE if len(waiting) == 1 else f"{len(waiting)} requests. {WAITING_NOTE}")  # noqa: T201

    def do_cancel(self, call: Invocation) -> None:
        session = self.context.current(call.options["session"])
        session.cancel()
        display(session.refresh())

    def do_events(self, call: Invocation) -> None:
        session = self.context.current(call.options["session"])
        page = session.events_page(after=call.options["after"] or 0, limit=call.options["limit"] or 50)
        show(render.events_html(page.items), render.events_text(page.items))
        if page.has_more:
            print(f"More: %agent events --after {page.next_after}")  # noqa: T201

    def do_transcript(self, call: Invocation) -> None:
        session = self.context.current(call.options["session"])
        transcript = session.transcript()
        self._store(call.options["into"], transcript)
        form = call.options["format"]
        if call.options["save"]:
            path = Path(call.options["save"]).expanduser()
            path.write_text(session.export(form or _BY_SUFFIX.get(path.suffix, "text")), encoding="utf-8")
            print(f"Saved to {path}")  # noqa: T201
        elif form in {None, "html"}:
            display(transcript)
        elif form == "md":
            text = session.export("md")
            display({"text/markdown": text, "text/plain": text}, raw=True)
        else:
            print(session.export(form))  # noqa: T201

    def do_approve(self, call: Invocation) -> None:
        self._resolve(call, "always" if call.options["always"] else "once")

    def do_reject(self, call: Invocation) -> None:
        self._resolve(call, "reject")

    def do_mode(self, call: Invocation) -> None:
        self._option(call, "mode", lambda session: session.set_mode(call.text))

    def do_model(self, call: Invocation) -> None:
        self._option(call, "model", lambda session: session.set_model(call.text))

    def do_thought(self, call: Invocation) -> None:
        self._option(call, "thought_level", lambda session: session.set_thought_level(call.text))

    def do_end(self, call: Invocation) -> None:
        session = self.context.current(call.text or None)
        session.destroy()
        if self.context.session is not None and self.context.session.id == session.id:
            self.context.session = None
        print(f"Ended session {session.id}.")  # noqa: T201

    def do_connect(self, call: Invocation) -> None:
        name = call.options["token"]
        if name and name not in self.namespace:
            raise MagicUsageError(f"--token names a variable that holds the token; there is no variable {name!r}")
        display(self.context.connect(call.text or None, self.namespace[name] if name else None))

    def do_install(self, call: Invocation) -> None:
        install(self.context.client, call.text, reinstall=call.options["reinstall"])

    def do_doctor(self, call: Invocation) -> None:
        """Check what can be seen from here, then what the server sees of its machine and of its agents."""
        client = self.context.client
        health = client.health()
        facts = {
            "server": client.url,
            "SDK version": __version__,
            "events on disk": "yes" if health.persisted else "no",
        }
        state = "ready" if health.persisted else "failed"
        note = " ".join(part for part in (health.problem, health.hint) if part) or None
        show(
            render.card_html("Sandbox Agent", facts, state=state, note=note),
            render.card_text("Sandbox Agent", facts, state=state, note=note),
        )
        report = client.doctor([call.text] if call.text else None, offline=call.options["offline"])
        show(render.doctor_html(report), render.doctor_text(report))
        if not all(agent.installed for agent in report.agents):
            print("To install one from here: %agent install AGENT")  # noqa: T201

    def do_fs(self, call: Invocation) -> None:
        self._store(call.options.get("into"), self._files.run(call))

    def do_run(self, call: Invocation) -> None:
        process = self.context.client.processes.start(call.text, cwd=call.options["cwd"])
        self._store(call.options["into"], process)
        if call.options["background"]:
            print(f"{process.id} runs in the background: %agent logs --follow {process.id}")  # noqa: T201
            return
        self.context.say_notes()
        show_run(process, keep=bool(call.options["into"]), check=call.options["check"])

    def do_processes(self, _call: Invocation) -> None:
        display(self.context.client.processes.list())

    def do_logs(self, call: Invocation) -> None:
        process = self.context.client.processes.get(call.text)
        show_logs(process, follow=call.options["follow"], tail=call.options["tail"])

    def do_stop(self, call: Invocation) -> None:
        process = self.context.client.processes.get(call.text)
        end(process)
        display(process.info)

    def do_help(self, call: Invocation) -> None:
        print(help_text(call.text))  # noqa: T201

    def _follow(self, session: Session, prompt_id: str) -> None:
        if not show_turn(session, prompt_id, ask):
            print(WAITING_NOTE)  # noqa: T201

    def _resolve(self, call: Invocation, reply: str) -> None:
        session = self.context.current(call.options["session"])
        request = self._request(session, call.text)
        if request is None:
            print(f"Nothing waits for permission in session {session.id}.")  # noqa: T201
            return
        session.answer(request.id, reply)
        if call.options["background"] or request.prompt_id is None:
            print(f"Answered {request.title}: {reply}.")  # noqa: T201
        else:
            self._follow(session, request.prompt_id)

    def _request(self, session: Session, request_id: str) -> PermissionInfo | None:
        """The request named, else the oldest that waits; one of a turn that runs may still be on its way."""
        patience = time.monotonic() + PERMISSION_PATIENCE_S
        while True:
            waiting = [r for r in session.permissions().pending if request_id in {"", r.id}]
            if waiting:
                return waiting[0]
            if request_id:
                raise MagicUsageError(f"no request {request_id!r} waits for permission in session {session.id}")
            if session.refresh().state not in {"running", "waiting"} or time.monotonic() > patience:
                return None
            time.sleep(POLL_S)

    def _option(self, call: Invocation, name: str, change: Callable[[Session], object]) -> None:
        session = self.context.current(call.options["session"])
        if call.text:
            change(session)
        info = session.refresh()
        offered = choices(info.config_options, info.modes, f"{name}s")
        print(_one_of(getattr(info, name), offered, name.replace("_", " ")))  # noqa: T201

    def _store(self, name: str | None, value: object) -> None:
        if name is None:
            return
        if not name.isidentifier():
            raise MagicUsageError(f"--into wants the name of a variable, not {name!r}")
        self.namespace[name] = value


def show(html: str, text: str) -> None:
    """Display HTML with its plain-text twin."""
    display({"text/html": html, "text/plain": text}, raw=True)


def ask(item: PermissionItem) -> str | None:
    """Ask the person at the cell; ``None`` where there is nobody (papermill, nbclient)."""
    offers = {"once": "[y]es", "always": "[a]lways", "reject": "[n]o"}
    replies = [reply for reply, kinds in _KINDS.items() if kinds & {option.kind for option in item.options}]
    question = f"Allow: {item.title}? {', '.join(offers[reply] for reply in replies)}: "
    while True:
        try:
            typed = input(question).strip().lower()
        except (StdinNotImplementedError, EOFError):
            return None
        if _ANSWERS.get(typed) in replies:
            return _ANSWERS[typed]


_KINDS = {
    "once": {"allow_once"},
    "always": {"allow_always"},
    "reject": {"reject_once", "reject_always"},
}


def _one_of(current: str | None, offered: Iterable[str], name: str) -> str:
    listed = ", ".join(f"*{value}*" if value == current else value for value in offered)
    return f"{name}: {current or 'not set'}" + (f" (of {listed})" if listed else "")

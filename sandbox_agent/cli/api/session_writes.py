"""The actions of `sandbox-agent api sessions` that make, prompt and change sessions."""

from __future__ import annotations

import os
import re
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.connection import connect
from sandbox_agent.cli.exits import Exit, UsageError, describe, report
from sandbox_agent.cli.output import print_json, print_line, say
from sandbox_agent.cli.parsers import typed

if TYPE_CHECKING:
    import argparse

    from sandbox_agent.client import PromptHandle, PromptInfo, Session, SessionInfo
    from sandbox_agent.client.content import Prompt
    from sandbox_agent.client.requests import Policy

STDIN = "-"
_GITHUB = re.compile(r"[\w.-]+/[\w.-]+")
END_SECONDS = 10.0
"""For the end of a turn that was cancelled."""


def run_create(arguments: argparse.Namespace) -> int:
    policy = _policy(arguments.permissions)
    servers = [_json(text, "--mcp") for text in arguments.mcp]
    skills = [_skill(text) for text in arguments.skill]
    env = dict(_variable(text) for text in arguments.env)
    with connect(arguments) as client:
        session = client.create_session(
            arguments.agent,
            id=arguments.id,
            cwd=arguments.cwd,
            model=arguments.model,
            mode=arguments.mode,
            thought_level=arguments.thought_level,
            permission_policy=policy or "ask",
            mcp_servers=servers,
            desktop=arguments.desktop,
            skills=skills,
            env=env,
            base_url=arguments.base_url,
            auth_method=arguments.auth_method,
            title=typed(arguments.title),
        )
    _print_made(session, arguments)
    return 0


def run_fork(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        session = client.get_session(arguments.session).fork(id=arguments.id, title=typed(arguments.title))
    _print_made(session, arguments)
    return 0


def _print_made(session: Session, arguments: argparse.Namespace) -> None:
    if arguments.quiet:
        print(session.id)
    else:
        _print_session(session.info, as_json=arguments.json)


def _print_session(info: SessionInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(info)
        return
    from sandbox_agent.render import session_text

    print(session_text(info))


def _skill(text: str) -> Any:
    """A source of skills, from what people write."""
    if text.startswith(("{", "@")):
        return _json(text, "--skill")
    if Path(text).expanduser().is_dir():
        return {"type": "local", "source": str(Path(text).expanduser().absolute())}
    if "://" in text or text.startswith("git@"):
        return {"type": "git", "source": text}
    if _GITHUB.fullmatch(text):
        return {"type": "github", "source": text}
    raise UsageError(f"--skill: {text!r} is no folder, OWNER/NAME or git URL")


def _variable(text: str) -> tuple[str, str]:
    """A variable with its value, or with that of this process: it then stays off the command line."""
    name, given, value = text.partition("=")
    if not given and name not in os.environ:
        raise UsageError(f"--env: {name} is not set here; give {name}=VALUE")
    return name, value if given else os.environ[name]


def _policy(text: str | None) -> Policy | None:
    """A mode by its name, or a whole policy."""
    if text is None:
        return None
    from sandbox_agent.wire.sessions import POLICY_MODES, PermissionPolicy

    if (name := text.replace("-", "_")) in POLICY_MODES:
        return name  # type: ignore[return-value]  # one of the literal's values, as was just seen
    if not text.startswith(("{", "@")):
        raise UsageError(f"--permissions takes {', '.join(POLICY_MODES)}, JSON or @FILE, not {text!r}")
    import msgspec

    try:
        return msgspec.convert(_json(text, "--permissions"), PermissionPolicy)
    except msgspec.ValidationError as error:
        raise UsageError(f"--permissions: {error}") from error


def _json(text: str, option: str) -> Any:
    """JSON, or the file after ``@`` that holds it."""
    import msgspec

    try:
        return msgspec.json.decode(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except OSError as error:
        raise UsageError(f"{option}: cannot read {text[1:]}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{option}: {error}") from error


def run_prompt(arguments: argparse.Namespace) -> int:
    prompt = _prompt(arguments)
    key = arguments.idempotency_key or uuid.uuid4().hex
    with connect(arguments) as client:
        session = client.get_session(arguments.session)
        handle: PromptHandle | None = None
        try:
            handle = session.prompt(prompt, wait=False, idempotency_key=key)
            if arguments.no_wait:
                _print_prompt(handle.info, as_json=arguments.json)
                return Exit.OK
            return _watch(handle, arguments)
        except KeyboardInterrupt:
            return _cancelled(session, handle, key)


def _prompt(arguments: argparse.Namespace) -> Prompt:
    """What the command line, a file or stdin says, with the files that go with it."""
    words = typed(" ".join(arguments.text)) or ""
    if words and arguments.file:
        raise UsageError("give the prompt as TEXT or with --file, not both")
    if STDIN in (words, arguments.file) or not (words or arguments.file or sys.stdin.isatty()):
        words = sys.stdin.buffer.read().decode("utf-8", "replace")
    elif arguments.file:
        words = _read(arguments.file).decode("utf-8", "replace")
    if not words.strip():
        raise UsageError("the prompt is empty: give it as TEXT, with --file, or on stdin")
    attached = [Path(name) for name in arguments.attach]
    for path in attached:
        if not path.is_file():
            raise UsageError(f"--attach: {path} is not a file")
    return [words, *map(_attachment, attached)] if attached else words


def _attachment(path: Path) -> Path | dict[str, Any]:
    """A picture as one, which an agent that takes none gets as a link; any other file as the client has it."""
    import mimetypes

    from sandbox_agent.client.content import image_block

    if (mimetypes.guess_type(path.name)[0] or "").partition("/")[0] != "image":
        return path
    try:
        return image_block(path.read_bytes()) | {"uri": path.absolute().as_uri()}
    except TypeError:  # of a kind that agents do not take
        return path


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error


def _print_prompt(info: PromptInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(info)
    else:
        print(info.id)


def _watch(handle: PromptHandle, arguments: argparse.Namespace) -> int:
    """Print the turn as it goes; the status it ends with."""
    if arguments.json:
        with handle.events() as events:
            for event in events:
                print_line({"type": "event", "event": event})
        told: frozenset[str] = frozenset()
        result = handle.wait(check=False)
        print_line({"type": "result", "text": result.text, "prompt": result.info})
    else:
        told = _show(handle, quiet=arguments.quiet, asks=not arguments.no_input)
    return _status(handle.refresh(), told, as_json=arguments.json)


def _show(handle: PromptHandle, *, quiet: bool, asks: bool) -> frozenset[str]:
    """Print the turn; the errors that were told."""
    from sandbox_agent.cli.live.console import Console
    from sandbox_agent.cli.live.question import Terminal
    from sandbox_agent.cli.live.turn import follow

    terminal = Terminal.open() if asks and sys.stderr.isatty() else None
    try:
        return follow(handle, Console(quiet=quiet), terminal)
    finally:
        if terminal is not None:
            terminal.close()


def _status(info: PromptInfo, told: frozenset[str], *, as_json: bool) -> int:
    if info.state == "completed":
        return Exit.OK
    if info.state == "cancelled":
        return Exit.INTERRUPTED
    from sandbox_agent.client.programs import failure

    error = failure(info)
    if describe(error)["detail"] not in told:
        report(error, as_json=as_json)
    return Exit.PROMPT_FAILED


def _cancelled(session: Session, handle: PromptHandle | None, key: str) -> int:
    """End the turn of an interrupted command, also where the interrupt came before the server's answer did."""
    from sandbox_agent.problems import SandboxAgentError

    try:
        if handle is None:
            mine = next((info for info in session.prompts() if info.idempotency_key == key), None)
            handle = session.get_prompt(mine.id) if mine is not None else None
        if handle is not None and handle.refresh().state == "queued":
            # To cancel ends what runs before it too, which may be somebody else's.
            say(f"it stays in the queue; `sandbox-agent api sessions cancel {session.id}` ends it and what runs now")
            return Exit.INTERRUPTED
        if handle is not None:
            handle.cancel()
            handle.wait(END_SECONDS, check=False)
        say("cancelled; the session stays")
    except SandboxAgentError as error:
        report(error)
    return Exit.INTERRUPTED


def run_answer(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        permission = client.get_session(arguments.session).answer(arguments.request, arguments.reply)
    if arguments.json:
        print_json(permission)
        return 0
    from sandbox_agent.render import permission_text

    print(permission_text(permission))
    return 0


def run_update(arguments: argparse.Namespace) -> int:
    policy = _policy(arguments.permissions)
    given = {name: typed(getattr(arguments, name)) for name in ("title", "model", "mode", "thought_level")}
    if policy is None and not any(value is not None for value in given.values()):
        raise UsageError("nothing to change: give --title, --model, --mode, --thought-level or --permissions")
    with connect(arguments) as client:
        info = client.get_session(arguments.session).update(**given, permission_policy=policy)
    _print_session(info, as_json=arguments.json)
    return 0


def run_cancel(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        info = client.get_session(arguments.session).cancel()
    _print_session(info, as_json=arguments.json)
    return 0


def run_delete(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        for session in arguments.session:
            client.destroy_session(session)
            say(f"{session} is deleted")
    return 0

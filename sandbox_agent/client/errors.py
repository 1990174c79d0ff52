"""What can go wrong between a client and its server, beside the problems the server itself answers.

Everything here descends from :class:`~sandbox_agent.problems.SandboxAgentError`; what the server answered arrives as
the classes of :mod:`sandbox_agent.problems`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.client.desktop_results import ActionsResult
    from sandbox_agent.client.process_results import ProcessInfo, RunResult
    from sandbox_agent.wire.sessions import PromptInfo

START_HINT = "start one with `sandbox-agent daemon start`, or use `SandboxAgent.start()`"


TOLD: Final = 1000
"""Characters of an output that a message tells."""


class ClientError(SandboxAgentError):
    """An error found on the client's side; ``hint`` is the command or change that would fix it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class ServerUnreachable(ClientError, ConnectionError):
    """No answer from the server: refused, cut, or silent for too long. ``url`` is where it should be."""

    def __init__(self, url: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"no answer from {url}: {reason}", hint=hint)
        self.url = url
        self.reason = reason


class NoServerFound(ClientError, ConnectionError):
    """``connect()`` was not told where the server is and found none; ``tried`` says where it looked, and why not."""

    def __init__(self, tried: Sequence[str], *, hint: str = START_HINT) -> None:
        looked = "".join(f"\n  - {line}" for line in tried)
        super().__init__(f"no Sandbox Agent server found{':' + looked if looked else ''}", hint=hint)
        self.tried = tuple(tried)


class ServerStartFailed(ClientError):
    """``start()`` could not bring a local server up; ``logs`` are the last lines it wrote."""

    def __init__(self, message: str, *, logs: str = "", hint: str | None = None) -> None:
        super().__init__(f"{message}\n{logs.rstrip()}" if logs.strip() else message, hint=hint)
        self.logs = logs


class ServerExited(ServerUnreachable):
    """The local server of ``start()`` has ended; ``code`` is its exit code (negative: a signal), ``logs`` its last."""

    def __init__(self, url: str, code: int, *, logs: str = "") -> None:
        reason = f"the local server ended with code {code}"
        super().__init__(url, f"{reason}\n{logs.rstrip()}" if logs.strip() else reason)
        self.code = code
        self.logs = logs


class ClientClosed(ClientError):
    """The client was closed before the call was made or while it ran."""


class PromptTimeout(ClientError, TimeoutError):
    """The wait for a prompt ran out. The turn goes on: wait again on a handle, or cancel it. ``info`` is its state."""

    def __init__(self, info: PromptInfo, seconds: float) -> None:
        super().__init__(
            f"prompt {info.id} is still {info.state} after {seconds:g} s",
            hint="it goes on: wait with `session.get_prompt(id).wait()`, or end it with `session.cancel()`",
        )
        self.info = info


class ContentNotSupported(ClientError, ValueError):
    """The agent said it does not take this kind of content block."""


class ProtocolMismatch(ClientError):
    """The server answered something that is not of this API."""


class CommandFailed(ClientError):
    """A command ended with something else than 0, by a signal, or by its time-out; ``result`` is what it left."""

    def __init__(self, result: RunResult) -> None:
        if result.timed_out:
            ended = f"timed out after {result.duration_ms / 1000:g} s"
        elif result.signal is not None:
            ended = f"was ended by signal {result.signal}"
        else:
            ended = f"ended with {result.exit_code}"
        told = result.stderr.strip()[-TOLD:]
        super().__init__(f"the command {ended}" + (f"\n{told}" if told else ""))
        self.result = result


class ProcessTimeout(ClientError, TimeoutError):
    """The wait for a process ran out; it goes on. ``info`` is its state."""

    def __init__(self, info: ProcessInfo, seconds: float) -> None:
        super().__init__(f"{info.id} still runs after {seconds:g} s", hint="it goes on: end it with `stop()`")
        self.info = info


class TerminalTimeout(ClientError, TimeoutError):
    """What was waited for did not appear on a terminal; ``text`` is what did, and stays to be read."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(f"it did not appear within {seconds:g} s; the last was {text[-TOLD:]!r}")
        self.text = text


class TerminalClosed(ClientError, EOFError):
    """The terminal's process has ended, or the connection was closed; ``text`` is what was left to read.

    ``exit_code`` is there when the process has ended by itself.
    """

    def __init__(self, text: str = "", exit_code: int | None = None) -> None:
        ended = "the terminal is closed" if exit_code is None else f"the terminal's process ended with {exit_code}"
        super().__init__(f"{ended}; the last was {text[-TOLD:]!r}" if text else ended)
        self.text = text
        self.exit_code = exit_code


class FileChanged(ClientError):
    """A file changed while it was being read; read it again."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} changed while it was being read", hint="read it again")
        self.path = path


class ExtraMissing(ClientError, ImportError):
    """Something is asked for that needs a package which is not installed here; the hint installs it."""

    def __init__(self, package: str, extra: str) -> None:
        hint = f"pip install 'sandbox-agent-jupyter[{extra}]'"
        super().__init__(f"this needs {package}, which is not installed", hint=hint)


class DesktopTimeout(ClientError, TimeoutError):
    """What was waited for did not come on the desktop."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what}, within {seconds:g} s")


class ActionFailed(ClientError):
    """One of several actions failed; those after it were not tried. ``result`` is what became of those that were."""

    def __init__(self, result: ActionsResult) -> None:
        failed = result[-1]
        problem = failed.problem or {}
        told = problem.get("detail") or ("it did not come in time" if failed.wait is not None else "it failed")
        super().__init__(f"action {len(result)} ({failed.type}): {told}", hint=problem.get("hint"))
        self.result = result

"""`sandbox-agent api processes attach` and `terminal`: this terminal as one of a process in the sandbox."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import threading
import tty
from typing import TYPE_CHECKING, Any, Final, Self

from sandbox_agent.cli.connection import add_connection, connect
from sandbox_agent.cli.exits import Exit, UsageError
from sandbox_agent.cli.output import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from sandbox_agent.client import SandboxAgent
    from sandbox_agent.client.terminal import Terminal
    from sandbox_agent.problems import SandboxAgentError

DETACH_KEYS: Final = "ctrl-p,ctrl-q"
_READ: Final = 1 << 16
_BY_SIGNAL: Final = 128
_BLOCKED: Final = 1.0
"""Seconds that are waited for a terminal whose user has stopped it."""
_END_OF_INPUT: Final = b"\x04"
_ALTERNATE: Final = re.compile(r"\x1b\[\?(?:1049|1047|47)([hl])")
_USUAL: Final = "\x1b[!p\x1b[?1000;1002;1003;1004;1006;2004l\x1b[?1l\x1b>\x1b[0m"
"""What undoes the modes of a program that goes on elsewhere (XTerm's ctlseqs)."""


def add_attach(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the two actions to those of `processes`."""
    attach = actions.add_parser(
        "attach",
        help="use a process's terminal in this one",
        description="Use the terminal of a process in this one, drawn as it is now. Ends with the process's exit code.",
    )
    attach.add_argument("id", help="the process, which was started with a terminal")
    _add_keys(attach)
    add_connection(attach)
    attach.set_defaults(run=run_attach)
    terminal = actions.add_parser(
        "terminal",
        help="start a program in a terminal, and use it in this one",
        description=(
            "Start a program in a terminal of the sandbox and use that in this one. Ends with the program's exit code."
        ),
    )
    terminal.add_argument("--cwd", help="the working directory")
    terminal.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of its environment (repeatable)"
    )
    _add_keys(terminal)
    add_connection(terminal)
    terminal.add_argument("command", nargs="...", help="the program and its arguments (default: bash)")
    terminal.set_defaults(run=run_terminal)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--detach-keys",
        default=DETACH_KEYS,
        metavar="KEYS",
        help=f"what to type to leave the process running, such as a or ctrl-a, with commas (default: {DETACH_KEYS})",
    )


def run_attach(arguments: argparse.Namespace) -> int:
    keys = Keys(arguments.detach_keys)
    with connect(arguments) as client:
        return use(client, client.processes.get(arguments.id).terminal(), keys)


def run_terminal(arguments: argparse.Namespace) -> int:
    keys = Keys(arguments.detach_keys)
    command = [part for part in arguments.command if part != "--"] or ["bash"]
    env = dict(_variable(text) for text in arguments.env)
    size = size_here()
    with connect(arguments) as client:
        process = client.processes.start(
            command, cwd=arguments.cwd, env=env, tty=True, cols=size[0] if size else 80, rows=size[1] if size else 24
        )
        return use(client, process.terminal(), keys)


def _variable(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not given:
        raise UsageError(f"--env: give {name}=VALUE")
    return name, value


def size_here() -> tuple[int, int] | None:
    """Columns and rows of this terminal, if it is one."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return None
    return (size.columns, size.lines) if size.columns and size.lines else None


def use(client: SandboxAgent, terminal: Terminal, keys: Keys, *, lasting: bool = True) -> int:
    """Use a terminal in this one; the status to exit with. One that is not ``lasting`` ends when it is left."""
    with terminal:
        detached = Attached(terminal, keys).run()
        code = terminal.exit_code
        number = client.processes.get(terminal.id).info.signal if code is None and not detached else None
    if detached:
        say(f"detached; it goes on: sandbox-agent api processes attach {terminal.id}" if lasting else "left, and ended")
        return 0 if lasting else Exit.INTERRUPTED
    if code is None:
        return _BY_SIGNAL + number if number else 1
    return code


class Keys:
    """Finds the keys that detach among what is typed (pure). Raises ``UsageError`` for keys there are not."""

    def __init__(self, keys: str) -> None:
        self._sequence = b"".join(_key(key.strip()) for key in keys.split(","))
        self._held = b""

    def sort(self, typed: bytes) -> tuple[bytes, bool]:
        """What is to be sent, and whether to detach. Keys that may be the beginning of the sequence are held back."""
        typed = self._held + typed
        self._held = b""
        at = typed.find(self._sequence)
        if at >= 0:
            return typed[:at], True
        for length in range(min(len(self._sequence) - 1, len(typed)), 0, -1):
            if typed.endswith(self._sequence[:length]):
                self._held = typed[-length:]
                return typed[:-length], False
        return typed, False


def _key(name: str) -> bytes:
    if len(name) == 1 and name.isascii():
        return name.encode()
    prefix, _, letter = name.lower().partition("-")
    if prefix == "ctrl" and len(letter) == 1 and "@" <= letter.upper() <= "_":
        return bytes([ord(letter.upper()) - 64])
    raise UsageError(f"--detach-keys: {name!r} is no key; a letter, or ctrl- and one")


class Attached:
    """The terminal here while it is that of the process: keys go there as they are, and output comes here."""

    def __init__(self, terminal: Terminal, keys: Keys) -> None:
        self._terminal = terminal
        self._keys = keys
        self._fault: SandboxAgentError | OSError | None = None
        self._alternate = False
        self._left = False
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> bool:
        """Until the process has ended, or the user has detached: True. Raises what went wrong."""
        reader = threading.Thread(target=self._show, name="terminal output", daemon=True)
        try:
            with Raw(sys.stdin.fileno()), self._signals():
                reader.start()
                try:
                    self._resize()
                    detached = self._type()
                finally:
                    self._leave()
        finally:
            self._terminal.close()
            if reader.ident is not None:
                reader.join(_BLOCKED)
            if not reader.is_alive():
                os.close(self._wake)
                os.close(self._waker)
        if self._fault is not None and not detached:
            raise self._fault
        return detached

    def _show(self) -> None:
        from sandbox_agent.problems import SandboxAgentError

        try:
            for text in self._terminal:
                with self._writing:
                    if self._left:
                        return
                    if switches := _ALTERNATE.findall(text):
                        self._alternate = switches[-1] == "h"
                    self._write(text)
        except (SandboxAgentError, OSError) as error:  # the other side, or this one: nobody reads
            self._fault = error
        finally:
            self._over.set()
            os.write(self._waker, b"o")

    def _leave(self) -> None:
        """Put right what the program has not itself; nothing of it is written after that."""
        free = self._writing.acquire(timeout=_BLOCKED)
        self._left = True
        if free:
            if not self._over.is_set() or self._alternate:
                self._write(_USUAL + ("\x1b[?1049l" if self._alternate else "") + "\r\n")
            self._writing.release()

    @staticmethod
    def _write(text: str) -> None:
        data = memoryview(text.encode(errors="replace"))
        while data:
            data = data[os.write(sys.stdout.fileno(), data) :]

    def _type(self) -> bool:
        """Send what is typed until either side has had enough; True to detach."""
        watched = [sys.stdin.fileno(), self._wake]
        while not self._over.is_set():
            ready, _, _ = select.select(watched, [], [])
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    if b"w" in os.read(self._wake, _READ):
                        self._resize()
            if watched[0] in ready and watched[0] != self._wake:
                typed = os.read(watched[0], _READ)
                if not typed:
                    watched = [self._wake]
                keys, detach = self._keys.sort(typed or _END_OF_INPUT)
                self._send(keys)
                if detach:
                    return True
        return False

    def _send(self, keys: bytes) -> None:
        from sandbox_agent.client import TerminalClosed

        if keys:
            with contextlib.suppress(TerminalClosed):  # its end is on its way here
                self._terminal.send(keys)

    def _resize(self) -> None:
        from sandbox_agent.problems import Conflict, NotFound

        if size := size_here():
            with contextlib.suppress(Conflict, NotFound):  # it has just ended
                self._terminal.resize(*size)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """A change of size is passed on; what would end this process ends it in order, so that the terminal is kept."""

        def changed(_number: int, _frame: FrameType | None) -> None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._waker, b"w")

        def ended(number: int, _frame: FrameType | None) -> None:
            raise SystemExit(_BY_SIGNAL + number)

        handlers: dict[int, Any] = {signal.SIGWINCH: changed, signal.SIGTERM: ended, signal.SIGHUP: ended}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Raw:
    """The terminal here without a mind of its own while in the block; nothing where there is none."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            tty.setraw(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

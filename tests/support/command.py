"""The `sandbox-agent` command as a process, with pipes or in a terminal of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from .server import DEADLINE, environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .server import Server

PROGRAM = [sys.executable, "-m", "sandbox_agent"]

# Makes the terminal on its stdin the controlling one, then becomes the command.
IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass
class Command:
    """Runs the command for one user, against one server if there is one."""

    home: Path
    server: Server | None = None

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        own = {"SANDBOX_AGENT_URL": self.server.url} if self.server else {}
        own |= {"SANDBOX_AGENT_TOKEN": self.server.token} if self.server and self.server.token else {}
        return environment(self.home, own | dict(extra or {}))

    def __call__(
        self, *args: str, status: int = 0, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, which must be of the given status."""
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [*PROGRAM, *args],
            env=self.environ(env),
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def json(self, *args: str) -> Any:
        return json.loads(self(*args).stdout)

    def popen(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        self.home.mkdir(parents=True, exist_ok=True)
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*PROGRAM, *args], env=self.environ(), cwd=self.home, text=True, **pipes | options)

    def terminal(self, *args: str, env: Mapping[str, str] | None = None) -> Terminal:
        return Terminal(PROGRAM + list(args), self.environ({"TERM": "xterm", **(env or {})}), self.home)


class Terminal:
    """A program in a terminal: what it printed so far, and what is typed."""

    def __init__(self, argv: list[str], environ: dict[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        self.modes = termios.tcgetattr(self._master)  # as they are before the program can change them
        self.shown = ""
        self._seen = 0
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", IN_TERMINAL, *argv],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=environ,
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            os.close(slave)

    def expect(self, text: str) -> str:
        """Wait until it has printed ``text``, after what was expected before; all that came until then."""
        deadline = time.monotonic() + DEADLINE
        while (found := self.shown.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} is not in {self.shown[self._seen :]!r}"
        before, self._seen = self.shown[self._seen : found], found + len(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait(self) -> int:
        """Read to its end; the status."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline):
            pass
        return self.process.wait(DEADLINE)

    def _read(self, deadline: float) -> bool:
        """Some more of what it prints; false at its end."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

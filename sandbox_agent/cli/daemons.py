"""Servers in the background, one a host and port, by the files they have in the user's state directory.

``daemon-HOST-PORT.pid``, ``.version`` and ``.log``, and beside them ``.json`` (how it was started), ``.token`` (one
that was made here, so that it stays the same) and ``.lock``: the server holds that file locked as long as it lives, so
a process id that was given to another program since is never taken for a daemon's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sandbox_agent import __version__
from sandbox_agent.client.discovery import TOKEN_VARIABLE, URL_VARIABLE
from sandbox_agent.client.errors import ClientError, ServerStartFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
LOG_BYTES: Final = 5 << 20
"""A log longer than this is put aside (``.log.1``) by the next start."""
_TAIL: Final = 4096
_POLL: Final = 0.02
_READY = re.compile(rb"^Sandbox Agent listening on (\S+)$", re.MULTILINE)

Access = Literal["token", "made", "none"]
"""A token that the user gave, one that was made here, or none."""


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that lives."""

    pid: int
    version: str
    url: str
    log: str
    access: Access
    options: tuple[str, ...]
    started: float

    @property
    def uptime(self) -> float:
        """In seconds."""
        return max(0.0, time.time() - self.started)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a daemon shall be started; ``access`` is None where the user did not say."""

    access: Access | None
    token: str | None = None
    options: tuple[str, ...] | None = None


def state_folder() -> Path:
    """Where daemons have their files, honouring ``XDG_STATE_HOME``."""
    import platformdirs

    return Path(platformdirs.user_state_dir("sandbox-agent", appauthor=False)) / "daemon"


class Daemon:
    """The daemon of one host and port, running or not."""

    def __init__(self, host: str, port: int, folder: Path | None = None) -> None:
        self.host = host
        self.port = port
        self._folder = folder or state_folder()
        self._stem = f"daemon-{re.sub(r'[^A-Za-z0-9]+', '-', host).strip('-')}-{port}"

    @property
    def log(self) -> Path:
        return self._file("log")

    @property
    def token_file(self) -> Path:
        return self._file("token")

    def running(self) -> Running | None:
        """It, if it runs. Waits while another command starts or stops it."""
        if not self._file("pid").exists():
            return None
        with self._guarded():
            return self._running()

    def start(self, wanted: Wanted, *, upgrade: bool) -> tuple[Running, bool]:
        """It, and whether it was started just now: one that runs stays, unless an upgrade of another version is wanted.

        Raises `ServerStartFailed` with the end of the log.
        """
        with self._guarded():
            now = self._running()
            if now is not None and (now.version == __version__ or not upgrade):
                return now, False
            if now is not None:
                wanted = _as_before(now, wanted)
                self._end(now)
            return self._start(wanted), True

    def stop(self) -> Running | None:
        """End it and everything it started, and wait for that; the daemon that ran."""
        if not self._file("pid").exists():
            return None
        with self._guarded():
            now = self._running()
            if now is not None:
                self._end(now)
            return now

    def token(self) -> str | None:
        """The token that was made for it."""
        try:
            return self.token_file.read_text().strip() or None
        except FileNotFoundError:
            return None

    def _file(self, suffix: str) -> Path:
        return self._folder / f"{self._stem}.{suffix}"

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """One command at a time."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        guard = os.open(self._file("guard"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield
        finally:
            os.close(guard)

    def _running(self) -> Running | None:
        lock = self._lock()
        if lock is not None:
            os.close(lock)
            return None
        try:
            told = json.loads(self._file("json").read_text())
            access, options, started = told["access"], tuple(told["options"]), float(told["started"])
            pid, version = int(self._file("pid").read_text()), self._file("version").read_text().strip()
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return Running(pid, version, told["url"], str(self.log), access, options, started)

    def _lock(self) -> int | None:
        """The lock that a daemon holds, as an open file; None where one holds it."""
        lock = os.open(self._file("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _start(self, wanted: Wanted) -> Running:
        access = wanted.access or "made"
        token = self._made_token() if access == "made" else wanted.token
        options = wanted.options or ()
        lock = self._lock()
        if lock is None:
            raise ServerStartFailed(f"another process holds {self._file('lock')}", hint=f"see {self.log}")
        try:
            process, since = self._spawn(access, token, options, lock)
        finally:
            os.close(lock)
        try:
            url = self._await_ready(process, since)
        except BaseException:
            process.kill()
            process.wait()
            raise
        started = time.time()
        state = {"url": url, "access": access, "options": options, "started": started}
        _write(self._file("json"), json.dumps(state))
        _write(self._file("version"), __version__)
        _write(self._file("pid"), str(process.pid))
        return Running(process.pid, __version__, url, str(self.log), access, options, started)

    def _made_token(self) -> str:
        token = self.token() or secrets.token_urlsafe(32)
        _write(self.token_file, token)
        return token

    def _spawn(
        self, access: Access, token: str | None, options: Sequence[str], lock: int
    ) -> tuple[subprocess.Popen[bytes], int]:
        """The server's process, and where in the log its lines begin."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self._file("log.1"))
        # -P: a file of this folder that is called as a module is not imported in its place.
        command = [sys.executable, "-P", "-m", "sandbox_agent", "server", "--host", self.host, "--port", str(self.port)]
        command += ["--no-token"] if access == "none" else []
        environ = {name: value for name, value in os.environ.items() if name not in {TOKEN_VARIABLE, URL_VARIABLE}}
        # Its token reaches it by its environment, which only this user can read.
        environ |= {TOKEN_VARIABLE: token} if token is not None else {}
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            since = os.fstat(log).st_size
            process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                pass_fds=(lock,),  # held as long as the server lives
                start_new_session=True,
            )
        finally:
            os.close(log)
        return process, since

    def _await_ready(self, process: subprocess.Popen[bytes], since: int) -> str:
        """The URL of the server's ready line. Raises `ServerStartFailed`."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            said = self._said(since)
            if found := _READY.search(said):
                return found.group(1).decode()
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(_POLL)
                logs = self._said(since)[-_TAIL:].decode("utf-8", "replace")
                raise ServerStartFailed(f"the server ended with code {code} before it was ready", logs=logs)
        logs = self._said(since)[-_TAIL:].decode("utf-8", "replace")
        raise ServerStartFailed(f"the server was not ready after {START_SECONDS:g} s", logs=logs)

    def _said(self, since: int) -> bytes:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read()

    def _end(self, now: Running) -> None:
        """SIGTERM, then SIGKILL, each through a descriptor that stands for that one process."""
        try:
            process = os.pidfd_open(now.pid)
        except ProcessLookupError:
            process = None
        if process is not None:
            try:
                for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(process, number)
                    if select.select([process], [], [], seconds)[0]:
                        break
                else:
                    raise ClientError(f"the daemon (pid {now.pid}) does not end", hint=f"see {self.log}")
            finally:
                os.close(process)
        for suffix in ("pid", "version", "json"):
            self._file(suffix).unlink(missing_ok=True)


def _as_before(now: Running, wanted: Wanted) -> Wanted:
    """What an upgrade does not say stays as it was. Raises `ClientError` for a token that is not known here."""
    access = wanted.access or now.access
    if access == "token" and wanted.token is None:
        raise ClientError(
            "the daemon that runs has a token of yours",
            hint=f"give it again with --token or {TOKEN_VARIABLE}, or --no-token",
        )
    return Wanted(access, wanted.token, now.options if wanted.options is None else wanted.options)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for this user only."""
    draft = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def document(now: Running) -> dict[str, Any]:
    """A daemon as JSON, in the wire's spelling."""
    told = asdict(now)
    return {
        "running": True,
        **{name: told[name] for name in ("url", "pid", "version", "log", "options")},
        "access": now.access,
        "uptimeSeconds": round(now.uptime, 3),
    }

"""A server as a child of this process, for ``SandboxAgent.start()``."""

from __future__ import annotations

import fcntl
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from sandbox_agent.client import started
from sandbox_agent.client.discovery import TOKEN_VARIABLE, URL_VARIABLE, user_data_dir
from sandbox_agent.client.errors import ServerExited, ServerStartFailed
from sandbox_agent.client.target import parse_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox_agent.client.target import Target

STOP_GRACE: Final = 10.0
"""Seconds for a graceful end: the server gives itself five to end its agents."""

TAIL: Final = 16 * 1024

MOST_FOLDERS: Final = 100

_URL = re.compile(rb"https?://[^\s\"']+")


class LocalServer:
    """A running server. It ends with :meth:`stop`, with this object, or with this process, however that ends."""

    def __init__(self, process: subprocess.Popen[bytes], target: Target, log: int) -> None:
        self.process = process
        self.target = target
        self.started_at = time.monotonic()
        self._log = log
        weakref.finalize(self, os.close, log)
        self._finalizer = weakref.finalize(self, _stop, process, os.getpid())

    @property
    def pid(self) -> int:
        return self.process.pid

    def logs(self) -> str:
        """The last lines the server wrote."""
        return _tail(self._log)

    def exited(self) -> ServerExited | None:
        """The error that says so, when the server has ended."""
        code = self.process.poll()
        return None if code is None else ServerExited(self.target.url, code, logs=self.logs())

    def stop(self) -> None:
        """End the server and everything it started; any number of times."""
        self._finalizer()

    def __repr__(self) -> str:
        code = self.process.poll()
        return f"<LocalServer {self.target.url} pid {self.pid}{'' if code is None else f', ended with {code}'}>"


def start_server(
    *,
    data_dir: str | Path | None = None,
    config: str | Path | None = None,
    arguments: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> LocalServer:
    """Start a server on a free port and wait until it serves. Raises :class:`ServerStartFailed` with its logs.

    Its token is made here and reaches it through its environment, which only this user can read. It watches this
    process and ends when this is gone, killed or not. Without ``data_dir`` it takes a folder below the user's data
    directory that no other started server uses, the same as last time when that is free: sessions are found again.
    """
    lock = None
    if data_dir is None:
        data_dir, lock = _free_folder(user_data_dir())
    token = secrets.token_urlsafe(32)
    # -P: a file of this folder that is called as a module is not imported in its place.
    command = [sys.executable, "-P", "-m", "sandbox_agent", "server", "--port", "0", "--parent-pid", str(os.getpid())]
    command += ["--data-dir", str(data_dir)]
    command += ["--config", str(config)] if config is not None else []
    child_environ = {**os.environ, **(environ or {}), TOKEN_VARIABLE: token}
    child_environ.pop(URL_VARIABLE, None)
    log = _scratch_file()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=child_environ,
            pass_fds=() if lock is None else (lock,),  # the server holds the lock as long as it lives
            start_new_session=True,  # an interrupt typed here is for this process, which then ends the server
        )
    finally:
        if lock is not None:
            os.close(lock)
    try:
        url = _await_ready(process, log, timeout)
    except BaseException:
        _stop(process, os.getpid())
        os.close(log)
        raise
    server = LocalServer(process, parse_url(url, token), log)
    started.note(server)
    return server


def _scratch_file() -> int:
    """A file for the server's log that no name leads to; a pipe could fill up and stop the server."""
    descriptor, path = tempfile.mkstemp(prefix="sandbox-agent-")
    Path(path).unlink()
    return descriptor


def _free_folder(base: Path) -> tuple[Path, int]:
    """The first folder ``started/N`` that no running server has locked, and the lock's descriptor."""
    for number in range(MOST_FOLDERS):
        folder = base / "started" / str(number)
        for level in (base, folder.parent, folder):
            level.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "started.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return folder, lock
    raise ServerStartFailed(f"{MOST_FOLDERS} started servers run already", hint="give start() a data_dir")


def _await_ready(process: subprocess.Popen[bytes], log: int, timeout: float) -> str:
    """The URL of the server's ready line."""
    ready: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None  # noqa: S101 - it was asked for
    threading.Thread(
        target=_read_stdout, args=(process.stdout, ready), name="sandbox-agent-server-stdout", daemon=True
    ).start()
    try:
        url = ready.get(timeout=timeout)
    except queue.Empty:
        raise ServerStartFailed(
            f"the local server was not ready after {timeout:g} s", logs=_tail(log), hint="give start() a longer timeout"
        ) from None
    if url is None:
        code = process.wait()
        raise ServerStartFailed(f"the local server ended with code {code} before it was ready", logs=_tail(log))
    return url


def _read_stdout(stdout: IO[bytes], ready: queue.SimpleQueue[str | None]) -> None:
    """Find the ready line; go on reading, so that the server never waits for a full pipe."""
    with stdout:
        for line in stdout:
            if found := _URL.search(line):
                ready.put(found.group().decode())
    ready.put(None)


def _tail(log: int) -> str:
    return os.pread(log, TAIL, max(0, os.fstat(log).st_size - TAIL)).decode("utf-8", "replace")


def _stop(process: subprocess.Popen[Any], owner: int) -> None:
    """A fork of the process that started the server is not its owner."""
    if os.getpid() != owner or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

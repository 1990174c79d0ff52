"""One install while it runs: the programs it starts, what they say, and the failure they end in."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox_agent.agents.install.progress import Progress
from sandbox_agent.problems import InstallFailed
from sandbox_agent.supervisor import Command, PipeReader, SpawnFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sandbox_agent.agents.catalogue import AgentSpec
    from sandbox_agent.agents.install.progress import Listener
    from sandbox_agent.agents.install.store import Store
    from sandbox_agent.supervisor import Child, Exit, Supervisor

DEADLINE = 1800.0
"""Seconds a program may take: some agents are half a gigabyte, and some networks slow."""

_LAST_LINES = 20
_LONGEST_LINE = 2000
_PASSED = ("npm_config_", "NPM_CONFIG_", "UV_", "PIP_", "NODE_EXTRA_CA_CERTS")


@dataclass(slots=True)
class Job:
    """``listeners`` hear all of it; ``environ`` is what programs are looked up in and started with."""

    spec: AgentSpec
    supervisor: Supervisor
    store: Store
    environ: Mapping[str, str]
    listeners: list[Listener] = field(default_factory=list)
    stage: str = "wait"
    _fraction: float = 0.0

    @property
    def path(self) -> str:
        return self.environ.get("PATH", os.defpath)

    @property
    def home(self) -> str:
        return self.environ.get("HOME", "/")

    def tell(self, stage: str, text: str, fraction: float | None = None) -> None:
        """Say what is done now; a fraction smaller than the last one is not told."""
        self.stage = stage
        if fraction is not None:
            fraction = self._fraction = max(self._fraction, min(fraction, 1.0))
        progress = Progress(self.spec.id, stage, text, fraction)
        for listener in list(self.listeners):
            listener(progress)

    def failed(
        self,
        detail: str,
        *,
        hint: str | None = None,
        command: str | None = None,
        exit_code: int | None = None,
        output: str | None = None,
    ) -> InstallFailed:
        """The failure of the stage that runs."""
        return InstallFailed(
            f"installing {self.spec.id} failed: {detail}",
            hint=hint,
            agent=self.spec.id,
            stage=self.stage,
            command=command,
            exitCode=exit_code,
            output=output or None,
        )

    async def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        hint: str | None = None,
        on_line: Callable[[str], None] | None = None,
        deadline: float = DEADLINE,
    ) -> str:
        """Run a program to its end; its standard output. What it writes is told line by line.

        It runs in the install root unless ``cwd`` says otherwise: settings that lie in a project are not for it.

        Raises InstallFailed when it cannot be started, ends with another code than 0, or takes too long.
        """
        words = tuple(map(str, argv))
        shown = shlex.join(words)
        environ = self._environment() | dict(env or {})
        command = Command(argv=words, env=environ, cwd=str(cwd or self.store.root))
        try:
            child = await self.supervisor.spawn(command, owner=f"install {self.spec.id}", stdin=False)
        except SpawnFailed as error:
            raise self.failed(str(error), hint=hint, command=shown) from error
        output = Output(on_line or (lambda line: self.tell(self.stage, line)))
        try:
            async with asyncio.timeout(deadline):
                ended = await output.of(child)
        except TimeoutError:
            raise self.failed(
                f"{words[0]} did not end within {deadline:g} s", hint=hint, command=shown, output=output.tail
            ) from None
        finally:
            await child.end(grace=0.5)
            output.close()
            child.close_fds()
        if not ended.success:
            how = f"code {ended.code}" if ended.signal is None else f"signal {ended.signal}"
            raise self.failed(
                f"{words[0]} ended with {how}", hint=hint, command=shown, exit_code=ended.code, output=output.tail
            )
        return output.text

    def _environment(self) -> dict[str, str]:
        passed = {name: value for name, value in self.environ.items() if name.startswith(_PASSED)}
        return passed | {name: self.environ[name] for name in ("HOME", "PATH") if name in self.environ}


class Output:
    """What a program writes: its standard output whole, and the last lines of both streams."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._stdout = bytearray()
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._partial = {"out": b"", "err": b""}
        self._readers: list[PipeReader] = []

    async def of(self, child: Child) -> Exit:
        self._readers = [
            PipeReader(child.stdout_fd, lambda data: self._take("out", data)),
            PipeReader(child.stderr_fd, lambda data: self._take("err", data)),
        ]
        ended = await child.wait()
        for reader in self._readers:
            reader.drain()
        for stream in self._partial:
            self._take(stream, b"\n")
        return ended

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    @property
    def text(self) -> str:
        return self._stdout.decode(errors="replace")

    @property
    def tail(self) -> str:
        return "\n".join(self._lines)

    def _take(self, stream: str, data: bytes) -> None:
        if stream == "out":
            self._stdout += data
        *lines, self._partial[stream] = (self._partial[stream] + data.replace(b"\r", b"\n")).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()[:_LONGEST_LINE]
            if text:
                self._lines.append(text)
                self._on_line(text)

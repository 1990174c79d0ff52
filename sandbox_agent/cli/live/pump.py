"""A stream beside a terminal: its values are waited for together with what is typed."""

from __future__ import annotations

import os
import queue
import select
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from types import TracebackType

    from sandbox_agent.client import Stream

T = TypeVar("T")

JOIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _End:
    error: SandboxAgentError | None = None


class Pump(Generic[T]):
    """Reads a stream on a thread. ``ended`` once there is no more; a failed stream raises from :meth:`take`."""

    def __init__(self, stream: Stream[T]) -> None:
        self.ended = False
        self._stream = stream
        self._values: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._readable, self._writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="sandbox-agent-stream", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None, *others: int) -> list[int]:
        """Wait until a value or one of the descriptors ``others`` can be read; those of them that can."""
        ready, _, _ = select.select([self._readable, *others], [], [], timeout)
        return [descriptor for descriptor in ready if descriptor != self._readable]

    def take(self) -> list[T]:
        """The values that have come."""
        try:
            os.read(self._readable, 65536)
        except BlockingIOError:
            return []
        values: list[T] = []
        while True:
            try:
                value = self._values.get_nowait()
            except queue.Empty:
                return values
            if isinstance(value, _End):
                self.ended = True
                if value.error is not None:
                    raise value.error
                return values
            values.append(value)

    def close(self) -> None:
        self._stream.close()
        self._thread.join(JOIN_SECONDS)
        if not self._thread.is_alive():
            os.close(self._readable)
            os.close(self._writable)

    def _run(self) -> None:
        end = _End()
        try:
            for value in self._stream:
                self._put(value)
        except SandboxAgentError as error:
            end = _End(error)
        self._put(end)

    def _put(self, value: T | _End) -> None:
        self._values.put(value)
        try:
            os.write(self._writable, b".")
        except BlockingIOError:
            return  # so full that it is readable anyway

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        self.close()

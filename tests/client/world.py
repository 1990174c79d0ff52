"""A world for programs without any I/O: a scripted server and a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from sandbox_agent.client.effects import (
    Clock,
    Do,
    Emit,
    Interrupted,
    Open,
    Read,
    Reply,
    Request,
    Send,
    Shut,
    Sleep,
    TransportFault,
)
from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.effects import (
        Effect,
        Program,
    )

T = TypeVar("T")

URL = "http://server.test"


@dataclass(frozen=True)
class Streamed:
    """What a server streams before it closes; a fault in ``chunks`` cuts it there."""

    chunks: Iterable[bytes | Exception]
    reply: Reply = field(default_factory=lambda: Reply(200, {"content-type": "text/event-stream"}))


Answer = Reply | Streamed | Exception
Handler = Callable[[Request], Answer]


class World:
    """Runs programs; ``emitted``, ``requests`` and ``slept`` tell what they did."""

    def __init__(self, handler: Handler | Iterable[Answer]) -> None:
        if callable(handler):
            self.handler: Handler = handler
        else:
            script = iter(handler)
            self.handler = lambda _request: next(script)
        self.time = 1000.0
        self.emitted: list[Any] = []
        self.requests: list[Request] = []
        self.slept: list[float] = []
        self.open_streams = 0
        self._chunks: Any = iter(())

    def run(self, program: Program[T], *, interrupt_at: type[Effect] | None = None) -> T:
        """To the end; the first effect of kind ``interrupt_at`` is interrupted."""
        step: Callable[[], Effect] = lambda: next(program)  # noqa: E731 - the loop's first step
        while True:
            try:
                effect = step()
            except StopIteration as stop:
                value: T = stop.value
                return value
            try:
                if interrupt_at is not None and isinstance(effect, interrupt_at):
                    interrupt_at = None
                    raise Interrupted  # noqa: TRY301 - what the driver does
                outcome = self.perform(effect)
            except (TransportFault, SandboxAgentError, OSError, Interrupted) as error:
                step = _thrower(program, error)
            else:
                step = _sender(program, outcome)

    def perform(self, effect: Effect) -> Any:  # noqa: C901, PLR0911 - a case for each effect
        match effect:
            case Send(request):
                return self._ask(request)
            case Open(request):
                answer = self._ask(request)
                if isinstance(answer, Streamed):
                    self._chunks = iter(answer.chunks)
                    self.open_streams += 1
                    return answer.reply
                return answer
            case Read():
                chunk = next(self._chunks, None)
                if isinstance(chunk, Exception):
                    raise chunk
                return chunk
            case Sleep(seconds):
                self.slept.append(seconds)
                self.time += seconds
            case Clock():
                return self.time
            case Do(work):
                return work()
            case Emit(values):
                self.emitted.extend(values)
            case Shut():
                self._chunks = iter(())
        return None

    def _ask(self, request: Request) -> Reply | Streamed:
        self.requests.append(request)
        answer = self.handler(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _sender(program: Program[Any], outcome: Any) -> Callable[[], Effect]:
    return lambda: program.send(outcome)


def _thrower(program: Program[Any], error: BaseException) -> Callable[[], Effect]:
    return lambda: program.throw(error)


def cut(*, unsent: bool = False) -> TransportFault:
    return TransportFault(URL, "connection refused" if unsent else "connection reset", unsent=unsent)


def json_reply(body: bytes, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, body)


def problem_reply(status: int, slug: str, detail: str = "no", **extra: Any) -> Reply:
    document = {"type": f"urn:sandbox-agent:error:{slug}", "title": slug, "status": status, "detail": detail, **extra}
    return Reply(status, {"content-type": "application/problem+json"}, msgspec.json.encode(document))

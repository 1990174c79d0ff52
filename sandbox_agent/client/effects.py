"""What the client's programs ask of the world.

A *program* is a generator: it yields effects and is sent their outcomes, so everything the client decides (retry,
reconnect, wait, cancel) is written once, without a socket, a clock or a loop, and is tested so. The two drivers
(:mod:`.sync_driver`, :mod:`.async_driver`) carry effects out with blocking or awaited calls.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")


class Body(Protocol):
    """What is uploaded piece by piece, so that it never lies in memory as a whole."""

    @property
    def size(self) -> int | None:
        """In bytes, where it is known."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The pieces from the first on; each try asks anew. They are read where reading may block."""
        ...

    def sent(self, count: int) -> None:
        """Told after each piece, where the caller runs."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, relative to the server's base URL. ``read_timeout`` bounds each wait for bytes, in seconds."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Body | None = None
    read_timeout: float | None = 120.0


@dataclass(frozen=True, slots=True)
class Reply:
    """``headers`` have lower-case names. ``body`` is empty for a stream that was opened."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def redirects(self) -> bool:
        return HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class TransportFault(Exception):
    """No reply, or the stream was cut. ``unsent``: the request surely never reached a server."""

    def __init__(self, url: str, reason: str, *, unsent: bool = False) -> None:
        super().__init__(reason)
        self.url = url
        self.reason = reason
        self.unsent = unsent


class LocalFault(Exception):
    """A body could not be read here: ``error`` says why. It is not the transport's fault."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Interrupted(BaseException):
    """Thrown into a program when the user interrupts it, so that it may clean up; the driver re-raises the cause."""


@dataclass(frozen=True, slots=True)
class Send:
    """Answers a :class:`Reply`, or throws :class:`TransportFault`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Opens a stream, closing the one before. Answers a :class:`Reply`, with its body unless it succeeded with one.

    A success with a body to stream is 200, or 206 where a part was asked for.
    """

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Answers the open stream's next bytes, ``None`` at its end, or throws :class:`TransportFault`."""


@dataclass(frozen=True, slots=True)
class Shut:
    """Closes the open stream or socket."""


@dataclass(frozen=True, slots=True)
class Join:
    """Opens a WebSocket, closing the one before. Answers a :class:`Reply`, of status 101 when it is open."""

    request: Request


@dataclass(frozen=True, slots=True)
class Receive:
    """Answers the socket's next message, ``None`` when it is closed, or :data:`QUIET` after ``timeout`` seconds."""

    timeout: float | None


@dataclass(frozen=True, slots=True)
class Transmit:
    """Sends a message, or throws :class:`TransportFault`."""

    message: str | bytes


class Quiet(Enum):
    """Nothing came."""

    QUIET = "quiet"


QUIET: Final = Quiet.QUIET
Message: TypeAlias = str | bytes | Literal[Quiet.QUIET] | None


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Clock:
    """Answers the monotonic time in seconds."""


@dataclass(frozen=True, slots=True)
class Do:
    """Calls ``work`` where it may block. Answers what it returns, or throws its ``OSError`` or ``SandboxAgentError``.

    The work is never left running: whoever is interrupted meanwhile waits for its end, so what it uses may be closed.
    """

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """Hands values to whoever iterates the program, in order."""

    values: tuple[Any, ...]


Effect: TypeAlias = Send | Open | Read | Shut | Join | Receive | Transmit | Sleep | Clock | Do | Emit

Program: TypeAlias = Generator[Effect, Any, T]
"""Ends with a ``T``."""

Source: TypeAlias = Generator[Effect, Any, None]
"""Emits values and ends with nothing."""


def send(request: Request) -> Program[Reply]:
    reply: Reply = yield Send(request)
    return reply


def open_stream(request: Request) -> Program[Reply]:
    reply: Reply = yield Open(request)
    return reply


def read() -> Program[bytes | None]:
    chunk: bytes | None = yield Read()
    return chunk


def now() -> Program[float]:
    seconds: float = yield Clock()
    return seconds


def do(work: Callable[[], T]) -> Program[T]:
    outcome: T = yield Do(work)
    return outcome


def receive(timeout: float | None) -> Program[Message]:
    message: Message = yield Receive(timeout)
    return message

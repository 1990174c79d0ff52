"""A terminal of the sandbox: keys in, text out, and what is on its screen.

What it does is written once, as programs over a socket; :class:`Terminal` and :class:`AsyncTerminal` carry them out.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from sandbox_agent.client import commands, process_calls
from sandbox_agent.client.backoff import Backoff
from sandbox_agent.client.calls import BRIEF, perform, problem_of, unreachable
from sandbox_agent.client.closing import AsyncClosing, Closing
from sandbox_agent.client.effects import QUIET, Join, Shut, Sleep, Transmit, TransportFault, now, receive
from sandbox_agent.client.errors import ClientError, TerminalClosed, TerminalTimeout
from sandbox_agent.problems import Conflict, NotFound
from sandbox_agent.wire.processes import TerminalError, TerminalExit, TerminalReady, TerminalServerFrame

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncIterator, Iterator

    from sandbox_agent.client.async_driver import AsyncDriver
    from sandbox_agent.client.effects import Program, Reply, Request
    from sandbox_agent.client.process_results import ProcessInfo, Screen
    from sandbox_agent.client.sync_driver import SyncDriver

PATIENCE: Final = 30.0
"""Seconds for which `read_until` waits unless it is told otherwise."""


_frame_decoder: Final[msgspec.json.Decoder[TerminalServerFrame]] = msgspec.json.Decoder(TerminalServerFrame)


class TerminalState:
    """What came over a terminal's socket and was not read yet (pure)."""

    def __init__(self, process_id: str, *, received: int | None = None) -> None:
        self.process_id = process_id
        self.unread = ""
        self.received = received
        self.exited = False
        self.exit_code: int | None = None
        self.closed = False
        self._drawn = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def request(self) -> Request:
        """The request that goes on after the bytes that were received."""
        return process_calls.terminal_socket(self.process_id, self.received)

    def accept(self, message: str | bytes) -> str:
        """The text that a message brings. Raises :class:`ClientError` for what the server would not do."""
        if isinstance(message, bytes):
            return self._output(message)
        match _frame_decoder.decode(message):
            case TerminalReady(offset=offset, repaint=repaint):
                self.received, self._drawn = offset, repaint
            case TerminalError(message=told):
                raise ClientError(told)
            case TerminalExit(exit_code=code):
                self.exited, self.exit_code = True, code
                return self._decoder.decode(b"", final=True)
        return ""

    def _output(self, data: bytes) -> str:
        """What draws the screen anew is no output of the process, so it is not counted."""
        if self._drawn:
            self._drawn = False
            self._decoder.reset()
        else:
            self.received = (self.received or 0) + len(data)
        return self._decoder.decode(data)

    def take(self) -> str:
        text, self.unread = self.unread, ""
        return text


def connect(state: TerminalState) -> Program[None]:
    """Open the socket, for as long as plain calls are tried. Raises the server's problem."""
    backoff = Backoff()
    started = yield from now()
    while True:
        try:
            reply: Reply = yield Join(state.request())
        except TransportFault as fault:
            error: Exception = unreachable(fault)
        else:
            if reply.status == 101:  # noqa: PLR2004 - Switching Protocols
                return
            raise problem_of(reply)
        pause = backoff.delay()
        if (yield from now()) - started + pause > BRIEF:
            raise error
        yield Sleep(pause)


def follow(state: TerminalState, timeout: float | None) -> Program[str | None]:
    """The next text; empty when none came within ``timeout`` seconds, None when no more will come."""
    deadline = None if timeout is None else (yield from now()) + timeout
    while not (state.exited or state.closed):
        left = None if deadline is None else max(0.0, deadline - (yield from now()))
        message = yield from receive(left)
        if message is QUIET:
            return ""
        if message is None:
            if not state.closed:  # by somebody else meanwhile
                yield from _again(state)
        elif text := state.accept(message):
            return text
    return None


def _again(state: TerminalState) -> Program[None]:
    """The connection was cut: go on where it ended. A process that is gone by now has no terminal."""
    try:
        yield from connect(state)
    except (NotFound, Conflict):
        state.closed = True


def read(state: TerminalState, timeout: float | None) -> Program[str]:
    """What came and was not read; when there is nothing, the next within ``timeout`` seconds."""
    text = state.take()
    try:
        while piece := (yield from follow(state, 0.0 if text else timeout)):
            text += piece
    except BaseException:
        state.unread = text
        raise
    return text


def read_until(state: TerminalState, pattern: str | re.Pattern[str], timeout: float | None) -> Program[str]:
    """The text up to where ``pattern`` ends."""
    deadline = None if timeout is None else (yield from now()) + timeout
    text, searched = state.take(), 0
    try:
        while (end := _end_of(pattern, text, searched)) is None:
            searched = len(text)
            left = None if deadline is None else deadline - (yield from now())
            piece = yield from follow(state, left if left is None else max(0.0, left))
            if piece is None:
                raise TerminalClosed(text, state.exit_code)
            if not piece and left is not None and left <= 0:
                raise TerminalTimeout(text, timeout or 0.0)
            text += piece
        found, text = text[:end], text[end:]
        return found
    finally:
        state.unread = text


def _end_of(pattern: str | re.Pattern[str], text: str, searched: int) -> int | None:
    if isinstance(pattern, str):
        at = text.find(pattern, max(0, searched - len(pattern)))
        return None if at < 0 else at + len(pattern)
    match = pattern.search(text)
    return None if match is None else match.end()


def send(state: TerminalState, data: str | bytes) -> Program[None]:
    """Type ``data``. A cut connection is opened again first; what was sent before a cut may or may not have arrived."""
    if state.exited or state.closed:
        raise TerminalClosed(state.unread, state.exit_code)
    keys = data.encode() if isinstance(data, str) else data
    for start in range(0, len(keys), process_calls.PIECE):
        frame = keys[start : start + process_calls.PIECE]
        try:
            yield Transmit(frame)
        except TransportFault:
            yield from _again(state)
            if state.closed:
                raise TerminalClosed(state.unread, state.exit_code) from None
            try:
                yield Transmit(frame)
            except TransportFault as fault:
                raise unreachable(fault) from None


def close(state: TerminalState, *, owned: bool) -> Program[None]:
    state.closed = True
    yield Shut()
    if owned:
        yield from commands.put_away(state.process_id)


class TerminalBase:
    """A terminal as last heard of."""

    def __init__(self, info: ProcessInfo, *, owned: bool) -> None:
        self._info = info
        self._owned = owned
        # Of a program of its own it wants all from the first byte on; of another's, what is on the screen.
        self._state = TerminalState(info.id, received=0 if owned else None)

    @property
    def id(self) -> str:
        """The process's id."""
        return self._info.id

    @property
    def info(self) -> ProcessInfo:
        """The process as it was when the terminal was opened."""
        return self._info

    @property
    def exited(self) -> bool:
        """Whether the end of its process was read; ``exit_code`` then tells how it ended."""
        return self._state.exited

    @property
    def exit_code(self) -> int | None:
        return self._state.exit_code

    def __repr__(self) -> str:
        state = "closed" if self._state.closed else "exited" if self._state.exited else "open"
        return f"<{type(self).__name__} {self.id} {self._info.command} {state}>"


class Terminal(TerminalBase, Closing):
    """A terminal with a program in it. Made by :meth:`SandboxAgent.terminal` or :meth:`Process.terminal`.

    Iterating it gives text as it comes, until the program ends. Output waits in the server until it is read here, so
    one that is never read costs nothing.
    """

    def __init__(self, driver: SyncDriver, info: ProcessInfo, *, owned: bool = False) -> None:
        super().__init__(info, owned=owned)
        self._driver = driver
        self._channel = driver.channel()

    def connect(self) -> Self:
        """Open the connection; done by those who make terminals."""
        self._run(connect(self._state))
        return self

    def send(self, data: str | bytes) -> None:
        r"""Type something: ``"ls\r"`` is a line with Enter, ``"\x03"`` Control-C.

        Raises :class:`TerminalClosed` when the program is known to have ended.
        """
        self._run(send(self._state, data))

    def read(self, timeout: float | None = 0.0) -> str:
        """What came since the last read; when there is nothing, what comes next within ``timeout`` seconds.

        Empty when nothing came, or when the program has ended and all was read.
        """
        text: str = self._run(read(self._state, timeout))
        return text

    def read_until(self, pattern: str | re.Pattern[str], timeout: float | None = PATIENCE) -> str:
        r"""The text up to and with ``pattern``: a text as it is, or a compiled regular expression.

        Raises :class:`TerminalTimeout` when it does not come within ``timeout`` seconds, and :class:`TerminalClosed`
        when the program ends before. What came stays to be read.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent, agent.terminal("python3 -i -q") as terminal:
        ...     terminal.send("6 * 7\r")
        ...     "42" in terminal.read_until("42")
        True
        """
        text: str = self._run(read_until(self._state, pattern, timeout))
        return text

    def screen(self) -> Screen:
        """What is on the screen now, as the server draws it: lines of text, and where the cursor is."""
        return self._driver.run(perform(process_calls.screen(self.id)))

    def resize(self, cols: int, rows: int) -> None:
        """Change the size, of which the program is told."""
        self._driver.run(perform(process_calls.resize(self.id, cols, rows)))

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end of the program; its exit code. Raises :class:`ProcessTimeout`."""
        return self._driver.run(commands.wait(self.id, timeout)).exit_code

    def close(self) -> None:
        """Close the connection. A program that was started with the terminal is ended with it."""
        if not self._state.closed:
            self._run(close(self._state, owned=self._owned))

    def __iter__(self) -> Iterator[str]:
        while text := self.read(timeout=None):
            yield text

    def _run(self, program: Program[Any]) -> Any:
        return self._driver.run(program, channel=self._channel)


class AsyncTerminal(TerminalBase, AsyncClosing):
    """A terminal with a program in it. Made by :meth:`AsyncSandboxAgent.terminal` or :meth:`AsyncProcess.terminal`.

    Iterating it gives text as it comes, until the program ends. Output waits in the server until it is read here, so
    one that is never read costs nothing.
    """

    def __init__(self, driver: AsyncDriver, info: ProcessInfo, *, owned: bool = False) -> None:
        super().__init__(info, owned=owned)
        self._driver = driver
        self._channel = driver.channel()

    async def connect(self) -> Self:
        """Open the connection; done by those who make terminals."""
        await self._run(connect(self._state))
        return self

    async def send(self, data: str | bytes) -> None:
        """See :meth:`Terminal.send`."""
        await self._run(send(self._state, data))

    async def read(self, timeout: float | None = 0.0) -> str:  # noqa: ASYNC109 - an answer, not an end
        """See :meth:`Terminal.read`."""
        text: str = await self._run(read(self._state, timeout))
        return text

    async def read_until(
        self,
        pattern: str | re.Pattern[str],
        timeout: float | None = PATIENCE,  # noqa: ASYNC109 - as above
    ) -> str:
        """See :meth:`Terminal.read_until`."""
        text: str = await self._run(read_until(self._state, pattern, timeout))
        return text

    async def screen(self) -> Screen:
        """See :meth:`Terminal.screen`."""
        return await self._driver.run(perform(process_calls.screen(self.id)))

    async def resize(self, cols: int, rows: int) -> None:
        """See :meth:`Terminal.resize`."""
        await self._driver.run(perform(process_calls.resize(self.id, cols, rows)))

    async def wait(self, timeout: float | None = None) -> int | None:  # noqa: ASYNC109 - it ends the wait alone
        """See :meth:`Terminal.wait`."""
        return (await self._driver.run(commands.wait(self.id, timeout))).exit_code

    async def close(self) -> None:
        """See :meth:`Terminal.close`."""
        if not self._state.closed:
            await self._run(close(self._state, owned=self._owned))

    async def __aiter__(self) -> AsyncIterator[str]:
        while text := await self.read(timeout=None):
            yield text

    async def _run(self, program: Program[Any]) -> Any:
        return await self._driver.run(program, channel=self._channel)

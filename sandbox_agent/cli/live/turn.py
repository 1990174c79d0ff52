"""Follows a turn to its end: prints it, asks its permissions, and cancels it when interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.cli.live import question
from sandbox_agent.cli.live.console import TICK
from sandbox_agent.cli.live.pump import Pump
from sandbox_agent.problems import Conflict, NotFound
from sandbox_agent.render.story import TurnStory

if TYPE_CHECKING:
    from sandbox_agent.cli.live.console import Console
    from sandbox_agent.cli.live.question import Terminal
    from sandbox_agent.client import PromptHandle, Session, TranscriptChange
    from sandbox_agent.wire.transcript import PermissionItem


def follow(handle: PromptHandle, console: Console, terminal: Terminal | None) -> frozenset[str]:
    """Print the turn until it ends; the errors that were told.

    Raises ``KeyboardInterrupt``, and what the SDK raises.
    """
    viewer = Viewer(handle, console, terminal)
    try:
        with Pump(handle.follow_transcript()) as pump:
            return viewer.run(pump)
    finally:
        console.finish()


class Viewer:
    """One turn on one console."""

    def __init__(self, handle: PromptHandle, console: Console, terminal: Terminal | None) -> None:
        self._session: Session = handle.session
        self._console = console
        self._terminal = terminal
        self._story = TurnStory(handle.id)
        self._left: set[str] = set()  # requests that are left to somebody else
        self._asked: PermissionItem | None = None

    def run(self, pump: Pump[TranscriptChange]) -> frozenset[str]:
        while not pump.ended:
            self._ask_next()
            typing = [self._terminal.descriptor] if self._terminal is not None and self._asked is not None else []
            spins = self._console.spins and self._asked is None
            if spins:
                self._console.spin(self._doing())
            typed = pump.wait(TICK if spins else None, *typing)
            for change in pump.take():
                self._accept(change)
            if typed:
                self._answered()
        return frozenset() if self._console.quiet else frozenset(self._story.errors)

    def _doing(self) -> str:
        return "waiting for a permission" if self._story.pending else "working"

    def _accept(self, change: TranscriptChange) -> None:
        pieces = [piece for item in change.changed for piece in self._story.accept(item)]
        if self._asked is not None and self._asked.request_id not in self._story.pending:
            self._withdraw()
        for piece in pieces:
            self._console.show(piece)

    def _ask_next(self) -> None:
        if self._asked is not None:
            return
        waiting = (p for key, p in self._story.pending.items() if key not in self._left)
        for item in waiting:
            if self._terminal is not None and self._terminal.ours:
                self._asked = item
                self._console.clear()
                self._console.need(question.text(item).rstrip())
                self._terminal.forget_input()
                self._terminal.write(question.ask(item))
                return
            self._leave(item)

    def _leave(self, item: PermissionItem) -> None:
        """Tell how it can be answered from elsewhere, and go on."""
        self._left.add(item.request_id)
        command = f"sandbox-agent api sessions answer {self._session.id} {item.request_id}"
        self._console.need(f"{question.text(item).rstrip()}\nit waits for: {command} once|always|reject")

    def _answered(self) -> None:
        """A line was typed."""
        if self._terminal is None or self._asked is None:
            return
        item, typed = self._asked, self._terminal.read_line()
        if not typed:
            self._asked = None
            if typed is None:
                self._terminal.write("\n")
            self._leave(item)
            return
        option = question.chosen(item, typed)
        if option is None:
            self._terminal.write(question.ask(item))
            return
        self._asked = None
        self._left.add(item.request_id)
        try:
            self._session.answer(item.request_id, option)
        except (Conflict, NotFound) as error:
            self._console.need(f"not answered by you: {error.detail}")

    def _withdraw(self) -> None:
        """Somebody else was faster, or the turn has ended."""
        self._asked = None
        if self._terminal is not None:
            self._terminal.write("\n")
            self._terminal.forget_input()

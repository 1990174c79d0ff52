"""Showing a turn in a cell while it runs: updates in place, permissions asked, interrupts passed on as cancel."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sandbox_agent.problems import Conflict, SandboxAgentError
from sandbox_agent.wire.transcript import PermissionItem
from sandbox_agent_widgets.live import turn_display

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.client import Session, Transcript
    from sandbox_agent_widgets.live import TurnDisplay

    Ask = Callable[[PermissionItem], str | None]

CANCEL_PATIENCE_S = 15.0
"""How long an interrupted cell shows the turn ending; the server replaces an agent that ignores it before that."""


class TurnInterrupted(KeyboardInterrupt):
    """A cell was interrupted: its turn is cancelled, the session stays. Stops "run all", without a trace."""

    def _render_traceback_(self) -> list[str]:
        return ["Interrupted: the turn was cancelled, the session stays. Go on with %agent prompt."]


class TurnWatch:
    """Follows a turn on a thread of its own, so that the cell's thread can draw, ask and be interrupted."""

    def __init__(self, session: Session, prompt_id: str) -> None:
        self.error: SandboxAgentError | None = None
        self.over = False
        self._session = session
        self._prompt_id = prompt_id
        self._latest: Transcript | None = None
        self._news = threading.Condition()
        threading.Thread(target=self._follow, name=f"turn {prompt_id}", daemon=True).start()

    def _follow(self) -> None:
        try:
            for change in self._session.follow_transcript(turn=self._prompt_id):
                with self._news:
                    self._latest = change.transcript
                    self._news.notify_all()
        except SandboxAgentError as error:
            self.error = error
        finally:
            with self._news:
                self.over = True
                self._news.notify_all()

    def wait(self, seen: Transcript | None, timeout: float | None = None) -> Transcript | None:
        """The newest transcript, as soon as it is not ``seen`` or all is over; ``seen`` again when time runs out."""
        with self._news:
            self._news.wait_for(lambda: self.over or self._latest is not seen, timeout)
            return self._latest

    def pause(self, seconds: float) -> None:
        """Let changes gather for ``seconds``, but not past the end."""
        with self._news:
            self._news.wait_for(lambda: self.over, seconds)


def show_turn(session: Session, prompt_id: str, ask: Ask) -> bool:
    """Draw the turn until it ends; whether it did.

    ``ask`` answers a permission request with a reply or option id, or ``None`` where nobody can be asked here: the
    turn then waits on the server, and this returns ``False``.
    Raises `TurnInterrupted` when interrupted, after the turn was cancelled, and what following the turn raises.
    """
    watch, live = TurnWatch(session, prompt_id), turn_display(prompt_id)
    try:
        return _show(session, prompt_id, ask, watch, live)
    except KeyboardInterrupt:
        session.cancel()
        _show_end(prompt_id, watch, live)
        raise TurnInterrupted from None


def _show(session: Session, prompt_id: str, ask: Ask, watch: TurnWatch, live: TurnDisplay) -> bool:
    seen: Transcript | None = None
    asked: set[str] = set()
    while True:
        seen = watch.wait(seen)
        over = watch.over
        if seen is not None:
            view = seen.turn(prompt_id)
            live.update(view, live=not over)
            for item in pending(view):
                if over or item.request_id in asked:
                    continue
                asked.add(item.request_id)
                choice = ask(item)
                if choice is None:
                    live.update(view, live=False)
                    return False
                _answer(session, item, choice)
        if over:
            break
        watch.pause(live.wait_s)
    if watch.error is not None:
        raise watch.error
    return True


def _show_end(prompt_id: str, watch: TurnWatch, live: TurnDisplay) -> None:
    watch.pause(CANCEL_PATIENCE_S)
    seen = watch.wait(None)
    if seen is not None:
        live.update(seen.turn(prompt_id), live=False)


def _answer(session: Session, item: PermissionItem, choice: str) -> None:
    try:
        session.answer(item.request_id, choice)
    except Conflict:
        # Somebody else was first; the transcript shows who.
        return


def pending(transcript: Transcript) -> list[PermissionItem]:
    """The permission requests that wait, oldest first."""
    waiting = [item for item in transcript.items if isinstance(item, PermissionItem) and item.state == "pending"]
    return sorted(waiting, key=lambda item: item.created)

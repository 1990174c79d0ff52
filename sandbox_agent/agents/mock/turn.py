"""A turn: the steps of one prompt, run in a thread while the agent goes on reading."""

from __future__ import annotations

import threading
import time

from .script import Step, parse
from .stdio import INTERNAL_ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .sessions import Session
    from .stdio import Peer

CONTEXT_SIZE = 200_000
PIECE = 2_000
ALLOW, REJECT = ("allow_once", "allow_always"), ("reject_once", "reject_always")
OPTION_NAMES = {
    "allow_once": "Allow once",
    "allow_always": "Always allow in this session",
    "reject_once": "Reject",
    "reject_always": "Always reject in this session",
}


class Stopped(Exception):
    """Ends the turn with a stop reason of ACP."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Failed(Exception):
    """Ends the turn with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Turn:
    """What the verbs (`tools`, `talk`, `faults`) stand on: telling the client, asking it, waiting, being cancelled."""

    def __init__(
        self, peer: Peer, session: Session, blocks: list[dict[str, Any]], capabilities: dict[str, Any]
    ) -> None:
        self.peer = peer
        self.session = session
        self.capabilities = capabilities
        self.number = len(session.prompts()) + 1
        self.ignore_cancel = False
        self.said = 0
        self._blocks = blocks
        self._messages = 0
        self._tools = 0
        self._cancelled = False
        self._changed = threading.Condition()
        self._abandon: Callable[[], None] | None = None

    def start(self, done: Callable[[dict[str, Any]], None]) -> None:
        """Run; ``done`` gets the result or error member of the response."""
        threading.Thread(target=lambda: done(self._run()), name=f"turn {self.number}", daemon=True).start()

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """The client is gone: end what the turn has running."""
        if self._abandon is not None:
            self._abandon()

    def on_abandon(self, end: Callable[[], None] | None) -> None:
        self._abandon = end

    def _run(self) -> dict[str, Any]:
        reason = "end_turn"
        words = sum(len(str(block.get("text", "")).split()) for block in self._blocks)
        for block in self._blocks:
            self.session.remember({"sessionUpdate": "user_message_chunk", "content": block})
        try:
            self._play()
        except Stopped as stop:
            reason = stop.reason
        except Failed as failure:
            return {"error": {"code": failure.code, "message": failure.message}}
        except Exception as error:  # noqa: BLE001 -- the boundary of the thread: the client gets every fault as an error
            return {"error": {"code": INTERNAL_ERROR, "message": f"{type(error).__name__}: {error}"}}
        usage = {"inputTokens": words, "outputTokens": self.said, "totalTokens": words + self.said}
        self.session.tokens += usage["totalTokens"]
        self.update({"sessionUpdate": "usage_update", "used": self.session.tokens, "size": CONTEXT_SIZE})
        return {"result": {"stopReason": reason, "usage": usage}}

    def _play(self) -> None:
        from . import faults, mcp, talk, tools  # noqa: PLC0415 -- they stand on this module

        verbs: dict[str, Callable[[Turn, Step], None]] = talk.VERBS | tools.VERBS | faults.VERBS | mcp.VERBS
        texts = [str(block.get("text", "")) for block in self._blocks if block.get("type") == "text"]
        steps = parse(_command(texts[-1]) if texts else "")
        if all(step.plain for step in steps):
            steps = [Step("demo", texts[-1] if texts else "")]
        for step in steps:
            self.check()
            verbs[step.verb](self, step)

    # Telling

    def update(self, update: dict[str, Any]) -> None:
        self.peer.update(self.session.id, update)

    def say(self, text: str, kind: str = "agent_message_chunk") -> None:
        """Stream a text word by word, as models do, and remember it whole."""
        self._messages += 1
        message_id = f"msg_{self.number}_{self._messages}"
        sent: list[str] = []
        try:
            for piece in pieces(text):
                self.check()
                sent.append(piece)
                self.update(_chunk(kind, message_id, piece))
        finally:
            told = "".join(sent)
            self.said += len(told.split())
            self.session.remember(_chunk(kind, message_id, told))

    def tell(self, update: dict[str, Any]) -> None:
        """Send an update and remember it."""
        self.update(update)
        self.session.remember(update)

    # Waiting

    @property
    def cancelled(self) -> bool:
        return self._cancelled and not self.ignore_cancel

    def check(self) -> None:
        """Raise when the client has cancelled."""
        if self.cancelled:
            raise Stopped("cancelled")

    def wait(self, ready: Callable[[], bool], seconds: float | None = None) -> None:
        """Until something is there, the time is over, or the turn is cancelled (then raises)."""
        with self._changed:
            self._changed.wait_for(lambda: ready() or self.cancelled, seconds)
        self.check()

    def sleep(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def poll(self, ready: Callable[[], bool], every: float = 0.01) -> None:
        """For what cannot wake us."""
        while not ready():
            self.check()
            time.sleep(every)

    # Asking

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """A request to the client; its whole response."""
        replies: list[dict[str, Any]] = []

        def arrived(response: dict[str, Any]) -> None:
            with self._changed:
                replies.append(response)
                self._changed.notify_all()

        self.peer.request(method, {"sessionId": self.session.id} | params, arrived)
        self.wait(lambda: bool(replies))
        return replies[0]

    def permit(self, tool_call: dict[str, Any]) -> str:
        """The kind of option the client chose; a standing answer for this kind of tool is not asked for again."""
        kind = tool_call.get("kind", "other")
        if kind in self.session.allowed:
            return "allow_always" if self.session.allowed[kind] else "reject_always"
        options = [{"optionId": option, "kind": option, "name": name} for option, name in OPTION_NAMES.items()]
        response = self.ask("session/request_permission", {"toolCall": tool_call, "options": options})
        outcome = response.get("result", {}).get("outcome", {})
        if outcome.get("outcome") == "cancelled" and not self.ignore_cancel:
            raise Stopped("cancelled")
        choice = str(outcome.get("optionId", "reject_once"))
        if choice in {"allow_always", "reject_always"}:
            self.session.allowed[kind] = choice == "allow_always"
        return choice

    def tool_id(self) -> str:
        self._tools += 1
        return f"call_{self.number}_{self._tools}"


def _chunk(kind: str, message_id: str, text: str) -> dict[str, Any]:
    return {"sessionUpdate": kind, "messageId": message_id, "content": {"type": "text", "text": text}}


def pieces(text: str) -> list[str]:
    """A text in pieces of a word each; a long one in larger pieces."""
    if len(text) > PIECE:
        return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


def _command(text: str) -> str:
    """``/say hello`` is ``[[say hello]]``."""
    name, _, rest = text.partition(" ")
    return f"[[{name[1:]} {rest}]]" if name in {"/say", "/recall", "/demo"} else text

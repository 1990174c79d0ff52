"""An ACP agent that plays a recorded conversation: ``python -I -S -E replay.py FILE [--pace=N]``.

FILE holds a JSON object a line: ``dir`` (``client`` or ``agent``), ``t`` (seconds since the start) and ``msg`` (the
JSON-RPC message). What the agent said is said again, as fast as it is read, or with ``--pace=1`` at the recorded pace
(2 is half as fast, 0.5 twice). Where the client spoke, the replay waits until the client of today does so too:

- a request is matched by its method, in recorded order; its id takes the place of the recorded one. A prompt, or a
  request for a session, that comes earlier than recorded skips what lies between.
- requests of the agent keep their ids and wait for the client's answer, whatever it is.
- ``session/cancel`` waits for the client's; one that was not recorded ends the turn, and the replay goes on after it.
- a request the recording does not have (set_mode, list, ...) is answered as an agreeable agent would.

Only the standard library is used, so that it starts at once.
"""
# ruff: noqa: PTH123

from __future__ import annotations

import json
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

METHOD_NOT_FOUND = -32601
SKIPPING = {"initialize", "session/new", "session/load", "session/resume", "session/fork", "session/prompt"}
"""Requests that jump to where they were recorded; any other is answered on the spot when it is not next."""
AGREED = {"authenticate", "logout", "session/set_mode", "session/set_model", "session/close", "session/delete"}


class ClientGone(Exception):
    """Our stdin was closed."""


class Client:
    """The messages on stdin and stdout."""

    def __init__(self) -> None:
        self._pending = b""
        self._lines: Iterator[bytes] = iter(())

    def send(self, message: dict[str, Any]) -> None:
        text = json.dumps({"jsonrpc": "2.0"} | message, separators=(",", ":"), ensure_ascii=False)
        rest = memoryview(text.encode("utf-8", "backslashreplace") + b"\n")
        while rest:
            try:
                rest = rest[os.write(1, rest) :]
            except BrokenPipeError:
                raise ClientGone from None

    def receive(self, deadline: float | None = None) -> dict[str, Any] | None:
        """The next message; None when there is none by the deadline. Raises `ClientGone`."""
        while True:
            for line in self._lines:
                message = _decode(line)
                if message is not None:
                    return message
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([0], [], [], left)[0]:
                return None
            data = os.read(0, 1 << 16)
            if not data:
                raise ClientGone
            *whole, self._pending = (self._pending + data).split(b"\n")
            self._lines = iter(whole)


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


class Replay:
    """Where the recording stands, and what the client of today has said so far."""

    def __init__(self, entries: list[dict[str, Any]], client: Client, pace: float) -> None:
        self._entries = entries
        self._client = client
        self._pace = pace
        self._position = 0
        self._played = (0.0, time.monotonic())  # when the last entry was recorded, and when it was played
        self._requests: list[dict[str, Any]] = []  # of the client, not yet taken
        self._taken: dict[Any, dict[str, Any]] = {}  # by recorded id: requests of the client not yet answered
        self._asked: set[Any] = set()  # ids of our requests not yet answered
        self._cancels = 0
        self._sessions: dict[str, str] = {}  # recorded id to the client's, where they differ
        self._options: list[dict[str, Any]] = []

    def run(self) -> None:
        """Play to the end, then go on answering. Raises `ClientGone`."""
        while True:
            self._sort_requests()
            if self._position == len(self._entries):
                self._receive()
            elif self._entry["dir"] == "agent":
                self._say(self._entry["msg"])
            elif self._heard(self._entry["msg"]):
                self._advance()
            else:
                self._receive()

    @property
    def _entry(self) -> dict[str, Any]:
        return self._entries[self._position]

    def _advance(self) -> None:
        self._played = (self._entry["t"], time.monotonic())
        self._position += 1

    # What the agent said

    def _say(self, message: dict[str, Any]) -> None:
        self._keep_pace()
        position = self._position
        if "method" in message:
            self._send(message)
            if "id" in message:
                self._asked.add(message["id"])
        elif (request := self._taken.pop(message["id"], None)) is not None:
            self._send(message | {"id": request["id"]})
        if self._position == position:
            self._advance()

    def _keep_pace(self) -> None:
        """Wait as long as the agent did, and hear what the client says meanwhile."""
        recorded, played = self._played
        due = played + (self._entry["t"] - recorded) * self._pace
        position = self._position
        while self._pace and time.monotonic() < due and self._position == position:
            self._receive(due)

    def _send(self, message: dict[str, Any]) -> None:
        """Send, with the session id the client knows where that is another than the recorded one."""
        for member in ("params", "result"):
            body = message.get(member)
            if isinstance(body, dict):
                self._options = body.get("configOptions", self._options)
                if body.get("sessionId") in self._sessions:
                    message = message | {member: body | {"sessionId": self._sessions[body["sessionId"]]}}
        self._client.send(message)

    # What the client says

    def _receive(self, deadline: float | None = None) -> None:
        message = self._client.receive(deadline)
        if message is None:
            return
        if "method" not in message:
            self._asked.discard(message.get("id"))
        elif "id" in message:
            self._requests.append(message)
        elif message["method"] == "session/cancel":
            self._cancel()

    def _heard(self, recorded: dict[str, Any]) -> bool:
        """Whether the client has said what it said when this was recorded."""
        if "method" not in recorded:
            return recorded["id"] not in self._asked
        if "id" in recorded:
            return self._take(recorded)
        if recorded["method"] != "session/cancel" or not self._taken:
            return True
        heard = self._cancels > 0
        self._cancels -= heard
        return heard

    def _take(self, recorded: dict[str, Any]) -> bool:
        request = next((request for request in self._requests if request["method"] == recorded["method"]), None)
        if request is None:
            return False
        self._requests.remove(request)
        self._taken[recorded["id"]] = request
        then, now = (_session(message) for message in (recorded, request))
        if then and now and self._sessions.get(then, then) != now:
            self._sessions[then] = now
        return True

    def _sort_requests(self) -> None:
        """Leave the requests the recording has next; skip to those it has later, and answer those it does not have."""
        expected = [method for _, method in self._coming()][: len(self._requests)]
        for request in [request for request in self._requests if request["method"] not in expected]:
            later = next((at for at, method in self._coming() if method == request["method"]), None)
            if later is None or request["method"] not in SKIPPING:
                self._requests.remove(request)
                self._agree(request)
            elif not self._taken:
                self._position = later

    def _coming(self) -> Iterator[tuple[int, str]]:
        """Where the recorded client's requests stand that are still to come, and their methods."""
        for at in range(self._position, len(self._entries)):
            entry = self._entries[at]
            if entry["dir"] == "client" and "method" in entry["msg"] and "id" in entry["msg"]:
                yield at, entry["msg"]["method"]

    def _cancel(self) -> None:
        """Wait for the recorded cancel if one comes before the end of the turn; else end the turn here."""
        for at in range(self._position, len(self._entries)):
            message = self._entries[at]["msg"]
            if message.get("method") == "session/cancel":
                self._cancels += 1
                return
            taken = None if "method" in message else self._taken.get(message["id"])
            if taken is not None and taken["method"] == "session/prompt":
                del self._taken[message["id"]]
                self._client.send({"id": taken["id"], "result": {"stopReason": "cancelled"}})
                self._position = at + 1
                return

    # What the recording does not have

    def _agree(self, request: dict[str, Any]) -> None:
        """Answer as an agent without objections would."""
        method, request_id = request["method"], request["id"]
        session_id = _session(request)
        if method in AGREED:
            result: dict[str, Any] = {}
        elif method in {"session/load", "session/resume"} and self._adopt(session_id):
            result = {"configOptions": self._options} if self._options else {}
        elif method == "session/list":
            result = {"sessions": []}
        elif method == "session/set_config_option":
            result = {"configOptions": self._chosen(request)}
        elif method == "session/prompt":
            content = {"type": "text", "text": "The recording ends here."}
            update = {"sessionUpdate": "agent_message_chunk", "content": content}
            self._client.send({"method": "session/update", "params": {"sessionId": session_id, "update": update}})
            result = {"stopReason": "end_turn"}
        else:
            error = {"code": METHOD_NOT_FOUND, "message": f"the recording has no further {method}"}
            self._client.send({"id": request_id, "error": error})
            return
        self._client.send({"id": request_id, "result": result})

    def _adopt(self, session_id: str | None) -> bool:
        """Let a session that was recorded as new be the one the client has from before."""
        for at in range(self._position, len(self._entries)):
            result = self._entries[at]["msg"].get("result")
            if isinstance(result, dict) and isinstance(result.get("sessionId"), str) and session_id is not None:
                self._sessions[result["sessionId"]] = session_id
                self._options = result.get("configOptions", self._options)
                self._position = at + 1
                return True
        return False

    def _chosen(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """The last config options seen, with the client's choice among them."""
        params = request.get("params") or {}
        choice = {"currentValue": params.get("value")}
        self._options = [
            option | choice if option.get("id") == params.get("configId") else option for option in self._options
        ]
        return self._options


def _session(message: dict[str, Any]) -> str | None:
    params = message.get("params")
    found = params.get("sessionId") if isinstance(params, dict) else None
    return found if isinstance(found, str) else None


def main() -> None:
    """Play the file named on the command line."""
    options = [argument for argument in sys.argv[1:] if argument.startswith("--pace=")]
    files = [argument for argument in sys.argv[1:] if argument not in options]
    if len(files) != 1:
        os.write(2, b"usage: replay.py FILE [--pace=N]\n")
        sys.exit(2)
    try:
        with open(files[0], "rb") as file:
            entries = [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError) as error:
        os.write(2, f"replay: {files[0]}: {error}\n".encode())
        sys.exit(2)
    try:
        Replay(entries, Client(), float(options[-1].partition("=")[2]) if options else 0.0).run()
    except ClientGone:
        sys.exit(0)


if __name__ == "__main__":
    main()

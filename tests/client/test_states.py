"""What the events of each stream mean to the client."""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox_agent.client.results import Transcript
from sandbox_agent.client.sse import SseEvent
from sandbox_agent.client.states import AcpState, EventsState, PermissionsState, TranscriptState, TurnState


def message(sequence: int, payload: dict[str, Any] | None = None, sender: str = "agent") -> SseEvent:
    body = {
        "sequence": sequence,
        "sessionId": "s",
        "createdAtMs": 5,
        "sender": sender,
        "payload": payload or {"jsonrpc": "2.0", "method": "session/update", "params": {}},
    }
    return SseEvent("message", msgspec.json.encode(body), str(sequence))


def turn(sequence: int, prompt: str, state: str) -> SseEvent:
    params = {"promptId": prompt, "state": state}
    return message(sequence, {"jsonrpc": "2.0", "method": "_session/turn", "params": params}, "server")


def event(name: str, body: Any, event_id: str | None = None) -> SseEvent:
    return SseEvent(name, msgspec.json.encode(body), event_id)


def item(item_id: str, updated: int, **fields: Any) -> dict[str, Any]:
    base = {"type": "message", "id": item_id, "created": 1, "updated": updated, "createdAtMs": 1}
    return base | {"role": "agent", "content": []} | fields


def numbers(values: Any) -> list[int]:
    return [value.sequence for value in values]


class TestEvents:
    def test_what_was_seen_is_not_given_again(self) -> None:
        state = EventsState("s", after=4)
        assert numbers(state.accept(message(4))) == []
        assert numbers(state.accept(message(5))) == [5]
        assert numbers(state.accept(message(5))) == []

    def test_heartbeats_are_silent(self) -> None:
        assert list(EventsState("s", 0).accept(SseEvent("heartbeat", b"{}", None))) == []

    def test_a_reset_is_shown_as_an_event(self) -> None:
        """A gap that retention made is never silent: its event has the number before the first that is kept."""
        state = EventsState("s", after=3)
        (gap,) = state.accept(event("reset", {"after": 3, "first": 10, "transcript": {}}))
        assert (gap.sequence, gap.is_reset, gap.message["params"]) == (9, True, {"after": 3, "first": 10})
        assert numbers(state.accept(message(10))) == [10]
        assert list(state.accept(event("reset", {"after": 3, "first": 10}))) == []

    def test_the_request_goes_on_from_the_cursor(self) -> None:
        state = EventsState("a b/c", after=3)
        list(state.accept(message(8)))
        request = state.request()
        assert request.path == "/v1/sessions/a%20b%2Fc/events"
        assert dict(request.headers)["Last-Event-ID"] == "8"


class TestTurn:
    def test_only_its_own_events_are_given(self) -> None:
        """A queued prompt waits for another turn to end; that turn's events are not its own."""
        state = TurnState("s", 0, "p2")
        stream = [
            turn(1, "p1", "running"),
            message(2),
            turn(3, "p1", "completed"),
            turn(4, "p2", "running"),
            message(5),
        ]
        assert [n for e in stream for n in numbers(state.accept(e))] == [4, 5]
        assert not state.done
        assert numbers(state.accept(turn(6, "p2", "completed"))) == [6]
        assert state.done

    def test_it_may_begin_with_the_prompt_itself(self) -> None:
        state = TurnState("s", 0, "p1")
        sent = {"jsonrpc": "2.0", "id": 1, "method": "session/prompt", "params": {"_meta": {"promptId": "p1"}}}
        assert numbers(state.accept(message(1, sent, "client"))) == [1]

    def test_one_cancelled_in_the_queue_ends_without_events(self) -> None:
        state = TurnState("s", 0, "p2")
        assert list(state.accept(turn(1, "p2", "cancelled"))) == []
        assert state.done

    def test_an_agent_cannot_end_it(self) -> None:
        """Only the server's own notifications count."""
        state = TurnState("s", 0, "p1")
        fake = {"jsonrpc": "2.0", "method": "_session/turn", "params": {"promptId": "p1", "state": "completed"}}
        list(state.accept(message(1, fake, "agent")))
        assert not state.done

    def test_odd_params_are_no_mark(self) -> None:
        state = TurnState("s", 0, "p1")
        for number, params in enumerate(([1], None, "x", {"_meta": None}), 1):
            payload = {"jsonrpc": "2.0", "method": "session/prompt", "params": params}
            assert list(state.accept(message(number, payload, "client"))) == []


class TestPermissions:
    def test_only_what_is_asked_is_given(self) -> None:
        state = PermissionsState("s", 0)

        def permission(sequence: int, word: str, sender: str = "server") -> SseEvent:
            params = {"requestId": "perm_1", "state": word}
            return message(sequence, {"jsonrpc": "2.0", "method": "_session/permission", "params": params}, sender)

        assert numbers(state.accept(permission(1, "pending"))) == [1]
        assert numbers(state.accept(permission(2, "selected"))) == []
        assert numbers(state.accept(permission(3, "pending", "agent"))) == []
        assert numbers(state.accept(message(4))) == []

    def test_a_reset_counts_as_asking(self) -> None:
        """What was asked among events that are gone must still be found."""
        state = PermissionsState("s", 0)
        assert numbers(state.accept(event("reset", {"after": 0, "first": 5}))) == [4]


class TestTranscript:
    def test_items_are_upserted_by_id(self) -> None:
        state = TranscriptState("s")
        (first,) = state.accept(
            event("snapshot", {"sessionId": "s", "sequence": 2, "items": [item("a", 1), item("b", 2)]})
        )
        (second,) = state.accept(event("upsert", {"sequence": 4, "items": [item("a", 3), item("c", 4)]}))
        assert [i.id for i in first.transcript.items] == ["a", "b"]
        assert [(i.id, i.updated) for i in second.transcript.items] == [("a", 3), ("b", 2), ("c", 4)]
        assert [i.id for i in second.changed] == ["a", "c"]
        assert second.transcript.sequence == 4

    def test_a_changed_header_replaces_the_old_one_and_leaves_the_items(self) -> None:
        state = TranscriptState("s")
        list(
            state.accept(event("snapshot", {"sessionId": "s", "sequence": 2, "title": "Old", "items": [item("a", 1)]}))
        )
        header = {"sessionId": "s", "sequence": 3, "title": "New", "items": []}
        (change,) = state.accept(event("upsert", {"sequence": 3, "items": [], "header": header}))
        assert change.transcript.title == "New"
        assert [i.id for i in change.transcript.items] == ["a"]
        assert change.changed == ()

    def test_a_changed_header_comes_with_or_without_items(self) -> None:
        """Title, mode and usage change too; the transcript stays one that shows itself."""
        state = TranscriptState("s")
        list(state.accept(event("snapshot", {"sessionId": "s", "sequence": 2, "items": [item("a", 1)]})))
        header = {"sessionId": "s", "sequence": 3, "items": [], "title": "New", "mode": "plan"}
        (change,) = state.accept(event("upsert", {"sequence": 3, "items": [], "header": header}))
        assert change.changed == ()
        assert (change.transcript.title, change.transcript.mode) == ("New", "plan")
        assert [i.id for i in change.transcript.items] == ["a"]
        assert isinstance(change.transcript, Transcript)

    def test_what_was_seen_is_not_given_again(self) -> None:
        state = TranscriptState("s")
        list(state.accept(event("snapshot", {"sessionId": "s", "sequence": 5, "items": []})))
        assert list(state.accept(event("upsert", {"sequence": 5, "items": [item("a", 5)]}))) == []
        assert list(state.accept(event("snapshot", {"sessionId": "s", "sequence": 4, "items": []}))) == []

    def test_the_first_request_asks_for_a_snapshot_and_the_next_goes_on(self) -> None:
        state = TranscriptState("s")
        assert "Last-Event-ID" not in dict(state.request().headers)
        list(state.accept(event("snapshot", {"sessionId": "s", "sequence": 7, "items": []})))
        assert dict(state.request().headers)["Last-Event-ID"] == "7"


class TestAcp:
    def test_messages_are_given_once_with_their_bytes(self) -> None:
        raw = b'{"jsonrpc":"2.0","id":12345678901234567890123,"result":{}}'
        state = AcpState("x", None)
        (one,) = state.accept(SseEvent("message", raw, "1"))
        assert (one.sequence, one.raw) == (1, raw)
        assert list(state.accept(SseEvent("message", raw, "1"))) == []
        assert dict(state.request().headers)["Last-Event-ID"] == "1"

    def test_what_has_no_number_is_left_out(self) -> None:
        state = AcpState("x", None)
        assert list(state.accept(SseEvent("message", b"{}", None))) == []
        assert list(state.accept(SseEvent("heartbeat", b"{}", "3"))) == []

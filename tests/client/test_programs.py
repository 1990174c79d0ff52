"""What the client decides beyond one request, against scripted servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest

from sandbox_agent.client import programs
from sandbox_agent.client.effects import Emit, Interrupted, Open, Read, Request, Send, Sleep
from sandbox_agent.client.errors import PromptTimeout, ServerUnreachable
from sandbox_agent.client.results import PromptInfo
from sandbox_agent.problems import AgentProcessExited, Conflict, SessionAlreadyExists, SessionNotFound, StreamError
from sandbox_agent.wire.sessions import SessionCreateRequest

from .test_states import message, turn
from .world import Streamed, World, cut, json_reply, problem_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.client.effects import Reply, Source

    from .world import Answer


def reply(body: Any, status: int = 200) -> Reply:
    return json_reply(msgspec.json.encode(body), status)


def session(**fields: Any) -> dict[str, Any]:
    base = {"id": "s", "agent": "mock", "cwd": "/x", "state": "idle", "createdAtMs": 1, "updatedAtMs": 1}
    return base | {"lastSequence": 0, "permissionPolicy": {}} | fields


def prompt(state: str = "completed", **fields: Any) -> dict[str, Any]:
    base = {"id": "p1", "sessionId": "s", "state": state, "createdAtMs": 1, "prompt": [{"type": "text", "text": "hi"}]}
    return base | fields


TRANSCRIPT = {
    "sessionId": "s",
    "sequence": 9,
    "items": [
        {"type": "message", "id": "m0", "created": 1, "updated": 1, "createdAtMs": 1, "turn": "p0", "role": "agent"}
        | {"content": [{"type": "text", "text": "before"}]},
        {"type": "message", "id": "m1", "created": 2, "updated": 2, "createdAtMs": 1, "turn": "p1", "role": "agent"}
        | {"content": [{"type": "text", "text": "hello"}]},
    ],
}


class Server:
    """Answers by method and path; what it was asked stays in ``asked``."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Answer:
        name = f"{request.method.lower()}_{request.path.removeprefix('/v1/').replace('/', '_')}"
        self.asked.append(name)
        found = self.answers[name]
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found(request) if callable(found) else found


def run_prompt(world: World, **options: Any) -> Any:
    defaults: dict[str, Any] = {"key": "k", "timeout": None, "listen": False, "check": True}
    interrupt_at = options.pop("interrupt_at", None)
    program = programs.prompt("s", "hi", **(defaults | options))
    return world.run(program, interrupt_at=interrupt_at)


class TestCreate:
    def test_a_lost_answer_finds_the_session_that_was_made(self) -> None:
        """The id is the client's own, so what exists under it on the second try is this session."""
        made: list[str] = []

        def create(request: Request) -> Answer:
            assert request.body is not None
            made.append(msgspec.json.decode(request.body)["id"])
            return cut() if len(made) == 1 else problem_reply(409, "session_already_exists")

        def anything(request: Request) -> Answer:
            return create(request) if request.method == "POST" else reply(session(id=made[0]))

        info = World(anything).run(programs.create_session(SessionCreateRequest(agent="mock")))
        assert made == [info.id, info.id]

    def test_an_id_of_the_users_own_may_be_somebody_elses(self) -> None:
        world = World([problem_reply(409, "session_already_exists")])
        with pytest.raises(SessionAlreadyExists):
            world.run(programs.create_session(SessionCreateRequest(agent="mock", id="mine")))

    def test_with_an_id_of_the_users_own_a_lost_answer_is_said(self) -> None:
        with pytest.raises(ServerUnreachable):
            World([cut()]).run(programs.create_session(SessionCreateRequest(agent="mock", id="mine")))


class TestDestroy:
    def test_a_lost_answer_is_no_missing_session(self) -> None:
        World([cut(), problem_reply(404, "session_not_found")]).run(programs.destroy_session("s"))

    def test_a_missing_session_is_said(self) -> None:
        with pytest.raises(SessionNotFound):
            World([problem_reply(404, "session_not_found")]).run(programs.destroy_session("s"))


class TestResume:
    def test_an_agent_that_ended_is_brought_back(self) -> None:
        """Asking for the present mode makes the server restore the agent; nothing else changes."""
        server = Server(
            get_sessions_s=reply(session(mode="plan")),
            get_acp=reply({"servers": []}),
            patch_sessions_s=lambda r: (
                reply(session(mode="plan", continuity="loaded")) if r.body == b'{"mode":"plan"}' else None
            ),
        )
        assert World(server).run(programs.resume_session("s")).continuity == "loaded"

    def test_an_agent_that_runs_is_left_alone(self) -> None:
        running = {"servers": [{"serverId": "s", "agent": "mock", "createdAtMs": 1}]}
        server = Server(get_sessions_s=reply(session(mode="plan")), get_acp=reply(running))
        World(server).run(programs.resume_session("s"))
        assert server.asked == ["get_sessions_s", "get_acp"]


class TestPrompt:
    def test_a_quick_turn_is_two_requests(self) -> None:
        server = Server(post_sessions_s_prompts=reply(prompt()), get_sessions_s_transcript=reply(TRANSCRIPT))
        result = run_prompt(World(server))
        assert result.text == "hello"
        assert len(server.asked) == 2

    def test_one_key_goes_with_every_try(self) -> None:
        """However often the POST is lost, the server can tell that it is the same prompt."""
        keys: list[str] = []

        def post(request: Request) -> Answer:
            keys.append(dict(request.headers)["Idempotency-Key"])
            return cut() if len(keys) < 4 else reply(prompt())

        server = Server(post_sessions_s_prompts=post, get_sessions_s_transcript=reply(TRANSCRIPT))
        run_prompt(World(server), key="mine")
        assert keys == ["mine"] * 4

    def test_a_server_away_for_an_hour_does_not_end_the_wait(self) -> None:
        """R7: the turn goes on over there; its result is found on return."""
        away: list[Answer] = [cut(unsent=True)] * 800
        server = Server(
            post_sessions_s_prompts=reply(prompt("running"), 202),
            get_sessions_s_prompts_p1=[reply(prompt("running")), *away, reply(prompt())],
            get_sessions_s_transcript=reply(TRANSCRIPT),
        )
        world = World(server)
        assert run_prompt(world).text == "hello"
        assert world.time > 1000 + 1800

    def test_a_timeout_leaves_the_turn_running(self) -> None:
        server = Server(
            post_sessions_s_prompts=reply(prompt("running"), 202), get_sessions_s_prompts_p1=reply(prompt("running"))
        )
        world = World(server)
        with pytest.raises(PromptTimeout, match="goes on") as caught:
            run_prompt(world, timeout=7)
        assert caught.value.info.id == "p1"
        assert isinstance(caught.value, TimeoutError)
        assert 1007 <= world.time < 1008
        assert "post_sessions_s_cancel" not in server.asked

    def test_a_proxy_that_does_not_hold_is_not_hammered(self) -> None:
        """When the wait is answered at once, the client asks at growing intervals."""
        answers = [*[reply(prompt("running"))] * 30, reply(prompt())]
        server = Server(
            post_sessions_s_prompts=reply(prompt("running"), 202),
            get_sessions_s_prompts_p1=answers,
            get_sessions_s_transcript=reply(TRANSCRIPT),
        )
        world = World(server)
        run_prompt(world)
        assert world.slept[0] < 0.1
        assert world.slept[-1] == 1.0

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (
                {"type": "urn:sandbox-agent:error:agent_process_exited", "status": 500, "detail": "died"},
                AgentProcessExited,
            ),
            ({"type": "urn:sandbox-agent:error:stream_error", "status": 502, "detail": "refused"}, StreamError),
            (None, Exception),
        ],
    )
    def test_a_failed_turn_is_a_typed_error(self, error: Any, kind: type[Exception]) -> None:
        failed = prompt("failed", error=error, stopReason="agent_exited")
        with pytest.raises(kind) as caught:
            run_prompt(World(Server(post_sessions_s_prompts=reply(failed))))
        assert caught.value.extensions["promptId"] == "p1"  # type: ignore[attr-defined]

    def test_a_failed_turn_can_be_looked_at(self) -> None:
        server = Server(post_sessions_s_prompts=reply(prompt("failed")), get_sessions_s_transcript=reply(TRANSCRIPT))
        assert run_prompt(World(server), check=False).state == "failed"

    def test_a_cancelled_turn_is_a_result(self) -> None:
        cancelled = prompt("cancelled", stopReason="cancelled")
        server = Server(post_sessions_s_prompts=reply(cancelled), get_sessions_s_transcript=reply(TRANSCRIPT))
        assert run_prompt(World(server)).stop_reason == "cancelled"


class TestListening:
    def server(self, stream: list[Any]) -> Server:
        return Server(
            get_sessions_s=reply(session(lastSequence=3)),
            post_sessions_s_prompts=reply(prompt("queued"), 202),
            get_sessions_s_events=[Streamed(part) for part in stream],
            get_sessions_s_prompts_p1=reply(prompt()),
            get_sessions_s_transcript=reply(TRANSCRIPT),
        )

    def frames(self, *events: Any) -> bytes:
        return b"".join(b"id: %s\ndata: %s\n\n" % (event.id.encode(), event.data) for event in events)

    def test_the_turns_events_are_given_across_a_cut(self) -> None:
        first = self.frames(message(4), turn(5, "p1", "running"), message(6))
        second = self.frames(message(6), message(7), turn(8, "p1", "completed"), message(9))
        world = World(self.server([[first, cut()], [second]]))
        assert run_prompt(world, listen=True).text == "hello"
        assert [event.sequence for event in world.emitted] == [5, 6, 7, 8]

    def test_an_end_among_events_that_are_gone_is_asked_for(self) -> None:
        """Retention may remove the turn's end while the client is away: a reset makes it ask."""
        gone = b'event: reset\ndata: {"after":3,"first":50}\n\n'
        world = World(self.server([[self.frames(turn(4, "p1", "running")) + gone], [b""]]))
        assert run_prompt(world, listen=True).text == "hello"
        assert world.emitted[-1].is_reset


class TestInterrupt:
    def server(self, *, listed: bool = True) -> Server:
        listing = {"items": [prompt("running", idempotencyKey="other", id="p0"), prompt("running", idempotencyKey="k")]}
        return Server(
            post_sessions_s_prompts=reply(prompt("running"), 202),
            get_sessions_s_prompts=reply(listing if listed else {"items": []}),
            get_sessions_s_prompts_p1=[reply(prompt("running")), reply(prompt("running")), reply(prompt("cancelled"))],
            post_sessions_s_cancel=reply(session()),
        )

    def test_the_turn_is_cancelled(self) -> None:
        server = self.server()
        with pytest.raises(Interrupted):
            run_prompt(World(server), interrupt_at=Sleep)
        assert "post_sessions_s_cancel" in server.asked

    def test_a_prompt_whose_answer_had_not_come_is_found_by_its_key(self) -> None:
        """Interrupted during the POST: the server may have it."""
        server = self.server()
        with pytest.raises(Interrupted):
            run_prompt(World(server), interrupt_at=Send)
        assert server.asked[-2:] == ["post_sessions_s_cancel", "get_sessions_s_prompts_p1"]

    def test_nothing_of_others_is_cancelled(self) -> None:
        """The POST never arrived: what runs there is not ours."""
        server = self.server(listed=False)
        with pytest.raises(Interrupted):
            run_prompt(World(server), interrupt_at=Send)
        assert server.asked == ["get_sessions_s_prompts"]

    def test_a_server_that_is_gone_does_not_hide_the_interrupt(self) -> None:
        with pytest.raises(Interrupted):
            run_prompt(World(lambda _request: cut(unsent=True)), interrupt_at=Send)

    def test_waiting_on_a_handle_leaves_the_turn_running(self) -> None:
        server = self.server()
        info = msgspec.convert(prompt("running"), PromptInfo)
        with pytest.raises(Interrupted):
            World(server).run(programs.wait("s", info, timeout=None, check=True), interrupt_at=Send)
        assert server.asked == []


class TestAnswer:
    permission: ClassVar[dict[str, Any]] = {
        "id": "perm_1",
        "sessionId": "s",
        "state": "selected",
        "createdAtMs": 1,
        "options": [],
        "toolCall": {},
        "availableReplies": ["once"],
        "reply": "once",
        "optionId": "opt",
    }

    def test_a_reply_or_an_option(self) -> None:
        bodies: list[bytes | None] = []

        def answer(request: Request) -> Answer:
            bodies.append(request.body)
            return reply(self.permission)

        for choice in ("once", "always", "reject", "allow_once"):
            World(answer).run(programs.answer("s", "perm_1", choice))
        assert bodies == [
            b'{"reply":"once"}',
            b'{"reply":"always"}',
            b'{"reply":"reject"}',
            b'{"optionId":"allow_once"}',
        ]

    def test_somebody_elses_answer_is_a_conflict(self) -> None:
        with pytest.raises(Conflict):
            World([problem_reply(409, "conflict")]).run(programs.answer("s", "perm_1", "once"))

    @pytest.mark.parametrize(("choice", "mine"), [("once", True), ("opt", True), ("reject", False)])
    def test_our_own_answer_found_on_a_second_try_is_none(self, choice: str, mine: bool) -> None:
        """The first answer's reply was lost; the conflict tells whether it was ours."""
        world = World([cut(), problem_reply(409, "conflict"), reply({"items": [self.permission]})])
        if mine:
            assert world.run(programs.answer("s", "perm_1", choice)).reply == "once"
        else:
            with pytest.raises(Conflict):
                world.run(programs.answer("s", "perm_1", choice))

    def test_each_waiting_request_is_given_once(self) -> None:
        """Those that wait already, then those the stream tells of; a request listed twice is asked once."""
        waiting = {key: value for key, value in self.permission.items() if key not in {"reply", "optionId"}}
        one, two = waiting | {"state": "pending"}, waiting | {"state": "pending", "id": "perm_2"}
        asked = {"jsonrpc": "2.0", "method": "_session/permission", "params": {"state": "pending"}}
        event = message(5, asked, "server")
        server = Server(
            get_sessions_s=reply(session(lastSequence=4)),
            get_sessions_s_permissions=[reply({"items": [one]}), reply({"items": [one, two]})],
            get_sessions_s_events=[
                Streamed([b"id: 5\ndata: %s\n\n" % event.data]),
                problem_reply(404, "session_not_found"),
            ],
        )
        world = World(server)
        with pytest.raises(SessionNotFound):
            world.run(programs.pending_permissions("s"))
        assert [permission.id for permission in world.emitted] == ["perm_1", "perm_2"]


class TestPages:
    def page(self, first: int, last: int, *, more: bool, reset: bool = False) -> Reply:
        items = [msgspec.json.decode(message(n).data) for n in range(first, last + 1)]
        return reply({"items": items, "nextAfter": last, "hasMore": more, "reset": reset})

    def test_pages_are_joined(self) -> None:
        world = World([self.page(1, 3, more=True), self.page(4, 5, more=False)])
        world.run(programs.event_pages("s", 0, 3))
        assert [event.sequence for event in world.emitted] == [1, 2, 3, 4, 5]
        assert [dict(request.query)["after"] for request in world.requests] == ["0", "3"]

    def test_what_retention_removed_is_shown(self) -> None:
        world = World([self.page(8, 9, more=False, reset=True)])
        world.run(programs.event_pages("s", 2, None))
        assert [(event.sequence, event.is_reset) for event in world.emitted] == [(7, True), (8, False), (9, False)]

    def test_a_page_that_does_not_advance_is_the_last(self) -> None:
        """A server's fault must not become the client's endless loop."""
        world = World([self.page(1, 0, more=True)])
        world.run(programs.event_pages("s", 0, None))
        assert world.emitted == []

    def test_from_now_on_begins_at_the_newest(self) -> None:
        """``after=None`` asks where the session stands, once."""
        server = Server(
            get_sessions_s=reply(session(lastSequence=41)),
            get_sessions_s_events=[Streamed([]), problem_reply(404, "session_not_found")],
        )
        world = World(server)
        with pytest.raises(SessionNotFound):
            world.run(programs.events("s", None, None))
        assert [dict(r.headers).get("Last-Event-ID") for r in world.requests] == [None, "41", "41"]


class TestTranscript:
    def upsert(self, sequence: int, state: str) -> bytes:
        item = {
            "type": "turn",
            "id": "t",
            "created": 2,
            "updated": sequence,
            "createdAtMs": 1,
            "turn": "p1",
            "state": state,
        }
        return b"event: upsert\ndata: %s\n\n" % msgspec.json.encode({"sequence": sequence, "items": [item]})

    def test_it_ends_where_item_and_prompt_agree(self) -> None:
        """The item said completed; the server found the answer empty and calls the turn failed."""
        snapshot = b'event: snapshot\ndata: {"sessionId":"s","sequence":1,"items":[]}\n\n'
        stream = [snapshot, self.upsert(2, "running"), self.upsert(3, "completed"), self.upsert(4, "failed"), b"never"]
        server = Server(get_sessions_s_transcript=Streamed(stream), get_sessions_s_prompts_p1=reply(prompt("failed")))
        world = World(server)
        world.run(programs.transcript_changes("s", "p1", None))
        assert [change.transcript.sequence for change in world.emitted] == [1, 2, 3, 4]
        assert world.emitted[-1].transcript.items[0].state == "failed"


class TestEach:
    def visit(self, stop_at: int) -> Callable[[int], Any]:
        def visit(value: int) -> Any:
            yield Sleep(value)
            return value == stop_at

        return visit

    def source(self) -> Source:
        yield Emit((1, 2))
        yield Emit((3,))

    def test_a_visit_may_do_things_of_its_own_and_end_it(self) -> None:
        world = World([])
        world.run(programs.each(self.source(), self.visit(2)))
        assert world.slept == [1, 2]

    def test_faults_reach_the_source(self) -> None:
        """The source decides what a cut means, as if nobody stood between."""

        def source() -> Source:
            try:
                yield Open(Request("GET", "/x"))
            except ServerUnreachable:
                yield Emit((7,))
            yield Read()

        world = World([ServerUnreachable("u", "r")])
        world.run(programs.each(source(), self.visit(0)))
        assert world.slept == [7]

"""Sessions through both SDKs, on the real server with the mock agent."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent import (
    AgentProcessExited,
    Conflict,
    InvalidRequest,
    NotFound,
    PermissionPolicy,
    PermissionRule,
    PromptTimeout,
    SessionAlreadyExists,
    SessionNotFound,
    StreamError,
    UnsupportedAgent,
)

from ..support.server import poll

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent import (
        PermissionInfo,
        SessionEvent,
    )

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


class TestPrompt:
    def test_a_prompt_answers_with_its_turn(self, session: Any) -> None:
        result = session.prompt("[[say hello]]")
        assert result.text == "hello"
        assert result.stop_reason == "end_turn"
        assert result.state == "completed"
        assert result.usage["totalTokens"] > 0
        assert {item.turn for item in result.transcript.items} == {result.info.id}

    def test_a_result_holds_only_its_own_turn(self, session: Any) -> None:
        session.prompt("[[say first]]")
        assert session.prompt("[[say second]]").text == "second"

    def test_content_blocks_reach_the_agent(self, session: Any, tmp_path: Path) -> None:
        file = tmp_path / "notes.md"
        file.write_text("# x")
        result = session.prompt(["[[say got it]]", file, PNG])
        assert result.text.startswith("got it")
        assert [block["type"] for block in result.info.prompt] == ["text", "resource_link", "image"]
        assert result.info.prompt[1]["uri"] == file.as_uri()

    def test_events_of_the_turn_are_handed_over_as_they_come(self, session: Any) -> None:
        session.prompt("[[say before]]")
        seen: list[SessionEvent] = []
        result = session.prompt("[[say a]] [[say b]]", on_event=seen.append)
        assert [event.sequence for event in seen] == list(
            range(result.info.first_sequence, result.info.last_sequence + 1)
        )
        assert result.text.replace(" ", "").replace("\n", "") == "ab"

    def test_a_timeout_ends_the_wait_and_not_the_turn(self, session: Any) -> None:
        with pytest.raises(PromptTimeout) as caught:
            session.prompt("[[ask May I?]] [[say late]]", timeout=0.3)
        with session.on_permission(lambda _request: "once"):
            assert session.get_prompt(caught.value.info.id).wait().text.endswith("late")

    def test_an_agent_that_dies_is_a_typed_error(self, session: Any) -> None:
        with pytest.raises(AgentProcessExited) as caught:
            session.prompt("[[stderr last words]] [[crash code=3]]")
        assert caught.value.extensions["exitCode"] == 3
        assert "last words" in str(caught.value.extensions["stderr"])
        assert session.prompt("[[say back again]]").text == "back again"

    def test_an_agents_own_error_is_one_too(self, session: Any) -> None:
        with pytest.raises(StreamError, match="nope"):
            session.prompt("[[error code=-32000 message=nope]]")

    def test_a_failure_can_be_a_result(self, session: Any) -> None:
        result = session.prompt("[[say some]] [[crash code=3]]", check=False)
        assert (result.state, result.text) == ("failed", "some")

    def test_one_key_is_one_turn(self, session: Any) -> None:
        """A program that was restarted and asks again gets the first turn's result."""
        first = session.prompt("[[say one]]", idempotency_key="k1")
        assert session.prompt("[[say one]]", idempotency_key="k1").info.id == first.info.id

    def test_a_malformed_prompt_is_refused(self, session: Any) -> None:
        with pytest.raises(InvalidRequest):
            session.prompt("  ")


class TestHandle:
    def test_prompts_queue_and_each_is_waited_for(self, session: Any) -> None:
        one = session.prompt("[[sleep 0.3]] [[say one]]", wait=False)
        two = session.prompt("[[say two]]", wait=False)
        assert two.info.state == "queued"
        assert not two.done
        assert two.wait().text == "two"
        assert two.done
        assert one.wait().text == "one"
        assert [prompt.id for prompt in session.prompts()] == [one.id, two.id]

    def test_a_turns_events_end_with_it(self, session: Any) -> None:
        session.prompt("[[say before]]")
        blocker = session.prompt("[[sleep 0.3]] [[say x]]", wait=False)
        handle = session.prompt("[[tick count=3 every=0.05]]", wait=False)
        sequences = [event.sequence for event in handle.events()]
        info = handle.refresh()
        assert sequences == list(range(info.first_sequence, info.last_sequence + 1))
        assert blocker.wait().state == "completed"

    def test_a_finished_turns_events_can_be_read_again(self, session: Any) -> None:
        info = session.prompt("[[say x]]").info
        events = list(session.get_prompt(info.id).events())
        assert (events[0].sequence, events[-1].sequence) == (info.first_sequence, info.last_sequence)

    def test_cancelling_ends_the_turn_and_keeps_the_session(self, session: Any) -> None:
        """R25: in less than two seconds, and the next prompt works."""
        handle = session.prompt("[[sleep 60]]", wait=False)
        next(event for event in handle.events() if event.method == "session/prompt")
        assert handle.cancel().state == "cancelled"
        assert handle.wait().stop_reason == "cancelled"
        assert session.prompt("[[say on]]").text == "on"

    def test_a_session_is_cancelled_as_well(self, session: Any) -> None:
        handle = session.prompt("[[sleep 60]]", wait=False)
        session.cancel()
        assert handle.wait(timeout=60).state == "cancelled"

    def test_an_unknown_prompt_is_said(self, session: Any) -> None:
        with pytest.raises(NotFound):
            session.get_prompt("none")


class TestEvents:
    def test_all_events_of_now(self, session: Any) -> None:
        session.prompt("[[burst count=300 size=200]]")
        last = session.refresh().last_sequence
        assert [e.sequence for e in session.events(follow=False)] == list(range(1, last + 1))
        assert [e.sequence for e in session.events(after=last - 3, follow=False, limit=2)] == [last - 2, last - 1, last]

    def test_following_goes_on_with_what_comes(self, session: Any) -> None:
        handle = session.prompt("[[tick count=3 every=0.05]]", wait=False)
        with session.events() as events:
            seen = list(itertools.takewhile(lambda e: (e.update or {}).get("sessionUpdate") != "usage_update", events))
        assert [e.sequence for e in seen] == list(range(1, len(seen) + 1))
        handle.wait()

    def test_from_now_on(self, session: Any) -> None:
        session.prompt("[[say before]]")
        last = session.refresh().last_sequence
        handle = session.prompt("[[sleep 0.3]] [[say after]]", wait=False)
        with session.events(after=last) as events:
            assert next(events).sequence == last + 1
        handle.wait()

    def test_a_session_is_iterated_from_its_beginning(self, session: Any) -> None:
        assert [event.sequence for event in itertools.islice(iter(session), 3)] == [1, 2, 3]

    def test_pages_carry_the_cursor(self, session: Any) -> None:
        page = session.events_page(after=0, limit=2)
        assert ([e.sequence for e in page], page.next_after, page.has_more, len(page)) == ([1, 2], 2, True, 2)

    def test_a_closed_stream_ends(self, session: Any) -> None:
        events = session.events()
        next(events)
        events.close()
        assert list(events) == []

    def test_a_destroyed_session_ends_the_stream_with_its_error(self, agent: Any, tmp_path: Path) -> None:
        doomed = agent.create_session("mock", cwd=tmp_path)
        events = doomed.events()
        next(events)
        doomed.destroy()
        with pytest.raises(SessionNotFound):
            list(events)


class TestTranscript:
    def test_the_transcript_is_the_whole_session(self, session: Any) -> None:
        session.prompt("[[say one]]")
        session.prompt("[[say two]]")
        assert session.transcript().text == "one\n\ntwo"

    def test_it_grows_before_ones_eyes(self, session: Any) -> None:
        """A snapshot, then changes; the last state equals what is asked for afterwards."""
        handle = session.prompt("[[tick count=5 every=0.05]] [[sleep 2]] [[say done]]", wait=False)
        changes = list(handle.follow_transcript())
        assert len(changes) > 1
        last, now = changes[-1].transcript.items, session.transcript().items
        assert [msgspec.structs.replace(item, updated=0) for item in last] == [
            msgspec.structs.replace(item, updated=0) for item in now
        ]
        for before, after in itertools.pairwise(change.transcript for change in changes):
            assert before != after

    @pytest.mark.parametrize(
        ("form", "sign"), [("md", "hello"), ("html", "<div"), ("ipynb", '"nbformat":4'), ("text", "> ")]
    )
    def test_exports(self, session: Any, form: str, sign: str) -> None:
        session.prompt("[[say hello]]")
        assert sign in session.export(form).replace('": ', '":')


class TestPermissions:
    def test_a_callback_answers(self, session: Any, tmp_path: Path) -> None:
        """The edit is made because the callback said so, on its own thread or task, while the prompt waits."""
        asked: list[PermissionInfo] = []

        def decide(request: PermissionInfo) -> str:
            asked.append(request)
            return "once"

        with session.on_permission(decide):
            session.prompt("[[write path=a.txt text=hello]]")
        assert (tmp_path / "a.txt").read_text() == "hello"
        assert [request.kind for request in asked] == ["edit"]

    def test_a_rejection_stops_the_tool(self, session: Any, tmp_path: Path) -> None:
        with session.on_permission(lambda _request: "reject"):
            result = session.prompt("[[write path=a.txt text=hello]]")
        assert not (tmp_path / "a.txt").exists()
        assert result.state == "completed"

    def test_an_option_by_its_id(self, session: Any) -> None:
        with session.on_permission(lambda request: request.options[-1].option_id):
            session.prompt("[[ask May I?]]")
        assert session.permissions()[0].option_id == session.permissions()[0].options[-1].option_id

    def test_requests_that_wait_already_are_asked_too(self, session: Any) -> None:
        handle = session.prompt("[[ask May I?]]", wait=False)
        next(event for event in handle.events() if event.method == "_session/permission")
        with session.on_permission(lambda _request: "once"):
            assert handle.wait(timeout=60).state == "completed"

    def test_none_leaves_it_to_somebody_else(self, session: Any) -> None:
        """S9: nothing is approved by time running out; another client answers."""
        handle = session.prompt("[[ask May I?]]", wait=False)
        with session.on_permission(lambda _request: None):
            next(event for event in handle.events() if event.method == "_session/permission")
            with pytest.raises(PromptTimeout):
                handle.wait(timeout=0.5)
        (waiting,) = session.permissions(pending_only=True)
        assert session.answer(waiting.id, "once").state == "selected"
        assert handle.wait(timeout=60).state == "completed"

    def test_the_second_answer_learns_of_the_first(self, session: Any) -> None:
        handle = session.prompt("[[ask May I?]]", wait=False)
        next(event for event in handle.events() if event.method == "_session/permission")
        (waiting,) = session.permissions().pending
        session.answer(waiting.id, "reject")
        with pytest.raises(Conflict):
            session.answer(waiting.id, "once")
        handle.wait(timeout=60)

    def test_a_callback_that_raises_leaves_the_request_alone(
        self, session: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The watch goes on: the next request is asked."""
        answers = iter([ZeroDivisionError(), "once"])

        def decide(_request: PermissionInfo) -> str:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        with session.on_permission(decide):
            handle = session.prompt("[[ask one?]] [[ask two?]]", wait=False)
            poll(lambda: session.refresh() and "ZeroDivisionError" in caplog.text, what="the first call")
            assert not handle.refresh().done
            session.answer(session.permissions().pending[0].id, "reject")
            assert handle.wait(timeout=60).state == "completed"

    def test_an_answer_that_is_none_of_the_options_is_said(
        self, session: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The request waits on, and so does the watch."""
        with session.on_permission(lambda _request: "perhaps") as watch:
            handle = session.prompt("[[ask May I?]]", wait=False)
            poll(lambda: session.refresh() and "refused" in caplog.text, what="the answer")
            assert watch.active
            assert not handle.refresh().done
            session.answer(session.permissions().pending[0].id, "reject")
            handle.wait(timeout=60)

    def test_a_stopped_watch_is_not_asked(self, session: Any) -> None:
        asked = threading.Event()
        watch = session.on_permission(lambda _request: asked.set())
        watch.stop()
        watch.stop()
        assert not watch.active
        handle = session.prompt("[[ask May I?]]", wait=False)
        next(event for event in handle.events() if event.method == "_session/permission")
        handle.cancel()
        assert not asked.is_set()

    def test_a_watch_ends_with_its_session(self, agent: Any, tmp_path: Path) -> None:
        session = agent.create_session("mock", cwd=tmp_path)
        watch = session.on_permission(lambda _request: "once")
        session.prompt("[[ask May I?]]")
        session.destroy()
        other = agent.create_session("mock", cwd=tmp_path)
        poll(lambda: other.refresh() and not watch.active, what="the watch's end")
        other.destroy()
        assert watch.error is None

    def test_a_policy_answers_by_itself(self, agent: Any, tmp_path: Path) -> None:
        policy = PermissionPolicy(rules=(PermissionRule(decision="allow", kinds=("edit",)),))
        session = agent.create_session("mock", cwd=tmp_path, permission_policy=policy)
        session.prompt("[[write path=a.txt text=x]]")
        assert (tmp_path / "a.txt").read_text() == "x"
        assert session.permissions()[0].resolved_by == "policy"
        session.destroy()


class TestOptions:
    def test_options_are_set_and_told(self, session: Any) -> None:
        assert session.set_model("mock-fast").model == "mock-fast"
        assert session.set_mode("plan").mode == "plan"
        assert session.set_thought_level("high").thought_level == "high"
        assert session.update(title="Mine", permission_policy="deny").title == "Mine"
        assert (session.model, session.mode, session.thought_level, session.title) == (
            "mock-fast",
            "plan",
            "high",
            "Mine",
        )
        assert session.info.permission_policy.default == "deny"

    def test_a_wrong_value_is_refused_and_nothing_changes(self, session: Any) -> None:
        before = session.refresh()
        with pytest.raises(InvalidRequest):
            session.set_model("none")
        assert session.refresh().model == before.model


class TestLife:
    def test_a_session_is_made_as_asked(self, agent: Any, tmp_path: Path) -> None:
        session = agent.create_session("mock", cwd=tmp_path, mode="plan", model="mock-fast", title="T", id="my-own")
        assert (session.id, session.agent, session.cwd, session.state) == ("my-own", "mock", str(tmp_path), "idle")
        assert (session.mode, session.model, session.title) == ("plan", "mock-fast", "T")
        with pytest.raises(SessionAlreadyExists):
            agent.create_session("mock", cwd=tmp_path, id="my-own")
        session.destroy()

    def test_an_unknown_agent_is_said(self, agent: Any) -> None:
        with pytest.raises(UnsupportedAgent):
            agent.create_session("none")

    def test_another_object_sees_the_same_session(self, agent: Any, session: Any) -> None:
        session.prompt("[[say one]]")
        other = agent.get_session(session.id)
        assert other.transcript() == session.transcript()
        assert other.info == session.refresh()

    def test_resuming_brings_the_agent_back(self, agent: Any, session: Any) -> None:
        session.prompt("[[say remember me]]")
        session.prompt("[[crash code=1]]", check=False)
        assert session.id not in {server.server_id for server in agent.list_acp_servers()}
        resumed = agent.resume_session(session.id)
        assert resumed.info.continuity == "native"
        assert session.id in {server.server_id for server in agent.list_acp_servers()}
        assert "remember me" in resumed.prompt("[[recall]]").text

    def test_a_destroyed_session_is_gone(self, agent: Any, tmp_path: Path) -> None:
        session = agent.create_session("mock", cwd=tmp_path)
        agent.destroy_session(session.id)
        for call in (session.refresh, lambda: agent.resume_session(session.id), session.destroy):
            with pytest.raises(SessionNotFound):
                call()

    def test_lists_go_on_over_all_pages(self, agent: Any, tmp_path: Path) -> None:
        made = [agent.create_session("mock", cwd=tmp_path) for _ in range(3)]
        page = agent.list_sessions(limit=2)
        assert len(page) == 2
        assert page.next_cursor is not None
        listed = [session.id for session in page]
        assert set(listed) >= {session.id for session in made}
        assert len(listed) == len(set(listed))
        for session in made:
            session.destroy()

    def test_what_a_session_shows(self, session: Any) -> None:
        assert session.id in repr(session)
        assert session.id in session._repr_html_()
        assert "<script" not in session._repr_html_()


class TestFork:
    def test_a_fork_remembers_and_goes_its_own_way(self, session: Any) -> None:
        session.prompt("[[say one]]")
        fork = session.fork(title="Other")
        assert (fork.info.title, fork.info.forked_from, fork.info.continuity) == ("Other", session.id, "native")
        assert fork.prompt("[[recall]]").text.endswith("- [[say one]]")
        assert len(session.prompts()) == 1
        fork.destroy()

    def test_a_session_that_works_is_not_forked(self, session: Any) -> None:
        handle = session.prompt("[[sleep 20]]", wait=False)
        with pytest.raises(Conflict):
            session.fork()
        handle.cancel()

    def test_an_id_that_is_taken_is_told(self, session: Any) -> None:
        with pytest.raises(SessionAlreadyExists):
            session.fork(id=session.id)

"""A session, from blocking code."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal, overload

from sandbox_agent.client import api, programs
from sandbox_agent.client.base import SessionBase
from sandbox_agent.client.calls import perform
from sandbox_agent.client.permissions import PermissionWatch
from sandbox_agent.client.requests import update_request
from sandbox_agent.client.results import (
    PermissionList,
    PromptList,
)
from sandbox_agent.wire.sessions import SessionForkRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox_agent.client.content import Prompt
    from sandbox_agent.client.permissions import Decide
    from sandbox_agent.client.requests import Policy
    from sandbox_agent.client.results import (
        EventPage,
        PermissionInfo,
        PromptInfo,
        PromptResult,
        SessionEvent,
        SessionInfo,
        Transcript,
        TranscriptChange,
    )
    from sandbox_agent.client.sync_driver import Stream, SyncDriver


class Session(SessionBase):
    """A conversation with an agent that lives in the server: it outlasts this object, this kernel and the server.

    Made by :meth:`SandboxAgent.create_session` and its siblings. Iterating it gives its events.
    """

    def __init__(self, driver: SyncDriver, info: SessionInfo, *, give_up_after: float | None = None) -> None:
        super().__init__(info, local=driver.target.local)
        self._driver = driver
        self._give_up_after = give_up_after

    def refresh(self) -> SessionInfo:
        """Ask the server how the session is; :attr:`info` and the other attributes then say it."""
        self._info = self._driver.run(perform(api.session(self.id)))
        return self._info

    @overload
    def prompt(
        self,
        prompt: Prompt,
        *,
        wait: Literal[True] = True,
        timeout: float | None = None,
        on_event: Callable[[SessionEvent], object] | None = None,
        check: bool = True,
        idempotency_key: str | None = None,
    ) -> PromptResult: ...
    @overload
    def prompt(self, prompt: Prompt, *, wait: Literal[False], idempotency_key: str | None = None) -> PromptHandle: ...
    def prompt(
        self,
        prompt: Prompt,
        *,
        wait: bool = True,
        timeout: float | None = None,
        on_event: Callable[[SessionEvent], object] | None = None,
        check: bool = True,
        idempotency_key: str | None = None,
    ) -> PromptResult | PromptHandle:
        """Give the agent a prompt and wait for the end of its turn; with ``wait=False`` return a handle at once.

        ``prompt`` is text, or pieces of content: text, a ``Path`` (linked, or sent when the server is elsewhere),
        bytes or a Pillow image, or an ACP content block as a dict. A prompt queues behind those before it.

        Lost connections and a restarted server do not end the wait and never run the prompt twice; an
        ``idempotency_key`` of your own extends that to a restarted program. ``timeout`` is in seconds: when it runs
        out :class:`PromptTimeout` is raised and the turn goes on. ``on_event`` is called with each event of the
        turn. A turn that fails raises the server's problem, such as :class:`AgentProcessExited`, unless ``check``
        is false; a cancelled one is a result like others. A ``KeyboardInterrupt`` cancels the turn.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent:
        ...     session = agent.create_session("mock")
        ...     session.prompt("[[say hello]]").text
        'hello'
        """
        content, key = self._content(prompt), idempotency_key or uuid.uuid4().hex
        if not wait:
            return PromptHandle(self, self._driver.run(programs.submit(self.id, content, key=key)))
        program = programs.prompt(self.id, content, key=key, timeout=timeout, listen=on_event is not None, check=check)
        return self._driver.run(program, on_event)

    def prompts(self) -> PromptList:
        """The prompts this session was given."""
        return PromptList(self._driver.run(programs.prompts(self.id)))

    def get_prompt(self, prompt_id: str) -> PromptHandle:
        """A prompt given earlier, perhaps by another program."""
        return PromptHandle(self, self._driver.run(perform(api.prompt(self.id, prompt_id))))

    def events(self, after: int | None = 0, *, follow: bool = True, limit: int | None = None) -> Stream[SessionEvent]:
        """The session's raw events after the sequence ``after``, in order, each once (``None``: from now on).

        With ``follow`` it goes on with new ones for ever, through lost connections and server restarts; without, it
        ends with the newest of now. Where retention has removed events, one with ``is_reset`` stands for them.
        ``limit`` is the size of the pages asked for when not following.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent:
        ...     session = agent.create_session("mock")
        ...     result = session.prompt("[[say hello]]")
        ...     for event in session.events(follow=False):
        ...         if event.update and event.update["sessionUpdate"] == "agent_message_chunk":
        ...             print(event.update["content"]["text"])
        hello
        """
        if follow:
            return self._driver.iterate(programs.events(self.id, after, self._give_up_after))
        return self._driver.iterate(programs.event_pages(self.id, after, limit))

    def events_page(self, after: int = 0, limit: int | None = None) -> EventPage:
        """One page of events, for programs that keep the cursor themselves."""
        return self._driver.run(perform(api.event_page(self.id, after=after, limit=limit)))

    def __iter__(self) -> Iterator[SessionEvent]:
        return self.events()

    def transcript(self) -> Transcript:
        """The folded view: messages, thoughts, tool calls, plans, permissions. It shows itself in a notebook."""
        return self._driver.run(perform(api.transcript(self.id)))

    def follow_transcript(self, *, turn: str | None = None) -> Stream[TranscriptChange]:
        """The transcript as it grows: all of it first, then each change. With ``turn`` it ends with that prompt."""
        return self._driver.iterate(programs.transcript_changes(self.id, turn, self._give_up_after))

    def export(self, format: Literal["md", "html", "ipynb", "text"] = "md") -> str:  # noqa: A002 - the route's word
        """The transcript as a document."""
        return self._driver.run(perform(api.export(self.id, format)))

    def permissions(self, *, pending_only: bool = False) -> PermissionList:
        """The permission requests of this session."""
        return PermissionList(self._driver.run(perform(api.permissions(self.id, pending=pending_only))).items)

    def answer(self, request_id: str, choice: str) -> PermissionInfo:
        """Answer a permission request: ``once``, ``always``, ``reject``, or one of its option ids.

        Raises :class:`Conflict` when it was resolved before; its extensions tell how.
        """
        return self._driver.run(programs.answer(self.id, request_id, choice))

    def on_permission(self, callback: Decide) -> PermissionWatch:
        """Ask ``callback`` for every permission request, now waiting or to come, on a background thread.

        It answers ``once``, ``always``, ``reject``, an option id, or ``None`` to leave the request to somebody else.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent:
        ...     session = agent.create_session("mock")
        ...     with session.on_permission(lambda request: "once"):
        ...         session.prompt("[[ask May I?]]").stop_reason
        'end_turn'
        """
        return PermissionWatch(self._driver.iterate(programs.pending_permissions(self.id)), callback, self.answer)

    def cancel(self) -> SessionInfo:
        """End the running turn; the session stays."""
        self._info = self._driver.run(perform(api.cancel(self.id)))
        return self._info

    def update(
        self,
        *,
        title: str | None = None,
        model: str | None = None,
        mode: str | None = None,
        thought_level: str | None = None,
        permission_policy: Policy | None = None,
    ) -> SessionInfo:
        """Change what is given; the answer tells the values in force."""
        request = update_request(
            title=title, model=model, mode=mode, thought_level=thought_level, permission_policy=permission_policy
        )
        self._info = self._driver.run(perform(api.update_session(self.id, request)))
        return self._info

    def set_model(self, model: str) -> SessionInfo:
        return self.update(model=model)

    def set_mode(self, mode: str) -> SessionInfo:
        return self.update(mode=mode)

    def set_thought_level(self, thought_level: str) -> SessionInfo:
        return self.update(thought_level=thought_level)

    def fork(self, *, title: str | None = None, id: str | None = None) -> Session:  # noqa: A002 - the wire's name
        """A new session that goes on from where this one stands; each goes its own way from there.

        ``info.continuity`` says how its agent knows of the past: ``native`` when it forked its own session,
        ``rebootstrapped`` when it was told the transcript. Raises :class:`Conflict` while a prompt runs.
        """
        request = SessionForkRequest(id=id, title=title)
        info = self._driver.run(programs.fork_session(self.id, request))
        return Session(self._driver, info, give_up_after=self._give_up_after)

    def destroy(self) -> None:
        """End the session and forget it, with its transcript."""
        self._driver.run(programs.destroy_session(self.id))


class PromptHandle:
    """A prompt that was handed over."""

    def __init__(self, session: Session, info: PromptInfo) -> None:
        self.session = session
        self._info = info

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def info(self) -> PromptInfo:
        """The prompt as it was when last heard of; :meth:`refresh` asks."""
        return self._info

    @property
    def done(self) -> bool:
        return self._info.done

    def refresh(self) -> PromptInfo:
        """Ask the server how far it is."""
        self._info = self.session._driver.run(perform(api.prompt(self.session.id, self.id)))  # noqa: SLF001
        return self._info

    def wait(self, timeout: float | None = None, *, check: bool = True) -> PromptResult:
        """Wait for the end of the turn, as :meth:`Session.prompt` does; an interrupt leaves the turn running."""
        program = programs.wait(self.session.id, self._info, timeout=timeout, check=check)
        result = self.session._driver.run(program)  # noqa: SLF001
        self._info = result.info
        return result

    def cancel(self) -> PromptInfo:
        """End this turn, or take the prompt out of the queue."""
        self._info = self.session._driver.run(programs.cancel_prompt(self.session.id, self.id))  # noqa: SLF001
        return self._info

    def events(self) -> Stream[SessionEvent]:
        """The events of this turn as they come; ends when it does."""
        return self.session._driver.iterate(programs.turn_events(self.session.id, self._info))  # noqa: SLF001

    def follow_transcript(self) -> Stream[TranscriptChange]:
        """The session's transcript as it grows, until this turn ends."""
        return self.session.follow_transcript(turn=self.id)

    def __repr__(self) -> str:
        return f"<PromptHandle {self.id} {self._info.state}>"

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.prompt_html(self._info)

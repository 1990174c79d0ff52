"""What the client does beyond one request: creating once, waiting for a prompt, watching permissions (pure)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from sandbox_agent.client import api
from sandbox_agent.client.calls import BRIEF, FOREVER, gone, perform
from sandbox_agent.client.effects import Emit, Interrupted, Sleep, TransportFault, now
from sandbox_agent.client.errors import PromptTimeout, ServerUnreachable
from sandbox_agent.client.results import (
    PermissionList,
    PromptResult,
)
from sandbox_agent.client.states import ENDED, EventsState, PermissionsState, TranscriptState, TurnState, reset_event
from sandbox_agent.client.stream import follow
from sandbox_agent.problems import (
    Conflict,
    SandboxAgentError,
    SessionAlreadyExists,
    from_document,
)
from sandbox_agent.wire.sessions import PermissionAnswer, PromptRequest, SessionUpdateRequest
from sandbox_agent.wire.transcript import TurnItem

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.client.effects import Program, Source
    from sandbox_agent.client.results import (
        PermissionInfo,
        PromptInfo,
        SessionEvent,
        SessionInfo,
        TranscriptChange,
    )
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import SessionCreateRequest, SessionForkRequest

HOLD: Final = 20.0
"""Seconds a server is asked to hold a wait: under the idle limit of common proxies (60 s)."""

CANCEL_PATIENCE: Final = 3.0
"""Seconds for which an interrupted call tries to cancel its turn: the user waits for it."""


def create_session(request: SessionCreateRequest) -> Program[SessionInfo]:
    """Create one session, also when an answer is lost on the way.

    Only an id that the client made up by itself may be found there already: it is then this very session.
    """
    if request.id is not None:
        return (yield from perform(api.create_session(request, repeatable=False)))
    request = msgspec.structs.replace(request, id=f"ses_{secrets.token_hex(10)}")
    try:
        return (yield from perform(api.create_session(request, repeatable=True)))
    except SessionAlreadyExists:
        return (yield from perform(api.session(str(request.id))))


def fork_session(session_id: str, request: SessionForkRequest) -> Program[SessionInfo]:
    """Fork a session once, also when an answer is lost on the way; see `create_session`."""
    if request.id is not None:
        return (yield from perform(api.fork_session(session_id, request, repeatable=False)))
    request = msgspec.structs.replace(request, id=f"ses_{secrets.token_hex(10)}")
    try:
        return (yield from perform(api.fork_session(session_id, request, repeatable=True)))
    except SessionAlreadyExists:
        return (yield from perform(api.session(str(request.id))))


def resume_session(session_id: str) -> Program[SessionInfo]:
    """Read a session and bring its agent back if that has ended.

    Asking for an option's present value makes the server restore the agent. One without options comes back with the
    next prompt.
    """
    info = yield from perform(api.session(session_id))
    running = yield from perform(api.acp_servers())
    if info.state == "ended" or any(server.server_id == session_id for server in running.servers):
        return info
    if info.mode is not None:
        again = SessionUpdateRequest(mode=info.mode)
    elif info.model is not None:
        again = SessionUpdateRequest(model=info.model)
    else:
        return info
    return (yield from perform(api.update_session(session_id, again)))


def destroy_session(session_id: str) -> Program[None]:
    """End and forget a session."""
    yield from gone(api.destroy_session(session_id))


def answer(session_id: str, request_id: str, choice: str) -> Program[PermissionInfo]:
    """Answer a permission request by reply (``once``, ``always``, ``reject``) or by one of its option ids.

    Raises :class:`Conflict` when somebody else was first; asking again for a lost answer of our own does not.
    """
    body = to_answer(choice)
    try:
        return (yield from perform(api.answer(session_id, request_id, body, repeatable=False)))
    except ServerUnreachable:
        try:
            return (yield from perform(api.answer(session_id, request_id, body, repeatable=True)))
        except Conflict:
            listing = yield from perform(api.permissions(session_id))
            mine = next((p for p in listing.items if p.id == request_id), None)
            if mine is not None and choice in {mine.reply, mine.option_id}:
                return mine
            raise


def to_answer(choice: str) -> PermissionAnswer:
    """The wire's answer for a reply or an option id."""
    replies: tuple[Literal["once"], Literal["always"], Literal["reject"]] = ("once", "always", "reject")
    for reply in replies:
        if choice == reply:
            return PermissionAnswer(reply=reply)
    return PermissionAnswer(option_id=choice)


def prompt(
    session_id: str,
    content: str | tuple[JsonObject, ...],
    *,
    key: str,
    timeout: float | None,
    listen: bool,
    check: bool,
) -> Program[PromptResult]:
    """Run a prompt to its end; with ``listen`` emit its events.

    However often a request is lost and sent again, ``key`` makes it one turn. When interrupted, the turn is
    cancelled and the session stays.
    """
    started = yield from now()
    deadline = None if timeout is None else started + timeout
    posted: PromptInfo | None = None
    try:
        before = (yield from perform(api.session(session_id))).last_sequence if listen else 0
        hold = 0.0 if listen else _hold(deadline, started)
        request = api.post_prompt(session_id, PromptRequest(prompt=content), key=key, hold=hold)
        posted = yield from perform(request, patience=BRIEF if timeout is None else min(BRIEF, timeout))
        if listen:
            yield from _relay_turn(session_id, posted, before, deadline)
        return (yield from finish(session_id, posted, timeout=timeout, deadline=deadline, check=check))
    except (Interrupted, KeyboardInterrupt):
        yield from _abandon(session_id, posted, key)
        raise


def submit(session_id: str, content: str | tuple[JsonObject, ...], *, key: str) -> Program[PromptInfo]:
    """Hand a prompt over and return at once."""
    return (yield from perform(api.post_prompt(session_id, PromptRequest(prompt=content), key=key, hold=0.0)))


def wait(session_id: str, posted: PromptInfo, *, timeout: float | None, check: bool) -> Program[PromptResult]:
    """Wait for a prompt that was handed over. When interrupted the turn goes on."""
    deadline = None if timeout is None else (yield from now()) + timeout
    return (yield from finish(session_id, posted, timeout=timeout, deadline=deadline, check=check))


def finish(
    session_id: str, info: PromptInfo, *, timeout: float | None, deadline: float | None, check: bool
) -> Program[PromptResult]:
    """Wait for the end of a prompt, then fetch its part of the transcript."""
    info = yield from _until_done(session_id, info, deadline)
    if not info.done:
        raise PromptTimeout(info, timeout or 0.0)
    if check and info.state == "failed":
        raise failure(info)
    transcript = yield from perform(api.transcript(session_id), patience=FOREVER if deadline is None else BRIEF)
    return PromptResult(info, transcript.turn(info.id))


def failure(info: PromptInfo) -> SandboxAgentError:
    """The typed error of a failed prompt, with ``promptId`` and ``sessionId`` among its extensions."""
    document = dict(info.error or {"detail": f"prompt {info.id} failed"})
    status = document.get("status")
    document = {"promptId": info.id, "sessionId": info.session_id, "stopReason": info.stop_reason} | document
    return from_document(status if isinstance(status, int) else 500, document)


def _until_done(session_id: str, info: PromptInfo, deadline: float | None) -> Program[PromptInfo]:
    pause = 0.02
    while not info.done:
        asked = yield from now()
        if deadline is not None and asked >= deadline:
            return info
        hold = _hold(deadline, asked)
        patience = FOREVER if deadline is None else deadline - asked
        info = yield from perform(api.prompt(session_id, info.id, hold=hold), patience=patience)
        took = (yield from now()) - asked
        if not info.done and took < hold / 2:
            # Something on the way does not hold requests: ask at growing intervals instead.
            yield Sleep(pause if deadline is None else min(pause, max(0.0, deadline - asked)))
            pause = min(pause * 2, 1.0)
    return info


def _hold(deadline: float | None, at: float) -> float:
    return HOLD if deadline is None else max(0.0, min(HOLD, deadline - at))


def _relay_turn(session_id: str, posted: PromptInfo, before: int, deadline: float | None) -> Program[None]:
    after = before if posted.first_sequence is None else posted.first_sequence - 1

    def relay(event: SessionEvent) -> Program[bool]:
        yield Emit((event,))
        if not event.is_reset:
            return False
        info = yield from perform(api.prompt(session_id, posted.id))
        return info.done

    yield from each(follow(TurnState(session_id, after, posted.id), until=deadline), relay)


def _abandon(session_id: str, posted: PromptInfo | None, key: str) -> Program[None]:
    """Cancel what an interrupted call started, if it started; the interrupt matters more than a failure here."""
    try:
        if posted is None:
            posted = next((p for p in (yield from prompts(session_id)) if p.idempotency_key == key), None)
        if posted is not None:
            yield from cancel_prompt(session_id, posted.id, patience=CANCEL_PATIENCE)
    except SandboxAgentError:
        return


def cancel_prompt(session_id: str, prompt_id: str, patience: float | None = BRIEF) -> Program[PromptInfo]:
    """End a prompt that has not ended; the server ends what runs and what is queued with it."""
    info = yield from perform(api.prompt(session_id, prompt_id), patience)
    if not info.done:
        yield from perform(api.cancel(session_id), patience)
        info = yield from perform(api.prompt(session_id, prompt_id), patience)
    return info


def prompts(session_id: str) -> Program[list[PromptInfo]]:
    """All prompts of a session."""
    found: list[PromptInfo] = []
    cursor: str | None = None
    while True:
        page = yield from perform(api.prompts(session_id, cursor=cursor))
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


def turn_events(session_id: str, posted: PromptInfo) -> Source:
    """Emit the events of one prompt's turn, from its first, until it ends."""
    yield from _relay_turn(session_id, posted, 0, None)


def event_pages(session_id: str, after: int | None, limit: int | None) -> Source:
    """Emit all events there are now, page by page; after ``None``, which is now, there are none."""
    while after is not None:
        page = yield from perform(api.event_page(session_id, after=after, limit=limit))
        if page.reset and page.items and page.items[0].sequence > after + 1:
            yield Emit((reset_event(session_id, after, page.items[0].sequence),))
        if page.items:
            yield Emit(page.items)
        if not page.has_more or page.next_after <= after:
            return
        after = page.next_after


def events(session_id: str, after: int | None, give_up_after: float | None) -> Source:
    """Emit events after ``after`` (``None``: from now on) as they come, without end."""
    if after is None:
        after = (yield from perform(api.session(session_id))).last_sequence
    yield from follow(EventsState(session_id, after), give_up_after=give_up_after)


def transcript_changes(session_id: str, turn: str | None, give_up_after: float | None) -> Source:
    """Emit the transcript as it grows, without end, or with ``turn`` until that prompt's turn has ended.

    A turn's item may say that it ended before the server has judged how (an empty answer is a failure), so the end
    is where item and prompt agree.
    """
    source = follow(TranscriptState(session_id), give_up_after=give_up_after)
    if turn is None:
        yield from source
        return

    def relay(change: TranscriptChange) -> Program[bool]:
        yield Emit((change,))
        mine = next((i for i in change.changed if isinstance(i, TurnItem) and i.turn == turn), None)
        if mine is None or mine.state not in ENDED:
            return False
        info = yield from perform(api.prompt(session_id, turn), patience=FOREVER)
        return info.state == mine.state

    yield from each(source, relay)


def pending_permissions(session_id: str) -> Source:
    """Emit each permission request that waits for an answer, once; those that wait already first. Without end."""
    seen: set[str] = set()
    info = yield from perform(api.session(session_id), patience=FOREVER)

    def look(_event: SessionEvent | None) -> Program[bool]:
        listing = yield from perform(api.permissions(session_id), patience=FOREVER)
        fresh = tuple(p for p in PermissionList(listing.items).pending if p.id not in seen)
        seen.update(p.id for p in fresh)
        if fresh:
            yield Emit(fresh)
        return False

    yield from look(None)
    yield from each(follow(PermissionsState(session_id, info.last_sequence)), look)


def each(source: Source, visit: Callable[[Any], Program[bool]]) -> Program[None]:
    """Run ``visit`` on every value ``source`` emits, until one answers ``True``; other effects pass through."""
    try:
        effect = next(source)
        while True:
            if isinstance(effect, Emit):
                for value in effect.values:
                    if (yield from visit(value)):
                        return
                effect = source.send(None)
                continue
            try:
                outcome = yield effect
            except (TransportFault, SandboxAgentError, Interrupted) as error:
                effect = source.throw(error)
            else:
                effect = source.send(outcome)
    except StopIteration:
        return
    finally:
        source.close()

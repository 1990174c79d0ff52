"""The reducer: a session's journal folded into its transcript.

``Fold`` is pure (no clock, no I/O) and is the only place that interprets ACP updates; every view renders its items.
Entries may come from a session's journal (with the server's own ``_session/*`` notes) or from a raw recording.

What the protocol leaves open, and what is done here:

- A message ends where another item begins, where ``messageId`` changes, or where its speaker changes. Changes of items
  that were there before do not cut it.
- A call that is open when its turn ends is closed: ``failed`` when the turn failed, else ``cancelled``. After a turn
  that ended well too: nobody told that the call was done, so nothing claims it. What the agent says later wins.
- Permissions are told by ``_session/permission``; the agent's own request only names its tool call.
- A content block of a prompt with ``_meta.sandboxAgentPriming`` is how a new agent process is told the past; it is
  left out of the user's message.
- Turns that failed without saying so: see ``fold_faults``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.sessions.fold_entries import decode, decode_chunk, objects_of, request_key, text_of
from sandbox_agent.sessions.fold_faults import private_notice, usage_of
from sandbox_agent.sessions.fold_items import Items, ItemsState, Moment, common
from sandbox_agent.sessions.fold_notes import Header, Notes, options_notice, permission_item, restored_notice
from sandbox_agent.sessions.fold_tools import Tools, ToolsState
from sandbox_agent.sessions.fold_turns import Turns, TurnsState
from sandbox_agent.wire.transcript import MessageItem, PlanItem, Transcript, TranscriptUpsert, UnknownItem

if TYPE_CHECKING:
    from sandbox_agent.sessions.fold_items import Speaker
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.sessions import PromptState
    from sandbox_agent.wire.transcript import TranscriptItem, TurnItem

AGENT, CLIENT, SERVER = 0, 1, 2
"""The journal's senders (``sandbox_agent.journal.Sender``), by value."""

_SPEAKERS: dict[str, Speaker] = {
    "agent_message_chunk": "agent",
    "agent_thought_chunk": "thought",
    "user_message_chunk": "user",
}
_OPENINGS = ("Info: ", "Warning: ", "Error: ")


_VERSION = 1


class _State(msgspec.Struct):
    version: int
    sequence: int
    header: Header
    header_updated: int
    items: ItemsState
    tools: ToolsState
    turns: TurnsState
    prompts: dict[str, str]
    asked: dict[str, tuple[str, str | None]]
    banner: str | None


class Fold:
    """Accumulates journal entries; ``snapshot`` and ``since`` give frozen items, unchanged ones being the same objects.

    ``apply`` takes entries in order. ``state`` is a checkpoint: ``Fold(session_id, state=...)`` goes on exactly where
    it was taken. One of another version cannot be read: the fold then starts anew, at ``sequence`` 0.
    """

    def __init__(self, session_id: str, agent: str | None = None, state: bytes | None = None) -> None:
        self.session_id = session_id
        self.agent = agent
        kept = _restored(state) if state else None
        self.sequence = kept.sequence if kept else 0
        self.header_updated = kept.header_updated if kept else 0
        self._header = kept.header if kept else Header()
        self._items = Items(kept.items if kept else None)
        self._tools = Tools(self._items, kept.tools if kept else None)
        self._notes = Notes(self._items, kept.banner if kept else None)
        self._turns = Turns(self._items, self._tools, self._notes, kept.turns if kept else None)
        self._prompts: dict[str, str] = kept.prompts if kept else {}
        self._asked: dict[str, tuple[str, str | None]] = kept.asked if kept else {}

    def apply(self, sequence: int, created_ms: int, sender: int, payload: bytes) -> None:
        """Fold one entry. An entry that cannot be read changes nothing."""
        self.sequence = sequence
        if sender == AGENT and b'_chunk"' in payload and self._grow(sequence, payload):
            return
        message = decode(payload)
        if message is None:
            return
        at = Moment(sequence, created_ms, self._turns.current)
        method = message.get("method")
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        if sender == AGENT:
            self._from_agent(at, method, params, message)
        elif sender == CLIENT:
            self._from_client(at, method, params, message)
        elif isinstance(method, str):
            self._from_server(at, method, params)

    def snapshot(self) -> Transcript:
        """The whole transcript."""
        self._tools.settle()
        return self._transcript(self._items.ordered())

    def since(self, sequence: int) -> list[TranscriptItem]:
        """The items that changed after ``sequence``, in their order."""
        self._tools.settle()
        return self._items.since(sequence)

    def changes(self, sequence: int) -> TranscriptUpsert | None:
        """What changed after ``sequence``; None where nothing did that shows."""
        items = tuple(self.since(sequence))
        header = self._transcript([]) if self.header_updated > sequence else None
        return TranscriptUpsert(sequence=self.sequence, items=items, header=header) if items or header else None

    def turn(self, prompt_id: str) -> TurnItem | None:
        """The turn of a prompt as it stands."""
        return self._turns.item(prompt_id)

    def state(self) -> bytes:
        """A checkpoint."""
        return msgspec.json.encode(
            _State(
                version=_VERSION,
                sequence=self.sequence,
                header=self._header,
                header_updated=self.header_updated,
                tools=self._tools.state(),
                items=self._items.state(),
                turns=self._turns.state(),
                prompts=self._prompts,
                asked=self._asked,
                banner=self._notes.banner,
            )
        )

    def _transcript(self, items: list[TranscriptItem]) -> Transcript:
        header = self._header
        return Transcript(
            session_id=self.session_id,
            sequence=self.sequence,
            items=tuple(items),
            agent=self.agent,
            title=header.title,
            usage=header.usage,
            available_commands=tuple(header.available_commands),
            config_options=tuple(header.config_options),
            mode=header.mode,
            model=header.model,
            thought_level=header.thought_level,
        )

    # -- the agent -----------------------------------------------------------------------------------------------

    def _grow(self, sequence: int, payload: bytes) -> bool:
        """The path of nearly all entries: text added to the message that is growing. False: not that."""
        try:
            update = decode_chunk(payload).params.update
        except msgspec.DecodeError:
            return False
        stream = self._items.stream
        text = update.content.text
        if (
            stream is None
            or stream.message_id != update.message_id
            or stream.speaker == "user"
            or _SPEAKERS.get(update.session_update) != stream.speaker
            or update.meta is not msgspec.UNSET
            or update.content.type != "text"
            or stream.turn != self._turns.current
            or (text.startswith(_OPENINGS) and stream.ends_in_word())
        ):
            return False
        stream.text(text)
        stream.updated = sequence
        self._items.touch(stream.id)
        return True

    def _from_agent(self, at: Moment, method: Any, params: JsonObject, message: JsonObject) -> None:
        if method == "session/update":
            update = params.get("update")
            if isinstance(update, dict):
                self._update(at, update)
        elif method == "session/request_permission":
            call = params.get("toolCall")
            if isinstance(call, dict):
                self._turns.acted()
                self._tools.requested(at, call)
        elif isinstance(method, str):
            if "id" in message:
                terminal = params.get("terminalId")
                self._asked[request_key(message["id"])] = (method, terminal if isinstance(terminal, str) else None)
            elif text := private_notice(method, params):
                if (turn := self._turns.now()) is not None:
                    turn.fault = text
                self._notes.add(at, "warning", text)
        elif "id" in message:
            self._answered(at, message)

    def _answered(self, at: Moment, message: JsonObject) -> None:
        """The agent's response to a request of ours."""
        result, error = message.get("result"), message.get("error")
        if isinstance(result, dict):
            self._options(at, result)
        prompt_id = self._prompts.pop(request_key(message["id"]), None)
        if prompt_id is None:
            return
        if isinstance(error, dict):
            self._turns.end(at, prompt_id, "failed", error=error)
            return
        result = result if isinstance(result, dict) else {}
        reason = result.get("stopReason")
        reason = reason if isinstance(reason, str) else None
        state: PromptState = "cancelled" if reason == "cancelled" else "completed"
        self._turns.end(at, prompt_id, state, stop_reason=reason, usage=usage_of(result))

    def _update(self, at: Moment, update: JsonObject) -> None:
        kind = update.get("sessionUpdate")
        header = self._header
        if kind in _SPEAKERS:
            self._chunk(at, _SPEAKERS[kind], update)
        elif kind in {"tool_call", "tool_call_update"}:
            self._turns.acted()
            self._tools.update(at, update)
        elif kind in {"plan", "plan_update", "plan_removed"}:
            self._turns.acted()
            self._plan(at, update)
        elif kind == "usage_update":
            self._change(at, usage={key: value for key, value in update.items() if key != "sessionUpdate"})
        elif kind == "available_commands_update":
            self._change(at, available_commands=objects_of(update.get("availableCommands")))
        elif kind == "session_info_update":
            self._change(at, title=text_of(update.get("title")) or header.title)
        elif kind in {"current_mode_update", "config_option_update"}:
            self._options(at, update)
        else:
            self._turns.answered()
            self._items.close_stream()
            self._items.put(UnknownItem(id=f"unknown:{at.sequence}", update=update, **common(at)))

    def _chunk(self, at: Moment, speaker: Speaker, update: JsonObject) -> None:
        block, meta = update.get("content"), update.get("_meta")
        block = block if isinstance(block, dict) else {"type": "text", "text": text_of(block) or ""}
        turn = self._turns.now()
        if turn is not None and isinstance(meta, dict) and isinstance(meta.get("usage"), dict):
            turn.usage = meta["usage"]
        if block.get("type") == "text" and not block.get("text"):
            return
        if speaker == "user":
            if turn is not None and turn.swallow(block):
                return
        elif self._notes.informational(at, meta, block):
            return
        else:
            self._turns.answered()
        message_id = text_of(update.get("messageId"))
        stream = self._items.stream
        if (
            stream is None
            or (stream.speaker, stream.message_id, stream.turn) != (speaker, message_id, at.turn)
            or (stream.ends_in_word() and str(block.get("text", "")).startswith(_OPENINGS))
        ):
            stream = self._items.open_stream(at, speaker, message_id)
        stream.block(block)
        stream.updated = at.sequence
        self._items.touch(stream.id)

    def _plan(self, at: Moment, update: JsonObject) -> None:
        """One item a turn and plan, replaced as a whole; plans may also be text or a file (``plan_update``)."""
        told = update.get("plan")
        plan: JsonObject = told if isinstance(told, dict) else update
        plan_id = text_of(plan.get("planId"))
        item_id = ":".join(filter(None, ("plan", at.turn or "", plan_id)))
        known = self._items.get(item_id)
        item = known if isinstance(known, PlanItem) else PlanItem(id=item_id, entries=(), **common(at))
        removed = update.get("sessionUpdate") == "plan_removed"
        item = msgspec.structs.replace(
            item,
            updated=at.sequence,
            entries=item.entries if removed else tuple(objects_of(plan.get("entries"))),
            markdown=item.markdown if removed else text_of(plan.get("content")),
            uri=item.uri if removed else text_of(plan.get("uri")),
            removed=removed,
        )
        if known is None:
            self._items.close_stream()
        self._items.put(item)

    def _options(self, at: Moment, told: JsonObject) -> None:
        """Modes and options, wherever they are told: updates, answers to ``session/new`` and to settings."""
        options = told.get("configOptions")
        modes = told.get("modes")
        mode = text_of(told.get("currentModeId")) or text_of(
            modes.get("currentModeId") if isinstance(modes, dict) else None
        )
        if isinstance(options, list):
            self._change(at, config_options=objects_of(options))
            mode = mode or next((text_of(o.get("currentValue")) for o in options if _is_mode(o)), None)
        if mode and mode != self._header.mode:
            if self._header.mode is not None:
                self._notes.add(at, "info", f"Mode: {mode}")
            self._change(at, mode=mode)

    # -- the client ----------------------------------------------------------------------------------------------

    def _from_client(self, at: Moment, method: Any, params: JsonObject, message: JsonObject) -> None:
        if method == "session/prompt":
            self._prompt(at, params, message.get("id"))
        elif method is None and "id" in message:
            self._client_answered(at, message)

    def _prompt(self, at: Moment, params: JsonObject, request_id: Any) -> None:
        meta = params.get("_meta")
        prompt_id = text_of(meta.get("promptId")) if isinstance(meta, dict) else None
        if prompt_id is None:
            running = self._turns.now()
            prompt_id = running.id if running is not None and not running.prompted else f"turn-{at.sequence}"
        self._prompts[request_key(request_id)] = prompt_id
        blocks = [block for block in objects_of(params.get("prompt")) if not _is_priming(block)]
        turn = self._turns.begin(at, prompt_id)
        if turn is None or turn.prompted:
            return
        turn.prompt(blocks)
        at = at._replace(turn=prompt_id)
        self._items.close_stream()
        self._items.put(MessageItem(id=f"user:{prompt_id}", role="user", content=tuple(blocks), **common(at)))

    def _client_answered(self, at: Moment, message: JsonObject) -> None:
        """The client's answer to the agent: what its terminals said."""
        method, terminal = self._asked.pop(request_key(message["id"]), ("", None))
        result = message.get("result")
        if terminal is None or not isinstance(result, dict):
            return
        status = result if method == "terminal/wait_for_exit" else result.get("exitStatus")
        if method == "terminal/output" and isinstance(result.get("output"), str):
            truncated = result.get("truncated") is True
            self._tools.replace_output(at, terminal, result["output"], truncated=truncated)
        if method in {"terminal/output", "terminal/wait_for_exit"} and isinstance(status, dict):
            self._tools.exited(at, terminal, {"exitCode": status.get("exitCode"), "signal": status.get("signal")})

    # -- the server ----------------------------------------------------------------------------------------------

    def _from_server(self, at: Moment, method: str, params: JsonObject) -> None:
        if method == "_session/turn":
            self._told_turn(at, params)
        elif method == "_session/permission":
            if request_id := text_of(params.get("requestId")):
                self._told_permission(at, request_id, params)
        elif method == "_session/options":
            text = options_notice(self._header, params)
            self._change(
                at, **{key: text_of(params.get(key)) or getattr(self._header, key) for key in ("model", "mode")}
            )
            self._change(at, thought_level=text_of(params.get("thoughtLevel")) or self._header.thought_level)
            if text:
                self._notes.add(at, "info", text)
        elif method == "_session/restored":
            self._prompts.clear()
            self._asked.clear()
            self._notes.add(at, *restored_notice(params))
        elif method == "_session/notice":
            self._notes.told(at, params)
        elif method == "_adapter/agent_exited":
            self._exited(at, params)
        elif method == "_adapter/invalid_stdout":
            self._notes.invalid_line(at, params)

    def _told_turn(self, at: Moment, params: JsonObject) -> None:
        prompt_id, state = text_of(params.get("promptId")), params.get("state")
        if prompt_id is None:
            return
        if state == "running":
            self._turns.begin(at, prompt_id)
        elif state in {"completed", "cancelled", "failed"}:
            usage, error = params.get("usage"), params.get("error")
            self._turns.end(
                at,
                prompt_id,
                state,
                stop_reason=text_of(params.get("stopReason")),
                usage=usage if isinstance(usage, dict) else None,
                error=error if isinstance(error, dict) else None,
            )

    def _told_permission(self, at: Moment, request_id: str, params: JsonObject) -> None:
        self._turns.acted()
        known = self._items.get(f"permission:{request_id}")
        call = params.get("toolCall")
        if known is None:
            if isinstance(call, dict):
                self._tools.requested(at, call)
            self._items.close_stream()
        self._items.put(permission_item(known, request_id, params, common(at)))

    def _exited(self, at: Moment, params: JsonObject) -> None:
        running = self._turns.now()
        text, detail = self._notes.exited(at, params, busy=running is not None)
        if running is not None:
            running.exited = True
            told = {key: params[key] for key in ("code", "signal") if params.get(key) is not None}
            error = {"message": text, **told} | ({"stderr": detail} if detail else {})
            self._turns.end(at, running.id, "failed", stop_reason="agent_exited", error=error)
        self._tools.close(at, None, "failed")
        self._prompts.clear()
        self._asked.clear()

    def _change(self, at: Moment, **values: Any) -> None:
        header = self._header
        for key, value in values.items():
            if getattr(header, key) != value:
                setattr(header, key, value)
                self.header_updated = at.sequence


def _restored(state: bytes) -> _State | None:
    try:
        kept = msgspec.json.decode(state, type=_State)
    except msgspec.DecodeError:
        return None
    return kept if kept.version == _VERSION else None


def _is_mode(option: Any) -> bool:
    return isinstance(option, dict) and "mode" in {option.get("category"), option.get("id")}


def _is_priming(block: JsonObject) -> bool:
    meta = block.get("_meta")
    return isinstance(meta, dict) and meta.get("sandboxAgentPriming") is True

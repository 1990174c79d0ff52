"""The model over its providers' APIs: what an agent's request says, and the events of a streamed answer."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from .model import Call, Heard, Tool

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from .model import Say

    Answer: TypeAlias = Iterator[tuple[str | None, Any]]
    """Server-sent events: their name if they have one, and their data."""


@dataclass(frozen=True)
class Dialect:
    """``write`` takes what to answer, a number that is in no other answer, and the event that ends endless ones."""

    hear: Callable[[Mapping[str, Any]], Heard]
    write: Callable[[Say | Call, int, threading.Event], Answer]


def plain(content: Any) -> str:
    """The text of a message's content, without what agents wrap around it."""
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content)
    text = re.sub(r"<system-reminder>.*?</system-reminder>", "", str(content or ""), flags=re.DOTALL)
    return text.strip().strip('"')


def picture(content: Any) -> bytes | None:
    """The first picture in a message's content, wherever it is: as a URL of data, or as its base64 alone."""
    if isinstance(content, str):
        head, comma, data = content.partition(";base64,")
        return base64.b64decode(data) if comma and head.startswith("data:image/") else None
    if isinstance(content, dict):
        if content.get("type") == "base64" or str(content.get("mimeType")).startswith("image/"):
            return base64.b64decode(content["data"])
        content = list(content.values())
    parts = content if isinstance(content, list) else []
    return next((found for part in parts if (found := picture(part))), None)


def fields(schema: Mapping[str, Any] | None) -> frozenset[str]:
    """The members of an object that a JSON schema names."""
    return frozenset((schema or {}).get("properties") or ())


def words(action: Say, ended: threading.Event) -> Iterator[str]:
    if action.delay:
        ended.wait(action.delay)
    yield from action.pieces
    while action.endless and not ended.wait(0.1):
        yield "word "


def hear_chat(body: Mapping[str, Any]) -> Heard:
    messages = body["messages"]
    last = messages[-1]
    said = [message["content"] for message in messages if message["role"] == "user"]
    return Heard(
        model=body["model"],
        users=tuple(plain(content) for content in said if picture(content) is None),  # some let those of tools follow
        result=plain(last["content"]) if last["role"] == "tool" else None,
        picture=picture(last["content"]),
        tools=tuple(
            Tool(tool["function"]["name"], fields(tool["function"].get("parameters")))
            for tool in body.get("tools") or ()
        ),
    )


def write_chat(action: Say | Call, number: int, ended: threading.Event) -> Answer:
    """A streamed chat completion."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> tuple[None, dict[str, Any]]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = {"id": f"chat-{number}", "object": "chat.completion.chunk", "created": 1, "model": "stub-model"}
        return None, {**head, "choices": [choice], **more}

    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    yield chunk({"role": "assistant", "content": ""})
    if isinstance(action, Call):
        function = {"name": action.tool.name, "arguments": json.dumps(action.arguments)}
        yield chunk({"tool_calls": [{"index": 0, "id": f"call_{number}", "type": "function", "function": function}]})
        yield chunk({}, "tool_calls", usage=usage)
    else:
        for word in words(action, ended):
            yield chunk({"content": word})
        yield chunk({}, "stop", usage=usage)
    yield None, "[DONE]"


def hear_messages(body: Mapping[str, Any]) -> Heard:
    sent = [message["content"] for message in body["messages"] if message["role"] == "user"]
    last = sent[-1] if isinstance(sent[-1], list) else []
    results = [plain(block.get("content")) for block in last if block.get("type") == "tool_result"]
    return Heard(
        model=body["model"],
        users=tuple(text for content in sent if (text := plain(content))),
        result=results[-1] if results else None,
        picture=picture(last),
        tools=tuple(Tool(tool["name"], fields(tool.get("input_schema"))) for tool in body.get("tools") or ()),
    )


def write_messages(action: Say | Call, number: int, ended: threading.Event) -> Answer:
    """A streamed message."""

    def event(kind: str, **members: Any) -> tuple[str, dict[str, Any]]:
        return kind, {"type": kind, **members}

    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-stub", "content": []}
    usage = {"input_tokens": 10, "output_tokens": 5}
    yield event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})
    if isinstance(action, Call):
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": action.tool.name, "input": {}}
        yield event("content_block_start", index=0, content_block=block)
        delta = {"type": "input_json_delta", "partial_json": json.dumps(action.arguments)}
        yield event("content_block_delta", index=0, delta=delta)
    else:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in words(action, ended):
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    reason = "tool_use" if isinstance(action, Call) else "end_turn"
    yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
    yield event("message_stop")


def hear_responses(body: Mapping[str, Any]) -> Heard:
    items = body["input"]
    last = items[-1]
    found = [tool for item in items if item.get("type") == "tool_search_output" for tool in item["tools"]]
    tools: list[Tool] = []
    for tool in (*found, *(body.get("tools") or ())):
        kind, names = tool["type"], fields(tool.get("parameters"))
        if kind == "namespace":
            tools += [Tool(inner["name"], fields(inner["parameters"]), tool["name"]) for inner in tool["tools"]]
        elif kind in {"function", "custom", "tool_search"}:
            name = tool.get("name", "search")
            tools.append(Tool(name, names, free=kind == "custom", search=kind == "tool_search"))
    return Heard(
        model=body["model"],
        users=tuple(plain(item["content"]) for item in items if item.get("role") == "user"),
        result=plain(last["output"]) if str(last.get("type")).endswith("_call_output") else None,
        picture=picture(last.get("output")),
        tools=tuple(tools),
    )


def write_responses(action: Say | Call, number: int, ended: threading.Event) -> Answer:
    """A streamed response of one item."""

    def event(kind: str, **members: Any) -> tuple[str, dict[str, Any]]:
        return kind, {"type": kind, **members}

    response = {"id": f"resp_{number}", "object": "response", "created_at": 1, "model": "stub", "output": []}
    yield event("response.created", response={**response, "status": "in_progress"})
    place = {"output_index": 0, "item_id": f"item_{number}", "content_index": 0}
    if isinstance(action, Call):
        head = {"id": f"item_{number}", "call_id": f"call_{number}", "name": action.tool.name, "status": "completed"}
        if action.tool.namespace:
            head["namespace"] = action.tool.namespace
        kind: dict[str, Any] = {"type": "custom_tool_call", "input": action.text}
        if not action.tool.free:
            kind = {"type": "function_call", "arguments": json.dumps(action.arguments)}
        if action.tool.search:
            kind = {"type": "tool_search_call", "execution": "client", "arguments": action.arguments}
        item: dict[str, Any] = {**head, **kind}
        yield event("response.output_item.added", output_index=0, item=item)
    else:
        head = {"id": f"item_{number}", "type": "message", "role": "assistant"}
        yield event("response.output_item.added", output_index=0, item={**head, "content": [], "status": "in_progress"})
        said = ""
        for word in words(action, ended):
            said += word
            yield event("response.output_text.delta", **place, delta=word)
        item = {**head, "status": "completed", "content": [{"type": "output_text", "text": said, "annotations": []}]}
    yield event("response.output_item.done", output_index=0, item=item)
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    done = {**response, "status": "completed", "output": [item], "usage": {**usage, **details}}
    yield event("response.completed", response=done)


def hear_gemini(body: Mapping[str, Any]) -> Heard:
    contents = body["contents"]
    answers = [part["functionResponse"] for part in contents[-1]["parts"] if "functionResponse" in part]
    declared = [tool.get("functionDeclarations") or () for tool in body.get("tools") or ()]
    return Heard(
        model=body["model"],
        users=tuple(text for turn in contents if turn.get("role", "user") == "user" and (text := plain(turn["parts"]))),
        result=json.dumps(answers[-1]["response"]) if answers else None,
        picture=picture(contents[-1]["parts"]),
        tools=tuple(Tool(function["name"]) for functions in declared for function in functions),
    )


def write_gemini(action: Say | Call, number: int, ended: threading.Event) -> Answer:
    """A streamed list of candidates."""

    def piece(part: dict[str, Any], finish: str | None = None) -> tuple[None, dict[str, Any]]:
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [part]}}
        counts = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        head = {"responseId": f"resp-{number}", "modelVersion": "stub", "usageMetadata": counts}
        return None, {"candidates": [candidate | ({"finishReason": finish} if finish else {})], **head}

    if isinstance(action, Call):
        call = {"id": f"call_{number}", "name": action.tool.name, "args": action.arguments}
        yield piece({"functionCall": call}, "STOP")
        return
    for word in words(action, ended):
        yield piece({"text": word})
    yield piece({"text": " "}, "STOP")


DIALECTS: Mapping[str, Dialect] = {
    "/chat/completions": Dialect(hear_chat, write_chat),
    "/messages": Dialect(hear_messages, write_messages),
    "/responses": Dialect(hear_responses, write_responses),
    ":streamGenerateContent": Dialect(hear_gemini, write_gemini),
}
"""By the end of the path that is asked."""

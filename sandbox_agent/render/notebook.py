"""Transcripts as Jupyter notebooks (nbformat 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.render.ansi import plain
from sandbox_agent.render.markdown import blocks, call_markdown, item_markdown, typed, words
from sandbox_agent.render.markup import visible
from sandbox_agent.render.parts import (
    command_of,
    cut,
    exit_text,
    left_out,
    mode_name,
    output_of,
    shown_items,
    usage_text,
)
from sandbox_agent.render.prose import safe_image
from sandbox_agent.render.text import content
from sandbox_agent.wire.transcript import MessageItem, ToolCallItem

if TYPE_CHECKING:
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.transcript import Transcript, TranscriptItem

LIMIT = 20_000
"""Characters of one text or output that are kept by default."""


def to_notebook(transcript: Transcript, *, limit: int | None = LIMIT) -> JsonObject:
    """A notebook that reads like the conversation: prompts and answers as Markdown, commands as code with output.

    A command's cell holds it as a comment: running all cells of an exported conversation must not act again.
    """
    facts = [transcript.agent, transcript.model, mode_name(transcript), usage_text(transcript.usage)]
    head = f"# {words(transcript.title or 'Session')}\n\n{' · '.join(words(fact) for fact in facts if fact)}"
    cells = [_markdown("head", head.strip())]
    for number, item in enumerate(shown_items(transcript.items)):
        cells.append(_cell(f"item-{number}", item, limit))
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "sandbox_agent": {"session_id": transcript.session_id, "agent": transcript.agent},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(cell_id: str, item: TranscriptItem, limit: int | None) -> JsonObject:
    if isinstance(item, ToolCallItem) and item.kind == "execute":
        return _command(cell_id, item, limit)
    if isinstance(item, MessageItem):
        return _message(cell_id, item, limit)
    if isinstance(item, ToolCallItem):
        return _markdown(cell_id, call_markdown(item, limit=limit), item)
    return _markdown(cell_id, item_markdown(item, limit=limit, alerts=False), item)


def _message(cell_id: str, item: MessageItem, limit: int | None) -> JsonObject:
    """A message; images are attachments, which notebooks show without trusting the page."""
    attachments: JsonObject = {}
    shown: list[JsonObject] = []
    for block in item.content:
        if block.get("type") == "image" and safe_image(f"data:{block.get('mimeType')};base64,{block.get('data')}"):
            name = f"image-{len(attachments)}.{str(block['mimeType']).rsplit('/', 1)[-1]}"
            attachments[name] = {str(block["mimeType"]): str(block["data"])}
            shown.append({"type": "text", "text": f"![image](attachment:{name})"})
        else:
            shown.append(block)
    text = blocks(shown, limit)
    cell = _markdown(cell_id, f"## You\n\n{typed(text)}" if item.role == "user" else text, item)
    return cell | {"attachments": attachments} if attachments else cell


def _command(cell_id: str, call: ToolCallItem, limit: int | None) -> JsonObject:
    command = visible(plain(command_of(call) or call.title))
    first, *more = command.splitlines() or [""]
    source = "\n".join([f"# $ {first}", *(f"#   {line}" for line in more)])
    failed = call.status == "failed"
    texts = [visible(plain(_output(block, limit))) for block in output_of(call)]
    text = "\n".join(filter(None, texts))
    outputs = [{"output_type": "stream", "name": "stderr" if failed else "stdout", "text": text + "\n"}] if text else []
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": _metadata(call) | {"jupyter": {"source_hidden": False}},
        "execution_count": None,
        "source": source,
        "outputs": outputs,
    }


def _output(block: JsonObject, limit: int | None) -> str:
    if block.get("type") != "terminal":
        shown, rest = cut(content(block, None), limit)
        return shown + (f"\n{left_out(rest)}" if rest else "")
    shown, rest = cut(plain(str(block.get("output", ""))).rstrip(), limit, end=True)
    status = exit_text(block)
    parts = [left_out(rest) if rest else "", shown, f"[{status}]" if status and status != "exit 0" else ""]
    return "\n".join(filter(None, parts))


def _markdown(cell_id: str, source: str, item: TranscriptItem | None = None) -> JsonObject:
    metadata = _metadata(item) if item is not None else {}
    return {"cell_type": "markdown", "id": cell_id, "metadata": metadata, "source": visible(source)}


def _metadata(item: TranscriptItem) -> JsonObject:
    kind = str(item.__struct_config__.tag)
    return {"tags": [f"agent-{kind.replace('_', '-')}"], "sandbox_agent": {"item": item.id, "turn": item.turn}}

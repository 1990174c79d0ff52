"""Turning what a user passes as a prompt into ACP content blocks.

Which of them an agent takes, and in what form, is said in `sandbox_agent.wire.content`.
"""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from sandbox_agent.client.errors import ContentNotSupported
from sandbox_agent.wire.content import NEEDS, suited

if TYPE_CHECKING:
    from sandbox_agent.wire.base import JsonObject


@runtime_checkable
class SavesAsImage(Protocol):
    """A Pillow image, or anything that writes itself like one."""

    def save(self, fp: Any, format: str) -> None: ...  # noqa: A002 - Pillow's own name


Content: TypeAlias = str | bytes | Path | Mapping[str, Any] | SavesAsImage
"""One piece: text, image bytes, a file, an ACP content block as it is, or a Pillow image."""

Prompt: TypeAlias = Content | Iterable[Content]

_IMAGE_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def to_prompt(
    prompt: Prompt, *, capabilities: Mapping[str, Any] | None = None, embed_files: bool = False
) -> str | tuple[JsonObject, ...]:
    """The wire's form of ``prompt``: a text stays a text, anything else becomes blocks.

    ``capabilities`` are the agent's; where they are known, content it takes in no form raises
    :class:`ContentNotSupported`. A path is linked, or with ``embed_files`` (the server is on another machine) its
    content is sent.
    """
    if isinstance(prompt, str):
        return prompt
    pieces = (prompt,) if isinstance(prompt, (bytes, Path, Mapping, SavesAsImage)) else tuple(prompt)
    blocks = tuple(to_block(piece, embed_files=embed_files) for piece in pieces)
    if not blocks:
        raise ValueError("a prompt needs at least one content block")
    _check(blocks, capabilities)
    return blocks


def to_block(piece: Content, *, embed_files: bool = False) -> JsonObject:
    """One content block."""
    match piece:
        case str():
            return {"type": "text", "text": piece}
        case bytes():
            return image_block(piece)
        case Path():
            return embed(piece) if embed_files else link(piece)
        case Mapping():
            if not isinstance(piece.get("type"), str):
                raise TypeError("a content block needs a 'type'")
            return dict(piece)
        case SavesAsImage():
            buffer = io.BytesIO()
            piece.save(buffer, format="PNG")
            return image_block(buffer.getvalue())
    raise TypeError(
        f"cannot send {type(piece).__name__} as prompt content: give text, bytes of an image, a Path or a dict"
    )


def image_block(data: bytes) -> JsonObject:
    """An image block from the bytes of a PNG, JPEG, GIF or WebP file."""
    kind = next((mime for magic, mime in _IMAGE_MAGIC if data.startswith(magic)), None)
    if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        raise TypeError("these bytes are not a PNG, JPEG, GIF or WebP image; pass a Path or a content block instead")
    return {"type": "image", "mimeType": kind, "data": base64.b64encode(data).decode()}


def link(path: Path) -> JsonObject:
    """A ``resource_link`` to a file that the agent can read by itself."""
    path = path.expanduser().absolute()
    block: JsonObject = {"type": "resource_link", "uri": path.as_uri(), "name": path.name, "size": path.stat().st_size}
    kind, _ = mimetypes.guess_type(path.name)
    return block | ({"mimeType": kind} if kind else {})


def embed(path: Path) -> JsonObject:
    """A ``resource`` block with the file's content: text where it is UTF-8, else a blob; an image block for images."""
    path = path.expanduser().absolute()
    data = path.read_bytes()
    kind, _ = mimetypes.guess_type(path.name)
    if kind in {mime for _, mime in _IMAGE_MAGIC} | {"image/webp"}:
        return image_block(data)
    resource: JsonObject = {"uri": path.as_uri()} | ({"mimeType": kind} if kind else {})
    try:
        resource["text"] = data.decode("utf-8")
    except UnicodeDecodeError:
        resource["blob"] = base64.b64encode(data).decode()
    return {"type": "resource", "resource": resource}


def _check(blocks: tuple[JsonObject, ...], capabilities: Mapping[str, Any] | None) -> None:
    if capabilities is None:
        return
    for block in blocks:
        if block["type"] in NEEDS and suited(block, capabilities) is None:
            raise ContentNotSupported(
                f"this agent does not take {block['type']} blocks",
                hint="save it to a file in the session's directory and pass its Path",
            )

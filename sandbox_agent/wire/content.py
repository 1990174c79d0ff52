"""Content blocks of prompts, and which an agent takes: one truth for the server and its clients.

https://agentclientprotocol.com/protocol/content: every agent takes ``text`` and ``resource_link``; ``image``, ``audio``
and ``resource`` only those that say so in ``promptCapabilities``.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.wire.base import JsonObject

NEEDS = {"image": "image", "audio": "audio", "resource": "embeddedContext"}
"""Type of block -> the capability an agent must have said for it."""


def taken(capabilities: Mapping[str, Any] | None) -> list[str]:
    """The types of blocks an agent takes."""
    offered = (capabilities or {}).get("promptCapabilities")
    offered = offered if isinstance(offered, dict) else {}
    return ["text", "resource_link", *(kind for kind, name in NEEDS.items() if offered.get(name) is True)]


def suited(block: JsonObject, capabilities: Mapping[str, Any] | None) -> JsonObject | None:
    """The block in a form the agent takes, nothing of it lost; ``None`` when there is no such form.

    An embedded text becomes text, an embedded image an image, and an image of a file a link to that file.
    """
    kinds, kind = taken(capabilities), block.get("type")
    if kind in kinds:
        return block
    if kind == "resource" and isinstance(block.get("resource"), dict):
        return _unembedded(block["resource"], kinds)
    uri = block.get("uri")
    if kind in NEEDS and isinstance(uri, str) and uri.startswith("file://"):
        name = uri.rstrip("/").rpartition("/")[2]
        mime = {"mimeType": block["mimeType"]} if isinstance(block.get("mimeType"), str) else {}
        return {"type": "resource_link", "uri": uri, "name": name, **mime}
    return None


def _unembedded(resource: Mapping[str, Any], kinds: list[str]) -> JsonObject | None:
    uri, mime = str(resource.get("uri") or ""), resource.get("mimeType")
    if isinstance(resource.get("text"), str):
        return {"type": "text", "text": f'<resource uri="{escape(uri)}">\n{resource["text"]}\n</resource>'}
    kind = mime.partition("/")[0] if isinstance(mime, str) else ""
    if kind in {"image", "audio"} and kind in kinds and isinstance(resource.get("blob"), str):
        return {"type": kind, "mimeType": mime, "data": resource["blob"]}
    return None

"""An agent's Markdown as safe HTML: no raw HTML, links by http, https and mailto only, no remote images."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from sandbox_agent.render.markup import Markup, escape, tag, visible

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_LINK = re.compile(r"(?:https?://|mailto:)[^\s]+\Z", re.IGNORECASE)
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+\Z")

DEPTH = 40
"""Nesting of quotes and lists that is followed; deeper is shown as text."""


def prose(text: str) -> Markup:
    """CommonMark with tables and strikethrough; line ends are kept, as agents mean them."""
    return Markup(_parser().render(visible(text)))


def safe_link(target: str) -> bool:
    return bool(_LINK.match(target))


def safe_image(source: str) -> bool:
    return bool(_IMAGE.match(source))


def _any_link(url: str) -> bool:  # noqa: ARG001 - the library calls it so
    return True


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - a server starts without it

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": DEPTH}).enable(
        ["table", "strikethrough"]
    )
    # Schemes are judged when rendering: a refused link keeps its text and shows its target as a tooltip.
    parser.validateLink = _any_link  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("link_close", _link_close)
    parser.add_render_rule("image", _image)
    return parser


def _link_open(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, env: MutableMapping[str, Any]
) -> str:
    target = str(tokens[index].attrGet("href") or "")
    safe = safe_link(target)
    env.setdefault("links", []).append("a" if safe else "span")
    if safe:
        return f'<a href="{escape(target)}" target="_blank" rel="noopener noreferrer nofollow">'
    return f'<span class="sa-ref" title="{escape(target)}">'


def _link_close(
    _self: RendererHTML, _tokens: Sequence[Token], _index: int, _options: Any, env: MutableMapping[str, Any]
) -> str:
    return f"</{env['links'].pop()}>"


def _image(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    source, alt = str(token.attrGet("src") or ""), token.content
    if safe_image(source):
        return tag("img", src=source, alt=alt, cls="sa-image")
    return tag("span", f"[image: {alt or source[:80]}]", cls="sa-ref", title=source[:200])

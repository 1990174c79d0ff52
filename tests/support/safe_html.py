"""What HTML of ours may hold, as a parser sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

TAGS = frozenset(
    {"html", "head", "meta", "title", "body", "style", "div", "span", "p", "br", "hr", "b", "em", "strong", "s", "a"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "code", "pre", "ul", "ol", "li", "blockquote", "details", "summary", "img"}
    | {"table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd"}
)
ATTRIBUTES = {"class", "title", "href", "target", "rel", "src", "alt", "open", "start", "lang", "charset", "name"}
ATTRIBUTES |= {"content", "style"}
_VOID = {"meta", "br", "hr", "img"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.faults.append(f"<{tag}>")
        if tag not in _VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.faults.append(f"{tag} {name}")
            if name == "href" and not re.match(r"(https?://|mailto:)", value or "", re.IGNORECASE):
                self.faults.append(f"href {value}")
            if name == "src" and not re.match(r"data:image/(png|jpeg|gif|webp);base64,", value or ""):
                self.faults.append(f"src {value}")
            if name == "style" and not re.fullmatch(r"text-align:(left|right|center)", value or ""):
                self.faults.append(f"style {value}")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"comment {data}")


def faults(html: str) -> list[str]:
    """Elements, attributes and addresses that should not be there, and tags that do not match."""
    reader = _Reader()
    reader.feed(html.removeprefix("<!doctype html>"))
    reader.close()
    return reader.faults + [f"open <{tag}>" for tag in reader.open]


def text_in(html: str) -> str:
    """The text a reader sees."""
    reader = _Reader()
    reader.feed(html)
    return "".join(reader.text)

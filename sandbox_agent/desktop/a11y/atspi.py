"""The vocabulary of AT-SPI (at-spi2-core, `atspi-constants.h`): roles and states by their numbers. Values only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROLES: Final = (
    "invalid",
    "accelerator label",
    "alert",
    "animation",
    "arrow",
    "calendar",
    "canvas",
    "check box",
    "check menu item",
    "color chooser",
    "column header",
    "combo box",
    "date editor",
    "desktop icon",
    "desktop frame",
    "dial",
    "dialog",
    "directory pane",
    "drawing area",
    "file chooser",
    "filler",
    "focus traversable",
    "font chooser",
    "frame",
    "glass pane",
    "html container",
    "icon",
    "image",
    "internal frame",
    "label",
    "layered pane",
    "list",
    "list item",
    "menu",
    "menu bar",
    "menu item",
    "option pane",
    "page tab",
    "page tab list",
    "panel",
    "password text",
    "popup menu",
    "progress bar",
    "button",
    "radio button",
    "radio menu item",
    "root pane",
    "row header",
    "scroll bar",
    "scroll pane",
    "separator",
    "slider",
    "spin button",
    "split pane",
    "status bar",
    "table",
    "table cell",
    "table column header",
    "table row header",
    "tearoff menu item",
    "terminal",
    "text",
    "toggle button",
    "tool bar",
    "tool tip",
    "tree",
    "tree table",
    "unknown",
    "viewport",
    "window",
    "extended",
    "header",
    "footer",
    "paragraph",
    "ruler",
    "application",
    "autocomplete",
    "editbar",
    "embedded",
    "entry",
    "chart",
    "caption",
    "document frame",
    "heading",
    "page",
    "section",
    "redundant object",
    "form",
    "link",
    "input method window",
    "table row",
    "tree item",
    "document spreadsheet",
    "document presentation",
    "document text",
    "document web",
    "document email",
    "comment",
    "list box",
    "grouping",
    "image map",
    "notification",
    "info bar",
    "level bar",
    "title bar",
    "block quote",
    "audio",
    "video",
    "definition",
    "article",
    "landmark",
    "log",
    "marquee",
    "math",
    "rating",
    "timer",
    "static",
    "math fraction",
    "math root",
    "subscript",
    "superscript",
    "description list",
    "description term",
    "description value",
    "footnote",
    "content deletion",
    "content insertion",
    "mark",
    "suggestion",
    "menu button",
)
"""By `AtspiRole`; what the header calls a push button is a button, as it is since its version 2.53."""

STATES: Final = (
    "invalid",
    "active",
    "armed",
    "busy",
    "checked",
    "collapsed",
    "defunct",
    "editable",
    "enabled",
    "expandable",
    "expanded",
    "focusable",
    "focused",
    "has-tooltip",
    "horizontal",
    "iconified",
    "modal",
    "multi-line",
    "multiselectable",
    "opaque",
    "pressed",
    "resizable",
    "selectable",
    "selected",
    "sensitive",
    "showing",
    "single-line",
    "stale",
    "transient",
    "vertical",
    "visible",
    "manages-descendants",
    "indeterminate",
    "required",
    "truncated",
    "animated",
    "invalid-entry",
    "supports-autocompletion",
    "selectable-text",
    "is-default",
    "visited",
    "checkable",
    "has-popup",
    "read-only",
)
"""By `AtspiStateType`."""

# What every node has, or what says nothing to who looks at the screen.
_NOISE: Final = frozenset(
    {
        "invalid",
        "enabled",
        "sensitive",
        "opaque",
        "visible",
        "resizable",
        "horizontal",
        "vertical",
        "stale",
        "transient",
        "manages-descendants",
        "single-line",
        "has-tooltip",
        "supports-autocompletion",
        "selectable-text",
        "truncated",
        "animated",
    }
)

PRESSABLE: Final = frozenset(
    {
        "button",
        "check box",
        "check menu item",
        "column header",
        "combo box",
        "icon",
        "link",
        "list item",
        "menu",
        "menu button",
        "menu item",
        "page tab",
        "radio button",
        "radio menu item",
        "table cell",
        "table column header",
        "toggle button",
        "tree item",
    }
)
"""Roles that do something when they are pressed; many toolkits say of every node that it has an action."""

ADJUSTABLE: Final = frozenset({"dial", "scroll bar", "slider", "spin button"})
"""Roles whose number may be set."""

CLICKABLE: Final = frozenset({"canvas", "image", "label", "panel", "section", "static"})
"""Roles that are no more than a part of the picture, unless the keyboard reaches them."""


def role(number: int) -> str:
    return ROLES[number] if 0 <= number < len(ROLES) else "unknown"


def states(bits: Sequence[int]) -> frozenset[str]:
    """The states of two words of 32 bits."""
    return frozenset(name for number, name in enumerate(STATES) if _has(bits, number))


def _has(bits: Sequence[int], number: int) -> bool:
    word = number // 32
    return word < len(bits) and bool(bits[word] >> number % 32 & 1)


def told(given: Iterable[str]) -> tuple[str, ...]:
    """States as they are shown: without noise, and ``disabled`` where the node takes no input."""
    seen = frozenset(given)
    off = () if seen & {"enabled", "sensitive"} else ("disabled",)
    return (*sorted(seen - _NOISE), *off)


def actions(of: str, given: Iterable[str], interfaces: Iterable[str]) -> tuple[str, ...]:
    """What can be done with a node of the role ``of``: of ``press``, ``focus``, ``set-value``."""
    seen, able = frozenset(given), frozenset(interfaces)
    if not seen & {"enabled", "sensitive"}:
        return ()
    focusable = "focusable" in seen
    press = "Action" in able and (of in PRESSABLE or (focusable and of in CLICKABLE))
    change = "editable" in seen or ("Value" in able and of in ADJUSTABLE)
    found = (("press", press), ("focus", focusable), ("set-value", change and "read-only" not in seen))
    return tuple(name for name, is_so in found if is_so)

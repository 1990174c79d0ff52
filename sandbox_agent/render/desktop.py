"""The desktop's state and windows, as HTML and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox_agent.render.cards import card_html, card_text, table_html, table_text
from sandbox_agent.render.markup import tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox_agent.wire.desktop import DesktopStatusResponse, DesktopWindowInfo

_HEADS = ("Window", "Title", "Program", "Place", "Size", "State")


def desktop_html(status: DesktopStatusResponse) -> str:
    return card_html(**_status(status))


def desktop_text(status: DesktopStatusResponse) -> str:
    return card_text(**_status(status))


def windows_html(windows: Sequence[DesktopWindowInfo]) -> str:
    return table_html(_HEADS, [(tag("code", row[0]), *row[1:]) for row in map(_window, windows)])


def windows_text(windows: Sequence[DesktopWindowInfo]) -> str:
    return table_text(_HEADS, [_window(window) for window in windows])


def _status(status: DesktopStatusResponse) -> dict[str, Any]:
    screen = status.resolution
    facts = {
        "Display": status.display,
        "Size": screen and f"{screen.width}x{screen.height}",
        "Running": ", ".join(part.name for part in status.processes if part.running) or None,
        "Ended": ", ".join(part.name for part in status.processes if not part.running) or None,
        "Windows": len(status.windows) or None,
        "Problem": status.last_error and status.last_error.message,
        "Missing": ", ".join(status.missing_dependencies) or None,
        "Install": status.install_command,
    }
    return {"title": "Desktop", "facts": facts, "state": status.state.replace("_", " ")}


def _window(window: DesktopWindowInfo) -> tuple[str, ...]:
    states = {
        "focused": window.is_active,
        "minimized": window.is_minimized,
        "maximized": window.is_maximized,
        "fullscreen": window.is_fullscreen,
    }
    return (
        window.id,
        window.title,
        window.window_class or "",
        f"{window.x}, {window.y}",
        f"{window.width}x{window.height}",
        ", ".join(name for name, on in states.items() if on),
    )

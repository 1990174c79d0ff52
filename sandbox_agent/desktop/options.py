"""How a desktop is to be, within bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_agent.problems import DesktopInvalidAction

if TYPE_CHECKING:
    from sandbox_agent.wire.desktop import DesktopStartRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Pixels and dots per inch of the one screen."""

    width: int = 1440
    height: int = 900
    dpi: int = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a start request asks for. Rates are frames per second; ``ports`` are first and last, for WebRTC."""

    screen: Screen
    first_display: int = 99
    stream_fps: int = 30
    recording_fps: int = 30
    ports: tuple[int, int] | None = None


DEFAULT = Options(screen=Screen())
_SIDES = (64, 8192)  # pixels
_DPI = (24, 600)
_DISPLAYS = (0, 59_535)  # TCP port 6000 + display must be one, though nobody listens there
_FPS = (1, 120)
_PORTS = re.compile(r"(\d{1,5})\s*-\s*(\d{1,5})")
_LAST_PORT = 65_535


def checked(request: DesktopStartRequest) -> Options:
    """The request with its defaults. Raises ``DesktopInvalidAction``."""
    screen = Screen(
        width=_within("width", request.width, _SIDES, DEFAULT.screen.width),
        height=_within("height", request.height, _SIDES, DEFAULT.screen.height),
        dpi=_within("dpi", request.dpi, _DPI, DEFAULT.screen.dpi),
    )
    return Options(
        screen=screen,
        first_display=_within("displayNum", request.display_num, _DISPLAYS, DEFAULT.first_display),
        stream_fps=_within("streamFrameRate", request.stream_frame_rate, _FPS, DEFAULT.stream_fps),
        recording_fps=_within("recordingFps", request.recording_fps, _FPS, DEFAULT.recording_fps),
        ports=_ports(request.webrtc_port_range),
    )


def _within(name: str, value: int | None, bounds: tuple[int, int], default: int) -> int:
    if value is None:
        return default
    low, high = bounds
    if not low <= value <= high:
        raise DesktopInvalidAction(f"{name} must be from {low} to {high}, not {value}")
    return value


def _ports(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = _PORTS.fullmatch(text.strip())
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < first <= last <= _LAST_PORT:
        raise DesktopInvalidAction("webrtcPortRange must be two ports, such as 59050-59070")
    return first, last

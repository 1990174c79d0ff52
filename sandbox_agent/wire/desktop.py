"""`/v1/desktop/*`: the screen, the pointer, the keyboard, windows, clipboard, recordings and the stream.

Requests of the public contract take members unknown to us; what is ours beyond it is said at each field. Values that
are well-formed but make no sense (a negative coordinate, an unknown key) are told as ``desktop_invalid_action``.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from sandbox_agent.wire.base import StrictRequest, Wire

DesktopState: TypeAlias = Literal["inactive", "install_required", "starting", "active", "stopping", "failed"]

DesktopMouseButton: TypeAlias = Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["left", "middle", "right"]})]
"""Another one is refused by the desktop, as an action that makes no sense; so are the next two."""

DesktopScreenshotFormat: TypeAlias = Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["png", "jpeg", "webp"]})]

DesktopSelection: TypeAlias = Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["clipboard", "primary", "both"]})]
"""The X selections; ``both`` is for writing only."""

DesktopRecordingStatus: TypeAlias = Literal["recording", "completed", "failed"]

DesktopWaitUntil: TypeAlias = Literal["idle", "change", "window"]


# -- life cycle -------------------------------------------------------------------------------------------------------


class DesktopStartRequest(Wire, frozen=True, kw_only=True):
    """How the desktop is to be: 1440x900 pixels, 96 dpi, on the first free display from 99 on, unless given.

    ``state_dir`` is an absolute path. ``stream_*``, ``webrtc_port_range`` (``"59050-59070"``) and ``recording_fps`` are
    the defaults of the stream and of recordings of this desktop.
    """

    display_num: int | None = None
    dpi: int | None = None
    height: int | None = None
    recording_fps: int | None = None
    state_dir: str | None = None
    stream_audio_codec: str | None = None
    stream_frame_rate: int | None = None
    stream_video_codec: str | None = None
    webrtc_port_range: str | None = None
    width: int | None = None


class DesktopResolution(Wire, frozen=True, kw_only=True):
    """Pixels, and dots per inch."""

    width: int
    height: int
    dpi: int | None = None


class DesktopErrorInfo(Wire, frozen=True, kw_only=True):
    """``code`` is the last segment of the problem's type."""

    code: str
    message: str


class DesktopProcessInfo(Wire, frozen=True, kw_only=True):
    """A part of the desktop. ``process_id`` (ours) leads to its logs below ``/v1/processes``."""

    name: str
    running: bool
    pid: int | None = None
    log_path: str | None = None
    process_id: str | None = None
    restarts: int = 0


class DesktopWindowInfo(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """A window; ``id`` is its X id in decimal. Position and size in pixels are those of its content.

    ``window_class``, ``pid``, ``desktop`` and the states are ours.
    """

    id: str
    title: str
    x: int
    y: int
    width: int
    height: int
    is_active: bool
    window_class: str | None = None
    pid: int | None = None
    is_minimized: bool = False
    is_maximized: bool = False
    is_fullscreen: bool = False


class DesktopStatusResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """``started_at`` is RFC 3339; ``display`` is for ``DISPLAY``, ``authority`` (ours) for ``XAUTHORITY``."""

    state: DesktopState
    display: str | None = None
    resolution: DesktopResolution | None = None
    started_at: str | None = None
    last_error: DesktopErrorInfo | None = None
    missing_dependencies: tuple[str, ...] = ()
    install_command: str | None = None
    processes: tuple[DesktopProcessInfo, ...] = ()
    runtime_log_path: str | None = None
    windows: tuple[DesktopWindowInfo, ...] = ()
    authority: str | None = None


class DesktopDisplayInfoResponse(Wire, frozen=True, kw_only=True):
    display: str
    resolution: DesktopResolution


class DesktopActionResponse(Wire, frozen=True, kw_only=True):
    ok: bool


# -- mouse ------------------------------------------------------------------------------------------------------------


class DesktopMousePositionResponse(Wire, frozen=True, kw_only=True):
    """Where the pointer is, in pixels of the screen; ``window`` is the id of the client window below it."""

    x: int
    y: int
    screen: int | None = None
    window: str | None = None


class DesktopMouseMoveRequest(Wire, frozen=True, kw_only=True):
    """``screenshot_id`` (ours, in all requests with coordinates): they are pixels of that screenshot, map them back."""

    x: int
    y: int
    screenshot_id: str | None = None


class ClickTarget(Wire, frozen=True, kw_only=True):
    """At ``x`` and ``y``, or (ours) on what has the ``mark`` in the screenshot, or on a node: on its middle, now."""

    x: int | None = None
    y: int | None = None
    mark: int | None = None
    node_id: str | None = None

    def __post_init__(self) -> None:
        if (self.x, self.y, self.mark, self.node_id) == (None, None, None, None):
            raise ValueError("where to click is missing: x and y, or mark, or nodeId")


class DesktopMouseClickRequest(ClickTarget, frozen=True, kw_only=True):
    """At a pixel, on a mark or on a node; ``modifiers`` (ours) are held down meanwhile."""

    button: DesktopMouseButton | None = None
    click_count: int | None = None
    modifiers: DesktopKeyModifiers | None = None
    screenshot_id: str | None = None


class DesktopMouseDownRequest(Wire, frozen=True, kw_only=True):
    """Where the pointer is, or at ``x`` and ``y``, which come together."""

    button: DesktopMouseButton | None = None
    x: int | None = None
    y: int | None = None
    screenshot_id: str | None = None


class DesktopMouseUpRequest(Wire, frozen=True, kw_only=True):
    """Where the pointer is, or at ``x`` and ``y``, which come together."""

    button: DesktopMouseButton | None = None
    x: int | None = None
    y: int | None = None
    screenshot_id: str | None = None


class DesktopMouseDragRequest(Wire, frozen=True, kw_only=True):
    start_x: int
    start_y: int
    end_x: int
    end_y: int
    button: DesktopMouseButton | None = None
    screenshot_id: str | None = None


class DesktopMouseScrollRequest(Wire, frozen=True, kw_only=True):
    """Notches of the wheel: ``delta_y`` > 0 is down, ``delta_x`` > 0 is right; not both zero."""

    x: int
    y: int
    delta_x: int | None = None
    delta_y: int | None = None
    screenshot_id: str | None = None


# -- keyboard ---------------------------------------------------------------------------------------------------------


class DesktopKeyModifiers(Wire, frozen=True, kw_only=True):
    alt: bool | None = None
    cmd: bool | None = None
    ctrl: bool | None = None
    shift: bool | None = None


class DesktopKeyboardDownRequest(Wire, frozen=True, kw_only=True):
    """``key`` is the name of an X keysym (``Return``, ``F5``, ``a``) or a character."""

    key: str


class DesktopKeyboardUpRequest(Wire, frozen=True, kw_only=True):
    key: str


class DesktopKeyboardPressRequest(Wire, frozen=True, kw_only=True):
    """``key`` may be a chord (``ctrl+shift+a``); ``modifiers`` are added to it."""

    key: str
    modifiers: DesktopKeyModifiers | None = None


class DesktopKeyboardTypeRequest(Wire, frozen=True, kw_only=True):
    """``text`` may be any Unicode; newline and tab are keys. ``delay_ms`` is between two characters."""

    text: str
    delay_ms: int | None = None


# -- windows ----------------------------------------------------------------------------------------------------------


class DesktopWindowListResponse(Wire, frozen=True, kw_only=True):
    windows: tuple[DesktopWindowInfo, ...]


class DesktopWindowMoveRequest(Wire, frozen=True, kw_only=True):
    x: int
    y: int


class DesktopWindowResizeRequest(Wire, frozen=True, kw_only=True):
    width: int
    height: int


class DesktopWindowSwitch(StrictRequest, frozen=True, kw_only=True):
    """Ours: whether the window is to be so, or no longer."""

    on: bool = True


# -- clipboard, programs ----------------------------------------------------------------------------------------------


class DesktopClipboardResponse(Wire, frozen=True, kw_only=True):
    text: str
    selection: str


class DesktopClipboardWriteRequest(Wire, frozen=True, kw_only=True):
    text: str
    selection: DesktopSelection | None = None


class DesktopLaunchRequest(Wire, frozen=True, kw_only=True):
    """``app`` is a program on PATH, or its path; ``wait`` looks up to 5 s for its window."""

    app: str
    args: tuple[str, ...] | None = None
    wait: bool | None = None


class DesktopLaunchResponse(Wire, frozen=True, kw_only=True):
    process_id: str
    pid: int | None = None
    window_id: str | None = None


class DesktopOpenRequest(Wire, frozen=True, kw_only=True):
    """``target`` is a URL or a file."""

    target: str


class DesktopOpenResponse(Wire, frozen=True, kw_only=True):
    process_id: str
    pid: int | None = None


# -- waiting (ours) ---------------------------------------------------------------------------------------------------


class DesktopWait(Wire, frozen=True, kw_only=True):
    """What is waited for, for ``timeout_ms`` at most (10 minutes at most).

    ``idle``: no change for ``quiet_ms``; ``change``: the next change; ``window``: one whose title contains ``title``,
    whose class is ``window_class`` and whose process ``pid``, of which those given count. Changes are those within
    the region, if ``x``, ``y``, ``width`` and ``height`` give one, of more than ``threshold`` pixels at once.
    """

    until: DesktopWaitUntil = "idle"
    timeout_ms: int = 10_000
    quiet_ms: int = 500
    threshold: int = 0
    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None
    title: str | None = None
    window_class: str | None = None
    pid: int | None = None


class DesktopWaitResponse(Wire, omit_defaults=False, frozen=True, kw_only=True):
    """``met``: it came true before the deadline. ``damage`` is the screen's change counter then.

    ``window`` is the one that was waited for.
    """

    met: bool
    until: DesktopWaitUntil
    elapsed_ms: int
    damage: int
    window: DesktopWindowInfo | None = None


# -- recordings and stream --------------------------------------------------------------------------------------------


class DesktopRecordingStartRequest(Wire, frozen=True, kw_only=True):
    """``overlay`` (ours) draws clicks and keys, passwords among them, into the pictures."""

    fps: int | None = None
    overlay: bool | None = None


class DesktopRecordingInfo(Wire, frozen=True, kw_only=True):
    """Times are RFC 3339. One that ``failed`` was cut, and can be played as far as it got."""

    id: str
    status: DesktopRecordingStatus
    file_name: str
    bytes: int
    started_at: str
    ended_at: str | None = None
    process_id: str | None = None


class DesktopRecordingListResponse(Wire, frozen=True, kw_only=True):
    recordings: tuple[DesktopRecordingInfo, ...]


class DesktopStreamStatusResponse(Wire, frozen=True, kw_only=True):
    active: bool
    process_id: str | None = None
    window_id: str | None = None

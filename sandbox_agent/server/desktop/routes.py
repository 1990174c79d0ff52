"""The desktop: the routes."""

from __future__ import annotations

from sandbox_agent import problems as p
from sandbox_agent.desktop.recording.service import MEDIA
from sandbox_agent.server.call import MIB, RawJson, Route, SocketRoute
from sandbox_agent.server.desktop import endpoints, mcp, recordings, screenshots, signaling, stream, viewer
from sandbox_agent.wire import desktop as wire
from sandbox_agent.wire import desktop_actions as actions_wire

EXECUTE = "execute"
CLIPBOARD_BODY_LIMIT = 64 * MIB

# What every route answers that needs the desktop to be active.
ACTIVE = (p.DesktopRuntimeInactive, p.DesktopRuntimeStarting, p.DesktopRuntimeFailed, p.Timeout)
_INPUT = (p.DesktopInvalidAction, *ACTIVE, p.DesktopInputFailed)
_SEES = (p.DesktopInvalidAction, *ACTIVE, p.DesktopScreenshotFailed, p.DesktopDependenciesMissing)
_WINDOW = (p.DesktopInvalidAction, *ACTIVE, p.WindowNotFound)
_CLIPBOARD = (p.DesktopInvalidAction, *ACTIVE, p.ClipboardFailed)
_PICTURES = ("image/png", "image/jpeg", "image/webp")
_IF_NONE_MATCH = {"If-None-Match": "the `ETag` of a screenshot: 304 while the same request would give the same picture"}

_LIFE: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/desktop/status",
        endpoint=endpoints.status,
        summary="Tell the state of the desktop, its parts, and what is missing for it",
        answers={200: wire.DesktopStatusResponse},
    ),
    Route(
        method="POST",
        path="/v1/desktop/start",
        endpoint=endpoints.start,
        summary="Start the desktop, or tell about the one that runs",
        body=wire.DesktopStartRequest,
        answers={200: wire.DesktopStatusResponse},
        problems=(
            p.DesktopInvalidAction,
            p.Conflict,
            p.DesktopUnsupportedPlatform,
            p.DesktopDependenciesMissing,
            p.DesktopRuntimeFailed,
        ),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/stop",
        endpoint=endpoints.stop,
        summary="End the desktop with all its programs",
        answers={200: wire.DesktopStatusResponse},
        problems=(p.Conflict,),
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/desktop/display/info",
        endpoint=endpoints.display_info,
        summary="Tell the display and its resolution",
        answers={200: wire.DesktopDisplayInfoResponse},
        problems=ACTIVE,
    ),
)

_SEEING: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/desktop/screenshot",
        endpoint=screenshots.screenshot,
        summary="Take a screenshot",
        query=screenshots.ScreenshotQuery,
        headers=_IF_NONE_MATCH,
        answers={200: _PICTURES, 304: None},
        problems=_SEES,
    ),
    Route(
        method="GET",
        path="/v1/desktop/screenshot/region",
        endpoint=screenshots.region,
        summary="Take a screenshot of a part of the screen",
        query=screenshots.RegionQuery,
        headers=_IF_NONE_MATCH,
        answers={200: _PICTURES, 304: None},
        problems=_SEES,
    ),
    Route(
        method="GET",
        path="/v1/desktop/wait",
        endpoint=endpoints.wait,
        summary="Wait until the screen is still, until it changes, or for a window",
        query=wire.DesktopWait,
        answers={200: wire.DesktopWaitResponse},
        problems=(p.DesktopInvalidAction, *ACTIVE),
    ),
)

_MOUSE: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/desktop/mouse/position",
        endpoint=endpoints.position,
        summary="Tell where the pointer is",
        answers={200: wire.DesktopMousePositionResponse},
        problems=_INPUT,
    ),
    Route(
        method="POST",
        path="/v1/desktop/mouse/move",
        endpoint=endpoints.move,
        summary="Move the pointer",
        body=wire.DesktopMouseMoveRequest,
        answers={200: wire.DesktopMousePositionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/mouse/click",
        endpoint=endpoints.click,
        summary="Move the pointer and click, once or more",
        body=wire.DesktopMouseClickRequest,
        answers={200: wire.DesktopMousePositionResponse},
        problems=(*_INPUT, p.NodeNotFound, p.DesktopDependenciesMissing),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/mouse/down",
        endpoint=endpoints.mouse_down,
        summary="Press a button and hold it",
        body=wire.DesktopMouseDownRequest,
        answers={200: wire.DesktopMousePositionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/mouse/up",
        endpoint=endpoints.mouse_up,
        summary="Let a button go",
        body=wire.DesktopMouseUpRequest,
        answers={200: wire.DesktopMousePositionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/mouse/drag",
        endpoint=endpoints.drag,
        summary="Press a button, move the pointer, let it go",
        body=wire.DesktopMouseDragRequest,
        answers={200: wire.DesktopMousePositionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/mouse/scroll",
        endpoint=endpoints.scroll,
        summary="Move the pointer and turn the wheel",
        body=wire.DesktopMouseScrollRequest,
        answers={200: wire.DesktopMousePositionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
)

_KEYBOARD: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/desktop/keyboard/type",
        endpoint=endpoints.type_text,
        summary="Type text",
        body=wire.DesktopKeyboardTypeRequest,
        answers={200: wire.DesktopActionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/keyboard/press",
        endpoint=endpoints.press,
        summary="Press a key or a chord and let it go",
        body=wire.DesktopKeyboardPressRequest,
        answers={200: wire.DesktopActionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/keyboard/down",
        endpoint=endpoints.key_down,
        summary="Press a key and hold it",
        body=wire.DesktopKeyboardDownRequest,
        answers={200: wire.DesktopActionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/keyboard/up",
        endpoint=endpoints.key_up,
        summary="Let a key go",
        body=wire.DesktopKeyboardUpRequest,
        answers={200: wire.DesktopActionResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/actions",
        endpoint=endpoints.actions,
        summary="Do several things, in order, until the first that fails",
        body=actions_wire.DesktopActionsRequest,
        answers={200: actions_wire.DesktopActionsResponse},
        problems=_INPUT,
        action=EXECUTE,
    ),
)

_WINDOWS: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/desktop/windows",
        endpoint=endpoints.list_windows,
        summary="List the windows",
        answers={200: wire.DesktopWindowListResponse},
        problems=ACTIVE,
    ),
    Route(
        method="GET",
        path="/v1/desktop/windows/focused",
        endpoint=endpoints.focused,
        summary="Tell about the window that has the focus",
        answers={200: wire.DesktopWindowInfo},
        problems=(*ACTIVE, p.NoFocusedWindow),
    ),
    Route(
        method="POST",
        path="/v1/desktop/windows/{id}/focus",
        endpoint=endpoints.focus,
        summary="Give a window the focus",
        answers={200: wire.DesktopWindowInfo},
        problems=_WINDOW,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/windows/{id}/move",
        endpoint=endpoints.move_window,
        summary="Move a window",
        body=wire.DesktopWindowMoveRequest,
        answers={200: wire.DesktopWindowInfo},
        problems=_WINDOW,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/windows/{id}/resize",
        endpoint=endpoints.resize_window,
        summary="Resize a window",
        body=wire.DesktopWindowResizeRequest,
        answers={200: wire.DesktopWindowInfo},
        problems=_WINDOW,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/windows/{id}/close",
        endpoint=endpoints.close_window,
        summary="Ask a window to close",
        answers={200: wire.DesktopActionResponse},
        problems=_WINDOW,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/windows/{id}/minimize",
        endpoint=endpoints.minimize_window,
        summary="Minimize a window; focus brings it back",
        answers={200: wire.DesktopWindowInfo},
        problems=_WINDOW,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/windows/{id}/maximize",
        endpoint=endpoints.maximize_window,
        summary="Maximize a window, or undo that",
        body=wire.DesktopWindowSwitch,
        answers={200: wire.DesktopWindowInfo},
        problems=_WINDOW,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/windows/{id}/fullscreen",
        endpoint=endpoints.fullscreen_window,
        summary="Have a window fill the screen, or undo that",
        body=wire.DesktopWindowSwitch,
        answers={200: wire.DesktopWindowInfo},
        problems=_WINDOW,
        action=EXECUTE,
    ),
)

_PROGRAMS: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/desktop/clipboard",
        endpoint=endpoints.read_clipboard,
        summary="Read the text of the clipboard or the primary selection",
        query=endpoints.ClipboardQuery,
        answers={200: wire.DesktopClipboardResponse},
        problems=_CLIPBOARD,
    ),
    Route(
        method="POST",
        path="/v1/desktop/clipboard",
        endpoint=endpoints.write_clipboard,
        summary="Write text to the clipboard, the primary selection, or both",
        body=wire.DesktopClipboardWriteRequest,
        answers={200: wire.DesktopActionResponse},
        problems=_CLIPBOARD,
        action=EXECUTE,
        body_limit=CLIPBOARD_BODY_LIMIT,
    ),
    Route(
        method="POST",
        path="/v1/desktop/launch",
        endpoint=endpoints.launch,
        summary="Start a program on the desktop",
        body=wire.DesktopLaunchRequest,
        answers={200: wire.DesktopLaunchResponse},
        problems=(p.DesktopInvalidAction, *ACTIVE, p.AppNotFound, p.Conflict),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/open",
        endpoint=endpoints.open_target,
        summary="Open a file or an address with the program for it",
        body=wire.DesktopOpenRequest,
        answers={200: wire.DesktopOpenResponse},
        problems=(p.DesktopInvalidAction, *ACTIVE, p.AppNotFound, p.Conflict),
        action=EXECUTE,
    ),
)

_STREAM: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/desktop/stream/start",
        endpoint=stream.start,
        summary="Let the desktop be watched by WebRTC",
        answers={200: wire.DesktopStreamStatusResponse},
        problems=(*ACTIVE, p.DesktopDependenciesMissing),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/stream/stop",
        endpoint=stream.stop,
        summary="End what is watched by WebRTC",
        answers={200: wire.DesktopStreamStatusResponse},
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/desktop/stream/status",
        endpoint=stream.status,
        summary="Tell whether the desktop can be watched by WebRTC",
        answers={200: wire.DesktopStreamStatusResponse},
    ),
    SocketRoute(
        path="/v1/desktop/stream/signaling",
        endpoint=signaling.connect,
        summary="Come to an understanding about a WebRTC connection that shows the desktop and acts on it",
        problems=(*ACTIVE, p.StreamNotActive, p.DesktopDependenciesMissing, p.StreamError),
        action=EXECUTE,
    ),
    SocketRoute(
        path="/v1/desktop/stream/ws",
        endpoint=stream.connect,
        summary="Watch the desktop, and act on it with `control=true`; see docs/reference/stream.md",
        query=stream.StreamQuery,
        problems=(*ACTIVE, p.DesktopDependenciesMissing),
        control="control",
    ),
    Route(
        method="GET",
        path="/v1/desktop/stream/view",
        endpoint=viewer.view,
        summary="A page that shows the stream",
        query=stream.StreamQuery,
        linked=True,
        answers={200: ("text/html",)},
    ),
)

_RECORDING: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/desktop/recording/start",
        endpoint=recordings.start,
        summary="Record the desktop as MP4",
        body=wire.DesktopRecordingStartRequest,
        answers={200: wire.DesktopRecordingInfo},
        problems=(*_SEES, p.Conflict, p.DesktopDependenciesMissing),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/recording/stop",
        endpoint=recordings.stop,
        summary="End the recording",
        answers={200: wire.DesktopRecordingInfo},
        problems=(p.Conflict, p.DesktopScreenshotFailed),
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/desktop/recordings",
        endpoint=recordings.list_recordings,
        summary="List the recordings, the oldest first",
        answers={200: wire.DesktopRecordingListResponse},
        problems=(p.DesktopScreenshotFailed,),
    ),
    Route(
        method="GET",
        path="/v1/desktop/recordings/{id}",
        endpoint=recordings.get,
        summary="Tell about a recording",
        answers={200: wire.DesktopRecordingInfo},
        problems=(p.NotFound,),
    ),
    Route(
        method="GET",
        path="/v1/desktop/recordings/{id}/download",
        endpoint=recordings.download,
        summary="Download a recording, as MP4, or made a GIF or WebM",
        query=recordings.DownloadQuery,
        answers={200: tuple(MEDIA.values()), 206: tuple(MEDIA.values()), 304: None},
        problems=(
            p.DesktopInvalidAction,
            p.NotFound,
            p.Conflict,
            p.PreconditionFailed,
            p.RangeNotSatisfiable,
            p.DesktopScreenshotFailed,
            p.DesktopDependenciesMissing,
        ),
    ),
    Route(
        method="DELETE",
        path="/v1/desktop/recordings/{id}",
        endpoint=recordings.delete,
        summary="Delete a recording",
        answers={204: None},
        problems=(p.NotFound, p.Conflict),
    ),
)

_MCP: tuple[Route, ...] = (
    Route(
        method="POST",
        path=mcp.PATH,
        endpoint=mcp.answer,
        summary="See and use the desktop over the Model Context Protocol (streamable HTTP)",
        body=RawJson("McpMessage"),
        answers={200: RawJson("McpMessage"), 202: None},
        action=EXECUTE,
        lent=True,
    ),
)

ROUTES: tuple[Route, ...] = (*_LIFE, *_SEEING, *_MOUSE, *_KEYBOARD, *_WINDOWS, *_PROGRAMS, *_STREAM, *_RECORDING, *_MCP)

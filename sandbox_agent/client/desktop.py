"""The desktop, for blocking code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sandbox_agent.client import desktop_calls, desktop_commands, node_calls
from sandbox_agent.client.calls import perform
from sandbox_agent.client.desktop_calls import View
from sandbox_agent.client.desktop_results import WindowList
from sandbox_agent.client.nodes import Node, NodeList
from sandbox_agent.client.recording import DesktopRecording
from sandbox_agent.client.recordings import DesktopRecordings
from sandbox_agent.client.windows import Window
from sandbox_agent.wire.desktop_a11y import DesktopFindQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    from sandbox_agent.client.desktop_calls import Action, Box, Button, ImageFormat, Modifier, Selection, Shot
    from sandbox_agent.client.desktop_results import (
        ActionsResult,
        DesktopStatus,
        DisplayInfo,
        LaunchResult,
        Position,
        Screenshot,
    )
    from sandbox_agent.client.sync_driver import SyncDriver


class Desktop:
    """The desktop of the server: ``sdk.desktop``.

    Coordinates are pixels of the screen, from its upper left corner; those of a screenshot that shows a part of it, or
    is scaled, are told with that ``screenshot``. Everything but `start`, `stop` and `status` raises
    :class:`DesktopRuntimeInactive` while there is no desktop, and :class:`DesktopInvalidAction` for what makes no
    sense: a place outside the screen, an unknown key.
    """

    def __init__(self, driver: SyncDriver) -> None:
        self._driver = driver

    # -- life cycle ---------------------------------------------------------------------------------------------------

    def start(
        self,
        *,
        width: int | None = None,
        height: int | None = None,
        dpi: int | None = None,
        display_num: int | None = None,
        state_dir: str | PathLike[str] | None = None,
        stream_fps: int | None = None,
        recording_fps: int | None = None,
        webrtc_ports: tuple[int, int] | None = None,
    ) -> DesktopStatus:
        """Start the desktop, or tell about the one that runs.

        It has 1440x900 pixels of 96 dpi, and the first free display, unless told otherwise. ``state_dir`` is a folder
        of the server for its home and logs. ``stream_fps`` and ``recording_fps`` are 30 frames a second unless they
        are given; ``webrtc_ports`` are the first and the last that WebRTC may use. Raises
        :class:`DesktopDependenciesMissing`, whose hint installs what is missing.

        >>> from sandbox_agent import SandboxAgent
        >>> with SandboxAgent.start() as agent:
        ...     status = agent.desktop.start(width=800, height=600)
        ...     shot = agent.desktop.screenshot(scale=0.5)
        ...     (status.state, shot.width, shot.height)
        ('active', 400, 300)
        """
        screen, rates = (width, height, dpi), (stream_fps, recording_fps)
        call = desktop_calls.start(screen, display_num, state_dir, rates, webrtc_ports)
        return self._driver.run(perform(call))

    def stop(self) -> DesktopStatus:
        """End the desktop with all its programs."""
        return self._driver.run(perform(desktop_calls.stop()))

    def status(self) -> DesktopStatus:
        """The state of the desktop and of its parts, and what is missing for it."""
        return self._driver.run(perform(desktop_calls.status()))

    def display(self) -> DisplayInfo:
        """The display and its resolution."""
        return self._driver.run(perform(desktop_calls.display()))

    # -- seeing -------------------------------------------------------------------------------------------------------

    def screenshot(
        self,
        *,
        format: ImageFormat = "png",  # noqa: A002 - the wire's name
        quality: int | None = None,
        scale: float | None = None,
        region: Box | None = None,
        show_cursor: bool = False,
        marks: bool = False,
    ) -> Screenshot:
        """A picture of the screen, or of a ``region`` (x, y, width, height) of it; a notebook shows it.

        ``quality`` is of ``jpeg`` and ``webp``, 1 to 100; ``scale`` is 0.1 to 1. With ``marks`` it has numbered boxes
        over what can be acted on, which `click` takes as ``mark``; its ``marks`` tell what they are.
        """
        view = View(format, quality, scale, region, show_cursor, marks)
        return self._driver.run(node_calls.screenshot(view))

    def wait_idle(
        self,
        *,
        quiet: float = 0.5,
        timeout: float | None = 10.0,
        region: Box | None = None,
        threshold: int = 0,
    ) -> None:
        """Wait until nothing has changed on the screen for ``quiet`` seconds, or in a ``region`` of it.

        Changes of up to ``threshold`` pixels at once do not count: a cursor that blinks. Raises
        :class:`DesktopTimeout` after ``timeout`` seconds.
        """
        what = desktop_commands.wanted("idle", region, quiet=quiet, threshold=threshold)
        self._driver.run(desktop_commands.wait(what, timeout))

    def wait_change(self, *, timeout: float | None = 10.0, region: Box | None = None, threshold: int = 0) -> None:
        """Wait for the next change on the screen, or in a ``region`` of it; as `wait_idle`."""
        what = desktop_commands.wanted("change", region, threshold=threshold)
        self._driver.run(desktop_commands.wait(what, timeout))

    def wait_for_window(
        self,
        title: str | None = None,
        *,
        window_class: str | None = None,
        pid: int | None = None,
        timeout: float | None = 10.0,
    ) -> Window:
        """The window whose title contains ``title``, of that class and that process, once it is there.

        Raises :class:`DesktopTimeout` after ``timeout`` seconds.
        """
        info = self._driver.run(desktop_commands.wait_for_window(title, window_class, pid, timeout))
        return Window(self._driver, info)

    # -- what programs tell -------------------------------------------------------------------------------------------

    def tree(
        self,
        *,
        window: str | None = None,
        app: str | None = None,
        depth: int | None = None,
        limit: int = 1000,
        interesting_only: bool = True,
    ) -> NodeList[Node]:
        """What programs tell of their windows: programs, windows and all in them, as an outline.

        Of one ``window``, by its id, or of programs with ``app`` in their name; ``depth`` levels of it, and ``limit``
        nodes. Unless ``interesting_only`` is false, what has neither a name nor a use is left out. Raises
        :class:`DesktopDependenciesMissing`, whose hint installs what is needed.
        """
        call = node_calls.tree(window, app, depth, limit, interesting_only=interesting_only)
        told = self._driver.run(perform(call))
        return NodeList([Node(self._driver, info) for info in told.apps], told)

    def find(
        self,
        role: str | None = None,
        name: str | None = None,
        *,
        text: str | None = None,
        states: str | Iterable[str] | None = None,
        window: str | None = None,
        app: str | None = None,
        limit: int = 100,
    ) -> NodeList[Node]:
        """The nodes of that ``role``, with ``name`` in their name, ``text`` in their name or text, in those ``states``.

        Roles are such as ``button``, ``entry``, ``check box``, ``link``; states such as ``focused``, ``checked``.
        """
        given = node_calls.states(states)
        wanted = DesktopFindQuery(role=role, name=name, text=text, states=given, window=window, app=app, limit=limit)
        told = self._driver.run(perform(node_calls.find(wanted)))
        return NodeList([Node(self._driver, info) for info in told.nodes], told)

    def node(self, node_id: str) -> Node:
        """A node by its id, as it is now. Raises :class:`NodeNotFound`."""
        return Node(self._driver, self._driver.run(perform(node_calls.node(node_id))))

    # -- mouse --------------------------------------------------------------------------------------------------------

    def position(self) -> Position:
        """Where the pointer is, and over which window."""
        return self._driver.run(perform(desktop_calls.position()))

    def move(self, x: int, y: int, *, screenshot: Shot = None) -> Position:
        """Move the pointer."""
        return self._driver.run(perform(desktop_calls.move(x, y, screenshot)))

    def click(
        self,
        x: int | None = None,
        y: int | None = None,
        *,
        button: Button = "left",
        count: int = 1,
        modifiers: Iterable[Modifier] = (),
        screenshot: Shot = None,
        mark: int | None = None,
    ) -> Position:
        """Move the pointer and click, ``count`` times, with ``modifiers`` such as ``["ctrl"]`` held down.

        In place of coordinates, a ``mark`` of a ``screenshot`` may be told.
        """
        call = desktop_calls.click(x, y, button=button, count=count, modifiers=modifiers, shot=screenshot, mark=mark)
        return self._driver.run(perform(call))

    def double_click(
        self,
        x: int,
        y: int,
        *,
        button: Button = "left",
        modifiers: Iterable[Modifier] = (),
        screenshot: Shot = None,
    ) -> Position:
        """Move the pointer and click twice."""
        call = desktop_calls.click(x, y, button=button, count=2, modifiers=modifiers, shot=screenshot)
        return self._driver.run(perform(call))

    def mouse_down(
        self, x: int | None = None, y: int | None = None, *, button: Button = "left", screenshot: Shot = None
    ) -> Position:
        """Press a button and hold it, at a place or where the pointer is."""
        return self._driver.run(perform(desktop_calls.mouse_down(button, x, y, screenshot)))

    def mouse_up(
        self, x: int | None = None, y: int | None = None, *, button: Button = "left", screenshot: Shot = None
    ) -> Position:
        """Let a button go, at a place or where the pointer is."""
        return self._driver.run(perform(desktop_calls.mouse_up(button, x, y, screenshot)))

    def drag(
        self,
        start_x: int,
        start_y: int,
        end_x: int,
        end_y: int,
        *,
        button: Button = "left",
        screenshot: Shot = None,
    ) -> Position:
        """Press a button at one place, let it go at another."""
        call = desktop_calls.drag((start_x, start_y), (end_x, end_y), button, screenshot)
        return self._driver.run(perform(call))

    def scroll(self, x: int, y: int, delta_x: int = 0, delta_y: int = 0, *, screenshot: Shot = None) -> Position:
        """Move the pointer and turn the wheel, in notches: ``delta_y`` > 0 is down, ``delta_x`` > 0 is right."""
        return self._driver.run(perform(desktop_calls.scroll(x, y, delta_x, delta_y, screenshot)))

    # -- keyboard -----------------------------------------------------------------------------------------------------

    def type(self, text: str, *, delay: float | None = None) -> None:
        """Type any text into what has the focus; newline and tab are keys. ``delay`` is seconds between characters."""
        self._driver.run(perform(desktop_calls.type_text(text, delay)))

    def press(self, key: str) -> None:
        """Press a key or a chord and let it go: ``Return``, ``a``, ``ctrl+shift+t``. Its name is that of X."""
        self._driver.run(perform(desktop_calls.press(key)))

    def key_down(self, key: str) -> None:
        """Press a key and hold it."""
        self._driver.run(perform(desktop_calls.key_down(key)))

    def key_up(self, key: str) -> None:
        """Let a key go."""
        self._driver.run(perform(desktop_calls.key_up(key)))

    # -- recording ----------------------------------------------------------------------------------------------------

    def record(
        self, target: str | PathLike[str] | None = None, *, fps: int | None = None, overlay: bool = False
    ) -> DesktopRecording:
        """Record the desktop while a ``with`` block runs; its ``path`` is then the video on this machine.

        ``target`` ends in ``.mp4``, ``.gif`` or ``.webm``; without it the video stays with the server, as ``info``
        tells. ``overlay`` draws clicks and keys in, passwords among them. Raises :class:`Conflict` where another
        recording goes on.

        >>> with agent.desktop.record("demo.mp4") as recording:  # doctest: +SKIP
        ...     agent.desktop.click(10, 20)
        >>> recording.path.name  # doctest: +SKIP
        'demo.mp4'
        """
        return DesktopRecording(self._driver, target, fps=fps, overlay=overlay)

    @property
    def recordings(self) -> DesktopRecordings:
        """The recordings that the server keeps: start, stop, list, get, save, delete."""
        return DesktopRecordings(self._driver)

    # -- windows ------------------------------------------------------------------------------------------------------

    def windows(self) -> WindowList[Window]:
        """The windows, as a list that shows itself as a table in a notebook."""
        listing = self._driver.run(perform(desktop_calls.windows()))
        return WindowList([Window(self._driver, info) for info in listing.windows])

    def window(self, window_id: str) -> Window:
        """A window by its id. Raises :class:`WindowNotFound`."""
        return Window(self._driver, self._driver.run(desktop_commands.window(window_id)))

    def focused(self) -> Window | None:
        """The window that has the focus; None when none has."""
        info = self._driver.run(desktop_commands.focused())
        return None if info is None else Window(self._driver, info)

    # -- clipboard, programs, batches ---------------------------------------------------------------------------------

    def clipboard(self, selection: Selection = "clipboard") -> str:
        """The text of the clipboard, or of the ``primary`` selection, which is what was selected last."""
        return self._driver.run(perform(desktop_calls.clipboard(selection))).text

    def set_clipboard(self, text: str, selection: Selection | Literal["both"] = "clipboard") -> None:
        """Put text into the clipboard, the primary selection, or both."""
        self._driver.run(perform(desktop_calls.set_clipboard(text, selection)))

    def launch(self, app: str, args: Sequence[str] = (), *, wait: bool = False) -> LaunchResult:
        """Start a program on the desktop; with ``wait`` its ``window_id`` is known, if a window comes within 5 s.

        It is a process of the server, of owner ``desktop``. Raises :class:`AppNotFound`.
        """
        return self._driver.run(perform(desktop_calls.launch(app, args, wait=wait)))

    def open(self, target: str) -> LaunchResult:
        """Open a file or an address with the program for it. Raises :class:`AppNotFound` when there is none."""
        return self._driver.run(perform(desktop_calls.open_target(target)))

    def actions(self, actions: Iterable[Action], *, check: bool = True) -> ActionsResult:
        """Do several things in one request, in order, until the first that fails; what became of each.

        An action is a mapping such as ``{"type": "click", "x": 10, "y": 20}``: ``move``, ``click``, ``mouseDown``,
        ``mouseUp``, ``drag``, ``scroll``, ``type``, ``key``, ``keyDown``, ``keyUp``, ``wait`` and ``screenshot`` take
        what their routes do. Raises :class:`ActionFailed`, with what was done, unless ``check`` is false.
        """
        return self._driver.run(desktop_commands.actions(actions, check=check))

"""The desktop, for code on an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sandbox_agent.client import desktop_calls, desktop_commands, node_calls
from sandbox_agent.client.calls import perform
from sandbox_agent.client.desktop_calls import View
from sandbox_agent.client.desktop_results import WindowList
from sandbox_agent.client.nodes import AsyncNode, NodeList
from sandbox_agent.client.recording import AsyncDesktopRecording
from sandbox_agent.client.recordings import AsyncDesktopRecordings
from sandbox_agent.client.windows import AsyncWindow
from sandbox_agent.wire.desktop_a11y import DesktopFindQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    from sandbox_agent.client.async_driver import AsyncDriver
    from sandbox_agent.client.desktop_calls import Action, Box, Button, ImageFormat, Modifier, Selection, Shot
    from sandbox_agent.client.desktop_results import (
        ActionsResult,
        DesktopStatus,
        DisplayInfo,
        LaunchResult,
        Position,
        Screenshot,
    )


class AsyncDesktop:
    """The desktop of the server: ``sdk.desktop``.

    See :class:`~sandbox_agent.client.desktop.Desktop`.
    """

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    # -- life cycle ---------------------------------------------------------------------------------------------------

    async def start(
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
        """See :meth:`Desktop.start`."""
        screen, rates = (width, height, dpi), (stream_fps, recording_fps)
        call = desktop_calls.start(screen, display_num, state_dir, rates, webrtc_ports)
        return await self._driver.run(perform(call))

    async def stop(self) -> DesktopStatus:
        """See :meth:`Desktop.stop`."""
        return await self._driver.run(perform(desktop_calls.stop()))

    async def status(self) -> DesktopStatus:
        """See :meth:`Desktop.status`."""
        return await self._driver.run(perform(desktop_calls.status()))

    async def display(self) -> DisplayInfo:
        """See :meth:`Desktop.display`."""
        return await self._driver.run(perform(desktop_calls.display()))

    # -- seeing -------------------------------------------------------------------------------------------------------

    async def screenshot(
        self,
        *,
        format: ImageFormat = "png",  # noqa: A002 - the wire's name
        quality: int | None = None,
        scale: float | None = None,
        region: Box | None = None,
        show_cursor: bool = False,
        marks: bool = False,
    ) -> Screenshot:
        """See :meth:`Desktop.screenshot`."""
        view = View(format, quality, scale, region, show_cursor, marks)
        return await self._driver.run(node_calls.screenshot(view))

    async def wait_idle(
        self,
        *,
        quiet: float = 0.5,
        timeout: float | None = 10.0,  # noqa: ASYNC109 - it ends the wait alone
        region: Box | None = None,
        threshold: int = 0,
    ) -> None:
        """See :meth:`Desktop.wait_idle`."""
        what = desktop_commands.wanted("idle", region, quiet=quiet, threshold=threshold)
        await self._driver.run(desktop_commands.wait(what, timeout))

    async def wait_change(
        self,
        *,
        timeout: float | None = 10.0,  # noqa: ASYNC109 - it ends the wait alone
        region: Box | None = None,
        threshold: int = 0,
    ) -> None:
        """See :meth:`Desktop.wait_change`."""
        what = desktop_commands.wanted("change", region, threshold=threshold)
        await self._driver.run(desktop_commands.wait(what, timeout))

    async def wait_for_window(
        self,
        title: str | None = None,
        *,
        window_class: str | None = None,
        pid: int | None = None,
        timeout: float | None = 10.0,  # noqa: ASYNC109 - it ends the wait alone
    ) -> AsyncWindow:
        """See :meth:`Desktop.wait_for_window`."""
        info = await self._driver.run(desktop_commands.wait_for_window(title, window_class, pid, timeout))
        return AsyncWindow(self._driver, info)

    # -- what programs tell -------------------------------------------------------------------------------------------

    async def tree(
        self,
        *,
        window: str | None = None,
        app: str | None = None,
        depth: int | None = None,
        limit: int = 1000,
        interesting_only: bool = True,
    ) -> NodeList[AsyncNode]:
        """See :meth:`Desktop.tree`."""
        call = node_calls.tree(window, app, depth, limit, interesting_only=interesting_only)
        told = await self._driver.run(perform(call))
        return NodeList([AsyncNode(self._driver, info) for info in told.apps], told)

    async def find(
        self,
        role: str | None = None,
        name: str | None = None,
        *,
        text: str | None = None,
        states: str | Iterable[str] | None = None,
        window: str | None = None,
        app: str | None = None,
        limit: int = 100,
    ) -> NodeList[AsyncNode]:
        """See :meth:`Desktop.find`."""
        given = node_calls.states(states)
        wanted = DesktopFindQuery(role=role, name=name, text=text, states=given, window=window, app=app, limit=limit)
        told = await self._driver.run(perform(node_calls.find(wanted)))
        return NodeList([AsyncNode(self._driver, info) for info in told.nodes], told)

    async def node(self, node_id: str) -> AsyncNode:
        """See :meth:`Desktop.node`."""
        return AsyncNode(self._driver, await self._driver.run(perform(node_calls.node(node_id))))

    # -- mouse --------------------------------------------------------------------------------------------------------

    async def position(self) -> Position:
        """See :meth:`Desktop.position`."""
        return await self._driver.run(perform(desktop_calls.position()))

    async def move(self, x: int, y: int, *, screenshot: Shot = None) -> Position:
        """See :meth:`Desktop.move`."""
        return await self._driver.run(perform(desktop_calls.move(x, y, screenshot)))

    async def click(
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
        """See :meth:`Desktop.click`."""
        call = desktop_calls.click(x, y, button=button, count=count, modifiers=modifiers, shot=screenshot, mark=mark)
        return await self._driver.run(perform(call))

    async def double_click(
        self,
        x: int,
        y: int,
        *,
        button: Button = "left",
        modifiers: Iterable[Modifier] = (),
        screenshot: Shot = None,
    ) -> Position:
        """See :meth:`Desktop.double_click`."""
        call = desktop_calls.click(x, y, button=button, count=2, modifiers=modifiers, shot=screenshot)
        return await self._driver.run(perform(call))

    async def mouse_down(
        self, x: int | None = None, y: int | None = None, *, button: Button = "left", screenshot: Shot = None
    ) -> Position:
        """See :meth:`Desktop.mouse_down`."""
        return await self._driver.run(perform(desktop_calls.mouse_down(button, x, y, screenshot)))

    async def mouse_up(
        self, x: int | None = None, y: int | None = None, *, button: Button = "left", screenshot: Shot = None
    ) -> Position:
        """See :meth:`Desktop.mouse_up`."""
        return await self._driver.run(perform(desktop_calls.mouse_up(button, x, y, screenshot)))

    async def drag(
        self,
        start_x: int,
        start_y: int,
        end_x: int,
        end_y: int,
        *,
        button: Button = "left",
        screenshot: Shot = None,
    ) -> Position:
        """See :meth:`Desktop.drag`."""
        call = desktop_calls.drag((start_x, start_y), (end_x, end_y), button, screenshot)
        return await self._driver.run(perform(call))

    async def scroll(self, x: int, y: int, delta_x: int = 0, delta_y: int = 0, *, screenshot: Shot = None) -> Position:
        """See :meth:`Desktop.scroll`."""
        return await self._driver.run(perform(desktop_calls.scroll(x, y, delta_x, delta_y, screenshot)))

    # -- keyboard -----------------------------------------------------------------------------------------------------

    async def type(self, text: str, *, delay: float | None = None) -> None:
        """See :meth:`Desktop.type`."""
        await self._driver.run(perform(desktop_calls.type_text(text, delay)))

    async def press(self, key: str) -> None:
        """See :meth:`Desktop.press`."""
        await self._driver.run(perform(desktop_calls.press(key)))

    async def key_down(self, key: str) -> None:
        """See :meth:`Desktop.key_down`."""
        await self._driver.run(perform(desktop_calls.key_down(key)))

    async def key_up(self, key: str) -> None:
        """See :meth:`Desktop.key_up`."""
        await self._driver.run(perform(desktop_calls.key_up(key)))

    # -- recording ----------------------------------------------------------------------------------------------------

    def record(
        self, target: str | PathLike[str] | None = None, *, fps: int | None = None, overlay: bool = False
    ) -> AsyncDesktopRecording:
        """See :meth:`Desktop.record`."""
        return AsyncDesktopRecording(self._driver, target, fps=fps, overlay=overlay)

    @property
    def recordings(self) -> AsyncDesktopRecordings:
        """See :attr:`Desktop.recordings`."""
        return AsyncDesktopRecordings(self._driver)

    # -- windows ------------------------------------------------------------------------------------------------------

    async def windows(self) -> WindowList[AsyncWindow]:
        """See :meth:`Desktop.windows`."""
        listing = await self._driver.run(perform(desktop_calls.windows()))
        return WindowList([AsyncWindow(self._driver, info) for info in listing.windows])

    async def window(self, window_id: str) -> AsyncWindow:
        """See :meth:`Desktop.window`."""
        return AsyncWindow(self._driver, await self._driver.run(desktop_commands.window(window_id)))

    async def focused(self) -> AsyncWindow | None:
        """See :meth:`Desktop.focused`."""
        info = await self._driver.run(desktop_commands.focused())
        return None if info is None else AsyncWindow(self._driver, info)

    # -- clipboard, programs, batches ---------------------------------------------------------------------------------

    async def clipboard(self, selection: Selection = "clipboard") -> str:
        """See :meth:`Desktop.clipboard`."""
        return (await self._driver.run(perform(desktop_calls.clipboard(selection)))).text

    async def set_clipboard(self, text: str, selection: Selection | Literal["both"] = "clipboard") -> None:
        """See :meth:`Desktop.set_clipboard`."""
        await self._driver.run(perform(desktop_calls.set_clipboard(text, selection)))

    async def launch(self, app: str, args: Sequence[str] = (), *, wait: bool = False) -> LaunchResult:
        """See :meth:`Desktop.launch`."""
        return await self._driver.run(perform(desktop_calls.launch(app, args, wait=wait)))

    async def open(self, target: str) -> LaunchResult:
        """See :meth:`Desktop.open`."""
        return await self._driver.run(perform(desktop_calls.open_target(target)))

    async def actions(self, actions: Iterable[Action], *, check: bool = True) -> ActionsResult:
        """See :meth:`Desktop.actions`."""
        return await self._driver.run(desktop_commands.actions(actions, check=check))

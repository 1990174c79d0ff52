"""The desktop as tools for a model: arguments as structs, answers as text and pictures.

Coordinates are pixels of the screenshot that is named, or of the caller's last one. Pictures are scaled down so that
models see them as they are, and what is done on them is mapped back to the screen. The desktop is started at the
first use where it is not active.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

from sandbox_agent.desktop.acts import view_of
from sandbox_agent.desktop.batch import perform
from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.problems import DesktopInvalidAction, Problem
from sandbox_agent.wire import desktop_actions as act
from sandbox_agent.wire.desktop import DesktopKeyModifiers, DesktopStartRequest, DesktopWait
from sandbox_agent.wire.desktop_a11y import DesktopTreeQuery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.wire.desktop_a11y import DesktopNode

LONGEST_SIDE = 1280
"""Pixels of a screenshot's longer side, above which it is scaled down."""
_KEPT_CALLERS = 256
_MOST_STEPS = 20

Button: TypeAlias = Literal["left", "middle", "right"]
ShotId: TypeAlias = Annotated[
    str | None, msgspec.Meta(description="The screenshot x and y are pixels of; your last one by default.")
]
_X: TypeAlias = Annotated[int, msgspec.Meta(description="Pixels from the left of the screenshot.")]
_Y: TypeAlias = Annotated[int, msgspec.Meta(description="Pixels from the top of the screenshot.")]


class Arguments(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """What a tool is given."""


class ScreenshotArguments(Arguments, tag_field="do", tag="screenshot", frozen=True, kw_only=True):
    """With ``x``, ``y``, ``width`` and ``height``, in pixels of the last screenshot: that part, larger."""

    x: int | None = None
    y: int | None = None
    width: int | None = None
    height: int | None = None
    screenshot_id: ShotId = None


class ClickArguments(Arguments, tag_field="do", tag="click", frozen=True, kw_only=True):
    x: _X
    y: _Y
    button: Button = "left"
    count: Annotated[int, msgspec.Meta(ge=1, le=3, description="2 is a double click.")] = 1
    modifiers: tuple[Literal["ctrl", "shift", "alt", "cmd"], ...] = ()
    screenshot_id: ShotId = None


class TypeArguments(Arguments, tag_field="do", tag="type", frozen=True, kw_only=True):
    text: Annotated[str, msgspec.Meta(description="Any Unicode; a newline is the key Return.")]


class KeyArguments(Arguments, tag_field="do", tag="key", frozen=True, kw_only=True):
    key: Annotated[str, msgspec.Meta(description="An X keysym such as Return, Escape, F5, or a chord: ctrl+shift+a.")]


class ScrollArguments(Arguments, tag_field="do", tag="scroll", frozen=True, kw_only=True):
    x: _X
    y: _Y
    down: Annotated[int, msgspec.Meta(description="Notches of the wheel; negative is up.")] = 0
    right: Annotated[int, msgspec.Meta(description="Notches to the right; negative is left.")] = 0
    screenshot_id: ShotId = None


class WaitArguments(Arguments, tag_field="do", tag="wait", frozen=True, kw_only=True):
    until: Annotated[
        Literal["idle", "change", "window"],
        msgspec.Meta(description="A still screen, its next change, or a window with this title."),
    ] = "idle"
    title: str | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 10_000
    quiet_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 500


class WindowsArguments(Arguments, tag_field="do", tag="windows", frozen=True, kw_only=True):
    focus: Annotated[str | None, msgspec.Meta(description="The id of a window to give the focus first.")] = None


class TreeArguments(Arguments, tag_field="do", tag="tree", frozen=True, kw_only=True):
    app: Annotated[str | None, msgspec.Meta(description="A part of a program's name.")] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 300


Step: TypeAlias = ScreenshotArguments | ClickArguments | TypeArguments | KeyArguments | ScrollArguments | WaitArguments


class ActionsArguments(Arguments, tag_field="do", tag="actions", frozen=True, kw_only=True):
    actions: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=_MOST_STEPS)]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """``data`` is base64."""

    data: str
    media: str


Content: TypeAlias = "list[Text | Image]"


@dataclass(frozen=True, slots=True)
class _View:
    """A caller's last screenshot: what of the screen it shows, and its own width and height in pixels."""

    id: str
    region: Region
    size: tuple[int, int]

    def place(self, box: Region) -> str:
        """Where a part of the screen is in it."""
        shown = self.region
        if box.overlap(shown) is None:
            return "not in the screenshot"
        across, down = self.size[0] / shown.width, self.size[1] / shown.height
        x, y = round((box.x - shown.x) * across), round((box.y - shown.y) * down)
        return f"{round(box.width * across)}x{round(box.height * down)} at {x}, {y} of the screenshot"


@dataclass(frozen=True, slots=True)
class Tool:
    """``does`` gets who calls, and the arguments as a struct."""

    name: str
    description: str
    arguments: type[Arguments]
    does: Callable[[str, Any], Awaitable[Content]]
    looks: bool = False


class Tools:
    """``caller`` tells callers apart: each has a last screenshot of its own."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self._last: OrderedDict[str, _View] = OrderedDict()
        tools = (
            Tool("screenshot", "See the screen.", ScreenshotArguments, self._screenshot, looks=True),
            Tool("click", "Click on a pixel of the screenshot.", ClickArguments, self._act),
            Tool("type", "Type text where the focus is.", TypeArguments, self._act),
            Tool("key", "Press a key or a chord.", KeyArguments, self._act),
            Tool("scroll", "Turn the wheel over a pixel of the screenshot.", ScrollArguments, self._act),
            Tool("wait", "Wait for a still screen, a change, or a window.", WaitArguments, self._wait, looks=True),
            Tool("windows", "List the windows, and focus one.", WindowsArguments, self._windows),
            Tool("tree", "What programs tell of their windows, as text.", TreeArguments, self._tree, looks=True),
            Tool("actions", "Several of these in order, until one fails.", ActionsArguments, self._actions),
        )
        self.by_name = {tool.name: tool for tool in tools}

    async def call(self, caller: str, name: str, arguments: Any) -> Content:
        """Raises ``KeyError`` for no such tool, ``msgspec.ValidationError`` for bad arguments, and what tools raise."""
        tool = self.by_name[name]
        given = msgspec.convert({**arguments, "do": name}, tool.arguments)
        if self._desktop.state in {"inactive", "install_required"}:
            await self._desktop.start(DesktopStartRequest())
        return await tool.does(caller, given)

    # -- the tools ------------------------------------------------------------------------------------------------

    async def _screenshot(self, caller: str, given: ScreenshotArguments) -> Content:
        region = self._region(caller, given)
        size = self._desktop.x11.size if region is None else (region.width, region.height)
        scale = max(0.1, min(1.0, LONGEST_SIDE / max(size)))
        shot = await self._desktop.acts.screenshot(view_of("png", None, scale, region, cursor=True))
        self._last[caller] = _View(shot.id, region or Region(0, 0, *size), (shot.width, shot.height))
        self._last.move_to_end(caller)
        while len(self._last) > _KEPT_CALLERS:
            self._last.popitem(last=False)
        text = f"screenshot {shot.id}: {shot.width}x{shot.height} pixels"
        return [Text(text), Image(base64.b64encode(shot.data).decode(), shot.media_type)]

    def _region(self, caller: str, given: ScreenshotArguments) -> Region | None:
        corner = (given.x, given.y, given.width, given.height)
        if corner == (None,) * 4:
            return None
        if given.x is None or given.y is None or not given.width or not given.height:
            raise DesktopInvalidAction("x, y, width and height come together")
        x, y = self._pixel(caller, given.screenshot_id, given.x, given.y)
        last = given.x + given.width - 1, given.y + given.height - 1
        right, bottom = self._pixel(caller, given.screenshot_id, *last)
        return Region(x, y, right - x + 1, bottom - y + 1)

    def _pixel(self, caller: str, shot: str | None, x: int, y: int) -> tuple[int, int]:
        name = self._named(caller, shot)
        return (x, y) if name is None else self._desktop.x11.screenshots.to_screen(name, x, y)

    def _named(self, caller: str, shot: str | None) -> str | None:
        return shot or (self._last[caller].id if caller in self._last else None)

    def _place(self, caller: str, x: int, y: int, width: int, height: int) -> str:
        """A part of the screen as its caller's clicks would have it: in its last screenshot, if it has taken one."""
        view = self._last.get(caller)
        return (
            f"{width}x{height} at {x}, {y} of the screen" if view is None else view.place(Region(x, y, width, height))
        )

    async def _act(self, caller: str, given: Any) -> Content:
        await perform(self._desktop.acts, self._action(caller, given))
        return [Text("done")]

    def _action(self, caller: str, given: Any) -> act.ClickAction | act.TypeAction | act.KeyAction | act.ScrollAction:
        match given:
            case ClickArguments():
                return act.ClickAction(
                    x=given.x,
                    y=given.y,
                    button=given.button,
                    click_count=given.count,
                    modifiers=DesktopKeyModifiers(**dict.fromkeys(given.modifiers, True)),
                    screenshot_id=self._named(caller, given.screenshot_id),
                )
            case ScrollArguments():
                shot = self._named(caller, given.screenshot_id)
                return act.ScrollAction(
                    x=given.x, y=given.y, delta_x=given.right, delta_y=given.down, screenshot_id=shot
                )
            case TypeArguments():
                return act.TypeAction(text=given.text)
            case _:
                return act.KeyAction(key=given.key)

    async def _wait(self, _: str, given: WaitArguments) -> Content:
        wanted = DesktopWait(until=given.until, title=given.title, timeout_ms=given.timeout_ms, quiet_ms=given.quiet_ms)
        waited = await self._desktop.wait(wanted)
        window = f": {waited.window.title}" if waited.window is not None else ""
        come = f"it has come{window}" if waited.met else "it has not come"
        return [Text(f"{come}, after {waited.elapsed_ms} ms")]

    async def _windows(self, caller: str, given: WindowsArguments) -> Content:
        windows = self._desktop.x11.windows
        if given.focus is not None:
            await windows.focus(given.focus)
        lines = []
        for one in await windows.list():
            place = self._place(caller, one.x, one.y, one.width, one.height)
            state = f"{', active' if one.is_active else ''}{', minimized' if one.is_minimized else ''}"
            lines.append(f"{one.id}: {one.title!r} ({one.window_class or 'no class'}), {place}{state}")
        return [Text("\n".join(lines) or "no windows")]

    async def _tree(self, caller: str, given: TreeArguments) -> Content:
        tree = await self._desktop.a11y.tree(DesktopTreeQuery(app=given.app, limit=given.limit))
        lines = [line for app in tree.apps for line in _outline(app, 0, partial(self._place, caller))]
        if tree.partial or tree.truncated:
            lines.append("(there is more)")
        return [Text("\n".join(lines) or "no program tells anything")]

    async def _actions(self, caller: str, given: ActionsArguments) -> Content:
        content: Content = []
        for number, step in enumerate(given.actions, 1):
            name = str(step.__struct_config__.tag)
            try:
                content += await self.by_name[name].does(caller, step)
            except Problem as problem:
                raise type(problem)(f"action {number} ({name}): {problem.detail}", hint=problem.hint) from problem
        return content


def _outline(node: DesktopNode, level: int, place: Callable[[int, int, int, int], str]) -> list[str]:
    """A line for each node: its role and name, where it is, and its state."""
    box = f" [{place(node.box.x, node.box.y, node.box.width, node.box.height)}]" if node.box else ""
    states = f" ({', '.join(node.states)})" if node.states else ""
    text = f" = {node.text!r}" if node.text else ""
    line = f"{'  ' * level}{node.role} {node.name!r}{text}{states}{box}"
    return [line, *(deeper for child in node.children for deeper in _outline(child, level + 1, place))]

"""What `desktop` answers: the wire structs of the desktop, dressed for a notebook."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, TypeVar

import msgspec

from sandbox_agent.client.errors import ExtraMissing, ProtocolMismatch
from sandbox_agent.client.results import Listing, pretty
from sandbox_agent.wire import desktop

if TYPE_CHECKING:
    from os import PathLike

    from PIL.Image import Image

    from sandbox_agent.client.effects import Reply
    from sandbox_agent.wire.base import JsonObject
    from sandbox_agent.wire.desktop_a11y import DesktopMark
    from sandbox_agent.wire.desktop_actions import DesktopActionResult, DesktopActionsResponse, DesktopScreenshotData

_SUFFIXES: Final = {"png": {".png"}, "jpeg": {".jpg", ".jpeg", ".jpe"}, "webp": {".webp"}}


class Region(NamedTuple):
    """A part of the screen, in its pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, repr=False)
class Screenshot:
    """A picture of the screen, or of the ``region`` of it; a notebook shows it.

    ``data`` are its bytes in its ``format`` (``png``, ``jpeg`` or ``webp``), ``width`` and ``height`` its own size:
    that of the region times ``scale``. Its ``id`` lets a click be told in its own pixels. ``marks`` are what the
    numbers on it stand for, where it has some.
    """

    id: str
    format: str
    data: bytes
    width: int
    height: int
    region: Region
    scale: float = 1.0
    marks: tuple[DesktopMark, ...] = ()

    @cached_property
    def image(self) -> Image:
        """As a Pillow image. Raises :class:`ExtraMissing` where Pillow is not installed."""
        try:
            from PIL import Image  # noqa: PLC0415
        except ImportError as error:
            raise ExtraMissing("Pillow", "desktop") from error
        with Image.open(io.BytesIO(self.data)) as image:
            image.load()
            return image

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it to a file of this machine; where it is. Another format than its own, by the suffix, needs Pillow."""
        file = Path(path)
        if not file.suffix or file.suffix.lower() in _SUFFIXES[self.format]:
            file.write_bytes(self.data)
        else:
            self.image.save(file)
        return file

    def __repr__(self) -> str:
        return f"<Screenshot {self.id} {self.format} {self.width}x{self.height} {len(self.data)} bytes>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's
        return {self.media_type: base64.b64encode(self.data).decode("ascii"), "text/plain": repr(self)}

    @classmethod
    def of_reply(cls, reply: Reply) -> Self:
        """From its bytes and the headers that describe it. Raises :class:`ProtocolMismatch`."""
        try:
            width, height = map(int, reply.headers["x-screenshot-size"].split("x"))
            x, y, wide, high = map(int, reply.headers["x-screenshot-region"].split(","))
            scale = float(reply.headers["x-screenshot-scale"])
            name = reply.headers["x-screenshot-id"]
        except (KeyError, ValueError) as error:
            raise ProtocolMismatch("the answer is not a screenshot") from error
        image = reply.media_type.removeprefix("image/")
        return cls(name, image, reply.body, width, height, Region(x, y, wide, high), scale)

    @classmethod
    def of_data(cls, given: DesktopScreenshotData) -> Self:
        """From one that came within an answer."""
        region = Region(given.x, given.y, round(given.width / given.scale), round(given.height / given.scale))
        data = base64.b64decode(given.data)
        return cls(given.id, given.format, data, given.width, given.height, region, given.scale, given.marks or ())


class DesktopStatus(desktop.DesktopStatusResponse, omit_defaults=False, frozen=True, kw_only=True):
    """The state of the desktop, and with ``install_command`` what brings what is missing for it."""

    @property
    def active(self) -> bool:
        return self.state == "active"

    def __repr__(self) -> str:
        return f"<DesktopStatus {self.state}{f' {self.display}' if self.display else ''}>"

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.desktop_text(self)

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.desktop_html(self)


class DisplayInfo(desktop.DesktopDisplayInfoResponse, frozen=True, kw_only=True):
    """The display's name (for ``DISPLAY``), and its ``resolution``."""


class Position(desktop.DesktopMousePositionResponse, frozen=True, kw_only=True):
    """Where the pointer is, in pixels of the screen; ``window`` is the id of the window below it."""


class LaunchResult(desktop.DesktopLaunchResponse, frozen=True, kw_only=True):
    """A program that was started: ``process_id`` is for ``sdk.processes``, ``window_id`` is its window's."""


class WindowInfo(desktop.DesktopWindowInfo, omit_defaults=False, frozen=True, kw_only=True):
    """A window as it was when asked."""

    @property
    def region(self) -> Region:
        return Region(self.x, self.y, self.width, self.height)

    def __repr__(self) -> str:
        return f"<WindowInfo {self.id} {self.title!r} {self.width}x{self.height} at {self.x}, {self.y}>"


class HasInfo(Protocol):
    """A window of one SDK or the other."""

    @property
    def info(self) -> WindowInfo: ...


W = TypeVar("W", bound=HasInfo)


class WindowList(Listing[W]):
    """The windows, as the window manager lists them."""

    __slots__ = ()

    def get(self, title: str) -> W | None:
        """The first window whose title contains ``title``."""
        return next((window for window in self.items if title in window.info.title), None)

    def __str__(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.windows_text([window.info for window in self.items])

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from sandbox_agent import render  # noqa: PLC0415

        return render.windows_html([window.info for window in self.items])


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What became of one action: ``position`` of the pointer, or the ``screenshot``, or the ``problem``'s document."""

    type: str
    ok: bool
    position: Position | None = None
    screenshot: Screenshot | None = None
    wait: desktop.DesktopWaitResponse | None = None
    problem: JsonObject | None = None

    @classmethod
    def of(cls, result: DesktopActionResult) -> Self:
        where, shot = result.position, result.screenshot
        return cls(
            type=result.type,
            ok=result.ok,
            position=None if where is None else msgspec.convert(where, Position, from_attributes=True),
            screenshot=None if shot is None else Screenshot.of_data(shot),
            wait=result.wait,
            problem=result.problem,
        )


class ActionsResult(Listing[ActionResult]):
    """What became of each action that was tried; with ``ok`` that is all of them."""

    __slots__ = ("ok",)

    def __init__(self, answer: DesktopActionsResponse) -> None:
        super().__init__([ActionResult.of(result) for result in answer.results])
        self.ok = answer.ok

    @property
    def screenshots(self) -> tuple[Screenshot, ...]:
        return tuple(result.screenshot for result in self.items if result.screenshot is not None)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's
        """The last screenshot, if there is one."""
        shown = {"text/plain": repr(self)}
        return self.screenshots[-1]._repr_mimebundle_() | shown if self.screenshots else shown

"""`/v1/desktop/screenshot`: a picture with what is needed to click on it, and none while nothing has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.desktop.acts import region_of, view_of
from sandbox_agent.server import ranges
from sandbox_agent.server.call import Answer
from sandbox_agent.wire.desktop import DesktopScreenshotFormat

if TYPE_CHECKING:
    from sandbox_agent.desktop.acts import View
    from sandbox_agent.desktop.x11.screenshots import Screenshot
    from sandbox_agent.server.call import Call

_CACHE = ("Cache-Control", "private, no-cache")  # a client may keep it, and must ask whether it is still so


class ScreenshotQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """``quality`` (of jpeg and webp) is 1 to 100, 85 by default; ``scale`` 0.1 to 1.0.

    ``marks``: with numbered boxes over what can be acted on, which `/v1/desktop/a11y/marks` tells, and which may be
    clicked on by their numbers.
    """

    format: DesktopScreenshotFormat | None = None
    quality: int | None = None
    scale: float | None = None
    show_cursor: bool | None = None
    marks: bool = False


class RegionQuery(ScreenshotQuery, rename="camel", frozen=True, kw_only=True):
    """The region in pixels of the screen, wholly on it."""

    x: int
    y: int
    width: int
    height: int


async def screenshot(call: Call) -> Answer:
    query: ScreenshotQuery = call.query
    view = view_of(query.format, query.quality, query.scale, None, cursor=query.show_cursor)
    return await _take(call, view, marks=query.marks)


async def region(call: Call) -> Answer:
    query: RegionQuery = call.query
    part = region_of(query.x, query.y, query.width, query.height)
    view = view_of(query.format, query.quality, query.scale, part, cursor=query.show_cursor)
    return await _take(call, view, marks=query.marks)


async def _take(call: Call, view: View, *, marks: bool) -> Answer:
    acts = call.sandbox.desktop.acts
    if marks:
        view = await acts.marked(view)
    known = call.headers.get("If-None-Match")
    if known is not None:
        tag = await acts.screenshot_tag(view)
        if ranges.matches(known, tag, weak=True):
            return Answer(status=304, headers=(("ETag", tag), _CACHE))
    shot = await acts.screenshot(view)
    headers = _headers(shot)
    if view.marking is not None:
        headers += (("X-Screenshot-Marks", str(len(view.marking.places))),)
    return Answer(body=shot.data, media=shot.media_type, headers=headers)


def _headers(shot: Screenshot) -> tuple[tuple[str, str], ...]:
    """The screenshot's id, its size, and its transform: a pixel of it shows ``offset + pixel / scale`` on the screen.

    ``X-Screenshot-Region`` is what it shows of the screen, as x, y, width, height.
    """
    place = shot.region
    return (
        ("ETag", shot.etag),
        _CACHE,
        ("X-Screenshot-Id", shot.id),
        ("X-Screenshot-Size", f"{shot.width}x{shot.height}"),
        ("X-Screenshot-Region", f"{place.x},{place.y},{place.width},{place.height}"),
        ("X-Screenshot-Scale", f"{shot.scale:g}"),
        ("X-Screenshot-Damage", str(shot.damage)),
    )

"""What changes on the screen is told, where and once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Xlib import X
from Xlib.protocol import request as requests

from sandbox_agent.desktop.x11.connection import connect
from sandbox_agent.desktop.x11.geometry import Region

from .programs import eventually
from .recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.damage import Taken
    from sandbox_agent.desktop.x11.desktop import X11

    from .programs import Screen


async def test_listeners_are_told_where_the_screen_changed(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """All of what changed, and the counter with it."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    wanted = Region(*recorder.at(200, 100), 100, 100)
    seen: list[Region] = []
    forget = await x11.damage.listen(seen.extend)
    before = x11.damage.counter
    await x11.keyboard.press("F2")

    async def covered() -> bool:
        return any(region.overlap(wanted) == wanted for region in seen)

    await eventually(covered, "the square's change")
    assert x11.damage.counter > before
    forget()


async def test_a_listener_that_has_gone_is_told_nothing(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """The other still is."""
    await Recorder.start(x11, screen, tmp_path)
    gone: list[Sequence[Region]] = []
    there: list[Sequence[Region]] = []
    forget = await x11.damage.listen(gone.append)
    forget_other = await x11.damage.listen(there.append)
    forget()
    gone.clear()
    await x11.keyboard.press("F2")

    async def told() -> bool:
        return bool(there)

    await eventually(told, "a change")
    assert gone == []
    forget_other()


async def test_a_look_in_between_takes_no_news_from_listeners(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """Screenshots take damage too; listeners hear of it all the same."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    wanted = Region(*recorder.at(200, 100), 100, 100)
    seen: list[Region] = []
    forget = await x11.damage.listen(seen.extend)
    await x11.keyboard.press("F2")

    async def covered() -> bool:
        await x11.screenshots.etag()
        return any(region.overlap(wanted) == wanted for region in seen)

    await eventually(covered, "the square's change")
    forget()


async def test_what_changes_after_the_taking_counts_for_the_next_look(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """A picture that shows a change which came after its damage was taken is not counted as one of it."""
    await Recorder.start(x11, screen, tmp_path)
    damage = x11.damage

    def draw(other: Connection) -> None:
        context = other.allocate()
        attributes = {"subwindow_mode": X.IncludeInferiors, "foreground": 1}
        requests.CreateGC(display=other, cid=context, drawable=other.root, attrs=attributes)
        area = {"x": 3, "y": 4, "width": 50, "height": 60}
        requests.PolyFillRectangle(display=other, drawable=other.root, gc=context, rectangles=[area])
        other.sync()

    def look(connection: Connection) -> tuple[int, Taken, bool, Taken]:
        before = damage.take(connection)
        asked = damage.ask(connection, wanted=True)
        connection.flush()
        connection.sync()  # so the damage has been taken when the other draws
        other = connect(screen.name, screen.authority, 5.0)
        try:
            draw(other)
        finally:
            other.close_internal("client")
        connection.sync()  # so the news of it is here
        first = damage.settle(asked)
        return before, first, damage.dirty, damage.settle(damage.ask(connection, wanted=True))

    before, first, dirty, second = await x11.screenshots._capture.display.call(look)
    assert (first.counter, second.counter) == (before, before + 1)
    assert dirty
    assert any(region.overlap(Region(3, 4, 50, 60)) == Region(3, 4, 50, 60) for region in second.regions)


def test_overlaps_are_what_both_have() -> None:
    one = Region(10, 10, 20, 20)
    assert one.overlap(Region(25, 5, 50, 10)) == Region(25, 10, 5, 5)
    assert one.overlap(Region(30, 10, 5, 5)) is None
    assert one.overlap(one) == one

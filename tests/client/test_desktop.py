"""The desktop through both SDKs: a real Xvfb behind the real server, with xterm and a Tk program on it."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from sandbox_agent import (
    ActionFailed,
    AppNotFound,
    DesktopInvalidAction,
    DesktopRuntimeInactive,
    DesktopTimeout,
    ExtraMissing,
    WindowNotFound,
)
from sandbox_agent.wire.desktop_actions import MoveAction, TypeAction

from ..support import desktop_app
from ..support.desktop import some_display
from ..support.safe_html import faults
from ..support.server import poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = (640, 480)


@pytest.fixture
def desktop(agent: Any) -> Iterator[Any]:
    """The active desktop of a server; what a test launched on it is gone after it."""
    desktop = agent.desktop
    if not desktop.status().active:
        desktop.start(width=SIZE[0], height=SIZE[1], display_num=some_display())
    yield desktop
    if desktop.status().active:
        parts = {part.process_id for part in desktop.status().processes}
        for info in agent.processes.list(owner="desktop"):
            if info.id not in parts:
                agent.processes.get(info.id).kill(wait=60)
                agent.processes.get(info.id).delete()
        poll(lambda: not desktop.windows(), what="an empty screen")


class App:
    """The Tk program, once it is there with the focus."""

    def __init__(self, desktop: Any, tmp_path: Path, title: str = "An app") -> None:
        self.file = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        self.desktop = desktop
        argv = [desktop_app.__file__, str(self.file), title]
        self.launched = desktop.launch(sys.executable, argv, wait=True)
        self.window_id = self.launched.window_id or desktop.wait_for_window(title, timeout=60).id
        poll(lambda: ["ready"] in self.told(), what="a program that is ready")
        poll(lambda: desktop.window(self.window_id).info.is_active, what="a program with the focus")

    @property
    def window(self) -> Any:
        return self.desktop.window(self.window_id)

    def told(self) -> list[list[Any]]:
        """What it has written so far, whole lines."""
        text = self.file.read_text() if self.file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def tells(self, *wanted: Any) -> None:
        """Wait until it has written this."""
        poll(lambda: list(wanted) in self.told(), what=f"{wanted}")

    def place(self, box: tuple[int, int, int, int], x: int, y: int) -> tuple[int, int]:
        """The screen's pixel that is ``x``, ``y`` within one of its widgets."""
        region = self.window.region
        return region.x + box[0] + x, region.y + box[1] + y


@pytest.fixture
def app(desktop: Any, tmp_path: Path) -> App:
    return App(desktop, tmp_path)


class TestLife:
    def test_it_is_started_told_of_and_stopped(self, agent: Any, desktop: Any) -> None:
        status = desktop.status()
        assert (status.state, status.active, status.missing_dependencies) == ("active", True, ())
        assert repr(status) == f"<DesktopStatus active {status.display}>"
        assert desktop.start() == status, "a desktop that runs is told about"
        display = desktop.display()
        assert display.display == status.display
        assert (display.resolution.width, display.resolution.height) == SIZE
        ended = desktop.stop()
        assert (ended.state, ended.active) == ("inactive", False)
        assert agent.desktop.status().state == "inactive"

    def test_without_one_everything_says_so(self, desktop: Any) -> None:
        desktop.stop()
        for call in (desktop.screenshot, desktop.windows, desktop.position, desktop.clipboard, desktop.focused):
            with pytest.raises(DesktopRuntimeInactive):
                call()

    def test_its_state_shows_itself(self, desktop: Any) -> None:
        status = desktop.status()
        html = status._repr_html_()
        assert faults(html) == []
        for shown in (html, str(status)):
            assert status.display in shown
            assert "640x480" in shown
            assert "Xvfb, " in shown


class TestScreenshots:
    @pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
    def test_it_is_a_picture(self, desktop: Any, form: str, tmp_path: Path) -> None:
        """As bytes, as a Pillow image, as a file, and as what a notebook shows."""
        shot = desktop.screenshot(format=form, scale=0.5, show_cursor=True)
        assert (shot.format, shot.width, shot.height, shot.scale) == (form, 320, 240, 0.5)
        assert shot.region == (0, 0, 640, 480)
        assert (shot.image.format, shot.image.size) == (form.upper(), (320, 240))
        assert shot.image is shot.image
        assert base64.b64decode(shot._repr_mimebundle_()[f"image/{form}"]) == shot.data
        assert repr(shot) == f"<Screenshot {shot.id} {form} 320x240 {len(shot.data)} bytes>"
        assert shot.save(tmp_path / f"shot.{form}").read_bytes() == shot.data
        assert shot.save(str(tmp_path / "shot")).read_bytes() == shot.data

    def test_it_is_saved_in_another_format_by_the_name(self, desktop: Any, tmp_path: Path) -> None:
        saved = desktop.screenshot().save(tmp_path / "shot.bmp")
        with Image.open(saved) as image:
            assert (image.format, image.size) == ("BMP", SIZE)

    def test_a_region_is_a_part_of_the_whole(self, desktop: Any, app: App) -> None:
        desktop.wait_idle(quiet=0.3, timeout=60)
        region = app.window.region
        part, whole = desktop.screenshot(region=region), desktop.screenshot()
        assert part.region == region
        box = (region.x, region.y, region.x + region.width, region.y + region.height)
        assert part.image.convert("RGB").tobytes() == whole.image.convert("RGB").crop(box).tobytes()

    def test_quality_makes_it_smaller(self, desktop: Any, app: App) -> None:
        assert app.window.region.width
        low, high = (desktop.screenshot(format="jpeg", quality=quality) for quality in (10, 95))
        assert len(low.data) < len(high.data)

    def test_what_makes_no_sense_is_refused(self, desktop: Any) -> None:
        for wrong in ({"scale": 2}, {"quality": 0, "format": "jpeg"}, {"format": "gif"}, {"region": (600, 0, 100, 10)}):
            with pytest.raises(DesktopInvalidAction):
                desktop.screenshot(**wrong)

    def test_without_pillow_its_image_says_what_to_install(
        self, desktop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shot = desktop.screenshot()
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(ExtraMissing, match=r"needs Pillow.*hint: pip install .*\[desktop\]"):
            _ = shot.image
        with pytest.raises(ImportError):
            shot.save(tmp_path / "shot.bmp")
        assert shot.save(tmp_path / "shot.png").read_bytes() == shot.data


class TestMouse:
    def test_clicks_arrive(self, desktop: Any, app: App) -> None:
        x, y = app.place(desktop_app.BUTTON, 60, 20)
        where = desktop.click(x, y)
        assert (where.x, where.y) == (x, y)
        assert where.window == app.window_id
        assert desktop.position() == where
        app.tells("pressed")
        desktop.click(*app.place(desktop_app.AREA, 30, 40), button="right", modifiers=["ctrl"])
        app.tells("down", 3, 30, 40, True)
        desktop.double_click(*app.place(desktop_app.AREA, 7, 8))
        poll(lambda: app.told().count(["down", 1, 7, 8, False]) == 2, what="two clicks")

    def test_a_click_is_told_in_a_screenshots_pixels(self, desktop: Any, app: App) -> None:
        """By the screenshot or its id: of a part of the screen, scaled, it hits what the pixel shows."""
        shot = desktop.screenshot(region=app.window.region, scale=0.5)
        x, y, width, height = desktop_app.BUTTON
        middle = (x + width // 2) // 2, (y + height // 2) // 2
        for count, name in enumerate((shot, shot.id), start=1):
            desktop.click(*middle, screenshot=name)
            poll(lambda: app.told().count(["pressed"]) == count, what=f"click {count}")  # noqa: B023 - called at once

    def test_it_is_dragged_scrolled_pressed_and_moved(self, desktop: Any, app: App) -> None:
        start, end = app.place(desktop_app.AREA, 10, 10), app.place(desktop_app.AREA, 110, 60)
        desktop.drag(*start, *end)
        app.tells("down", 1, 10, 10, False)
        app.tells("up", 1, 110, 60)
        desktop.scroll(*start, delta_y=2)
        poll(lambda: app.told().count(["down", 5, 10, 10, False]) == 2, what="two notches down")
        desktop.scroll(*start, -1, 0)
        app.tells("down", 4, 10, 10, False)  # Tk's word for left, with Shift
        desktop.mouse_down(*start, button="middle")
        desktop.move(*end)
        desktop.mouse_up(button="middle")
        app.tells("up", 2, 110, 60)

    def test_what_makes_no_sense_is_refused(self, desktop: Any) -> None:
        with pytest.raises(DesktopInvalidAction):
            desktop.click(640, 10)
        with pytest.raises(DesktopInvalidAction):
            desktop.click(1, 1, button="fourth")
        with pytest.raises(DesktopInvalidAction, match="no screenshot"):
            desktop.move(1, 1, screenshot="shot_of_nothing")
        with pytest.raises(ValueError, match="'meta' is no modifier"):
            desktop.click(1, 1, modifiers=["meta"])


class TestKeyboard:
    def test_what_is_typed_arrives(self, desktop: Any, app: App) -> None:
        desktop.type("Grüße, 世界 🎉")
        app.tells("field", "Grüße, 世界 🎉")
        desktop.press("ctrl+a")  # to the start, in a field of Tk
        desktop.press("ctrl+k")
        app.tells("field", "")
        desktop.key_down("shift")
        desktop.press("b")
        desktop.key_up("shift")
        desktop.type("c", delay=0.01)
        app.tells("field", "Bc")

    def test_an_unknown_key_is_refused(self, desktop: Any) -> None:
        for call in (desktop.press, desktop.key_down, desktop.key_up):
            with pytest.raises(DesktopInvalidAction):
                call("NoSuchKey")


class TestWindows:
    def test_they_are_listed_moved_resized_and_closed(self, desktop: Any, tmp_path: Path) -> None:
        first, second = (App(desktop, tmp_path, title) for title in ("first", "second"))
        windows = desktop.windows()
        assert sorted(window.title for window in windows) == ["first", "second"]
        assert windows.get("secon").id == second.window_id
        assert windows.get("third") is None
        assert desktop.focused().id == second.window_id
        window = first.window
        assert repr(window).endswith(f"Window {window.id} 'first' 400x300 at {window.region.x}, {window.region.y}>")
        steps: list[tuple[Any, Any]] = [
            (window.focus, lambda: window.refresh().is_active and desktop.focused().title == "first"),
            (lambda: window.move(30, 60), lambda: window.refresh().region[:2] == (30, 60)),
            (lambda: window.resize(300, 200), lambda: window.refresh().region[2:] == (300, 200)),
            (window.maximize, lambda: window.refresh().is_maximized),
            (lambda: window.maximize(on=False), lambda: not window.refresh().is_maximized),
            (window.fullscreen, lambda: window.refresh().is_fullscreen and window.region == (0, 0, *SIZE)),
            (lambda: window.fullscreen(on=False), lambda: not window.refresh().is_fullscreen),
            (window.minimize, lambda: window.refresh().is_minimized),
        ]
        for number, (call, holds) in enumerate(steps):
            assert call() == window.info
            poll(holds, what=f"the window's new state, step {number}, {window.info}")
        window.close()
        poll(lambda: desktop.windows().get("first") is None, what="the end of the window")
        for call in (window.refresh, window.focus):
            with pytest.raises(WindowNotFound):
                call()

    def test_they_show_themselves(self, desktop: Any, tmp_path: Path) -> None:
        App(desktop, tmp_path, "<b>bold</b>")
        windows = desktop.windows()
        assert faults(windows._repr_html_()) == []
        assert "&lt;b&gt;bold" in windows._repr_html_()
        assert "<b>bold</b>" in str(windows)
        assert "focused" in str(windows)

    def test_none_may_have_the_focus(self, desktop: Any) -> None:
        poll(lambda: desktop.focused() is None, what="a desktop without a focus")
        assert len(desktop.windows()) == 0


class TestWaiting:
    def test_for_a_window(self, desktop: Any) -> None:
        launched = desktop.launch("sh", ["-c", "sleep 0.3; exec xterm -title 'A late one'"])
        assert launched.window_id is None
        window = desktop.wait_for_window("late", timeout=60)
        assert window.title == "A late one"
        again = desktop.wait_for_window(pid=launched.pid, window_class=window.info.window_class, timeout=60)
        assert again.id == window.id

    def test_for_what_does_not_come(self, desktop: Any) -> None:
        with pytest.raises(DesktopTimeout, match=r"no window came with title 'nothing', within 0\.2 s"):
            desktop.wait_for_window("nothing", timeout=0.2)
        with pytest.raises(TimeoutError, match="did not change"):
            desktop.wait_change(timeout=0, region=(0, 0, 10, 10))
        with pytest.raises(DesktopTimeout, match="not still for 60 s"):
            desktop.wait_idle(quiet=60, timeout=0.1)
        with pytest.raises(DesktopInvalidAction):
            desktop.wait_for_window()

    def test_for_stillness_and_for_change(self, desktop: Any, agent: Any) -> None:
        """A program that draws all the time in one place leaves the others still."""
        script = "while :; do date +%N; done"
        told = desktop.launch("xterm", ["-title", "busy", "-geometry", "20x5+0+0", "-e", script])
        window = desktop.wait_for_window("busy", timeout=60)
        desktop.wait_change(timeout=60)
        desktop.wait_change(timeout=60, threshold=100, region=window.region)
        desktop.wait_idle(quiet=0.2, timeout=60, region=(600, 400, 40, 80))
        agent.processes.get(told.process_id).kill()
        desktop.wait_idle(quiet=0.2, timeout=60)


class TestPrograms:
    def test_one_is_a_process_of_the_server(self, desktop: Any, agent: Any, app: App) -> None:
        info = agent.processes.get(app.launched.process_id).info
        assert (info.owner, info.pid) == ("desktop", app.launched.pid)

    def test_one_that_is_not_there_is_told(self, desktop: Any) -> None:
        with pytest.raises(AppNotFound):
            desktop.launch("no-such-program")
        with pytest.raises(DesktopInvalidAction):
            desktop.open("/no/such/file")

    def test_the_clipboard_holds_what_was_put_in(self, desktop: Any) -> None:
        desktop.set_clipboard("größer ✓")
        desktop.set_clipboard("other", "primary")
        assert (desktop.clipboard(), desktop.clipboard("primary")) == ("größer ✓", "other")
        desktop.set_clipboard("both", "both")
        assert (desktop.clipboard(), desktop.clipboard("primary")) == ("both", "both")


class TestActions:
    def test_several_things_are_done_in_one_request(self, desktop: Any, app: App) -> None:
        """As mappings, with the names of Python or the wire's, and as structs."""
        shot = desktop.screenshot(region=app.window.region)
        x, y, _, _ = desktop_app.AREA
        result = desktop.actions(
            [
                TypeAction(text="abc"),
                {"type": "click", "x": x + 9, "y": y + 5, "click_count": 2, "screenshot_id": shot},
                {"type": "click", "x": x + 1, "y": y + 1, "screenshotId": shot.id, "modifiers": {"ctrl": True}},
                MoveAction(x=3, y=4),
                {"type": "wait", "until": "idle", "quietMs": 50, "timeout_ms": 60_000},
                {"type": "screenshot", "x": 0, "y": 0, "width": 40, "height": 20, "scale": 0.5, "format": "webp"},
            ]
        )
        assert (result.ok, len(result)) == (True, 6)
        assert [one.type for one in result] == ["type", "click", "click", "move", "wait", "screenshot"]
        assert (result[3].position.x, result[3].position.y) == (3, 4)
        assert result[4].wait.met
        (last,) = result.screenshots
        assert (last.region, last.image.size, last.format) == ((0, 0, 40, 20), (20, 10), "webp")
        assert "image/webp" in result._repr_mimebundle_()
        app.tells("field", "abc")
        app.tells("down", 1, 1, 1, True)
        assert app.told().count(["down", 1, 9, 5, False]) == 2

    def test_the_first_that_fails_ends_them(self, desktop: Any) -> None:
        wrong = [
            {"type": "move", "x": 1, "y": 2},
            {"type": "key", "key": "NoSuchKey"},
            {"type": "move", "x": 5, "y": 5},
        ]
        with pytest.raises(ActionFailed, match=r"action 2 \(key\): .*NoSuchKey") as failed:
            desktop.actions(wrong)
        assert [one.ok for one in failed.value.result] == [True, False]
        result = desktop.actions(wrong, check=False)
        assert not result.ok
        assert result[1].problem["code"] == "desktop_invalid_action"
        assert desktop.position().x == 1
        with pytest.raises(ActionFailed, match="not come within"):
            desktop.actions([{"type": "wait", "until": "window", "title": "nothing", "timeoutMs": 10}])
        assert result._repr_mimebundle_() == {"text/plain": repr(result)}

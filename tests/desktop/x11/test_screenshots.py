"""Screenshots of a real screen: what they show, what they are, and when they are the same."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from sandbox_agent.desktop.x11.geometry import Region
from sandbox_agent.desktop.x11.screenshots import Shot
from sandbox_agent.problems import DesktopInvalidAction

from .programs import eventually
from .recording import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.x11.desktop import X11
    from sandbox_agent.desktop.x11.screenshots import Screenshot

    from .programs import Screen

RED, BLUE = (255, 0, 0), (0, 0, 255)


def image(shot: Screenshot) -> Image.Image:
    return Image.open(io.BytesIO(shot.data)).convert("RGB")


async def square(x11: X11, recorder: Recorder, colour: tuple[int, int, int]) -> Screenshot:
    """A screenshot once the recorder's square has this colour."""

    async def shown() -> Screenshot | None:
        shot = await x11.screenshots.take()
        return shot if image(shot).getpixel(recorder.at(250, 150)) == colour else None

    found: Screenshot = await eventually(shown, f"a square of {colour}")
    return found


async def still(x11: X11) -> str:
    """The entity tag of the screen once it has been the same for a while."""

    async def same() -> str | None:
        before = await x11.screenshots.etag()
        await asyncio.sleep(0.2)
        return before if await x11.screenshots.etag() == before else None

    found: str = await eventually(same, "a still screen")
    return found


async def test_a_screenshot_shows_the_screen_pixel_for_pixel(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    shot = await square(x11, recorder, RED)
    assert (shot.width, shot.height, shot.scale) == (1280, 800, 1.0)
    assert (shot.region, shot.media_type) == (Region(0, 0, 1280, 800), "image/png")
    picture = image(shot)
    assert picture.crop((*recorder.at(200, 100), *recorder.at(300, 200))).getcolors() == [(10_000, RED)]
    assert picture.getpixel(recorder.at(199, 150)) != RED
    assert picture.getpixel(recorder.at(300, 150)) != RED


async def test_a_region_is_the_same_pixels(x11: X11, screen: Screen, tmp_path: Path) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    whole = image(await square(x11, recorder, RED))
    x, y = recorder.at(190, 90)
    part = await x11.screenshots.take(Shot(region=Region(x, y, 33, 47)))
    assert image(part).tobytes() == whole.crop((x, y, x + 33, y + 47)).tobytes()


@pytest.mark.parametrize(
    ("form", "kind", "media"),
    [("png", "PNG", "image/png"), ("jpeg", "JPEG", "image/jpeg"), ("webp", "WEBP", "image/webp")],
)
async def test_each_format_is_what_it_says(  # noqa: PLR0917
    x11: X11, screen: Screen, tmp_path: Path, form: str, kind: str, media: str
) -> None:
    recorder = await Recorder.start(x11, screen, tmp_path)
    await square(x11, recorder, RED)
    shot = await x11.screenshots.take(Shot(format=form))
    assert shot.media_type == media
    opened = Image.open(io.BytesIO(shot.data))
    assert (opened.format, opened.size) == (kind, (1280, 800))
    pixel = opened.convert("RGB").getpixel(recorder.at(250, 150))
    assert isinstance(pixel, tuple)
    assert all(abs(a - b) < 16 for a, b in zip(pixel, RED, strict=True))


async def test_less_quality_is_less_data(x11: X11, screen: Screen, tmp_path: Path) -> None:
    await Recorder.start(x11, screen, tmp_path)
    for form in ("jpeg", "webp"):
        sizes = [len((await x11.screenshots.take(Shot(format=form, quality=q))).data) for q in (1, 50, 100)]
        assert sizes == sorted(sizes)
        assert len(set(sizes)) == 3


async def test_a_scaled_screenshot_maps_back(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """From the middle of its pixels, of regions too; others than it showed are refused."""
    await Recorder.start(x11, screen, tmp_path)
    shot = await x11.screenshots.take(Shot(region=Region(100, 50, 400, 200), scale=0.25))
    assert (shot.width, shot.height) == (100, 50)
    assert image(shot).size == (100, 50)
    assert x11.screenshots.to_screen(shot.id, 0, 0) == (102, 52)
    assert x11.screenshots.to_screen(shot.id, 99, 49) == (498, 248)
    for place in ((100, 0), (0, 50), (-1, 0)):
        with pytest.raises(DesktopInvalidAction, match="not within the screenshot"):
            x11.screenshots.to_screen(shot.id, *place)
    with pytest.raises(DesktopInvalidAction, match="no screenshot nope is known"):
        x11.screenshots.to_screen("nope", 0, 0)


async def test_the_pointer_is_drawn_when_asked_for(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """Its own picture, at its place, and nowhere else."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    await x11.mouse.move(*recorder.at(250, 150))
    await square_around(x11, recorder)
    plain = image(await x11.screenshots.take())
    drawn = image(await x11.screenshots.take(Shot(show_cursor=True)))
    changed = [
        place
        for place in ((x, y) for x in range(recorder.window.x, 700) for y in range(recorder.window.y, 500))
        if plain.getpixel(place) != drawn.getpixel(place)
    ]
    assert changed
    x, y = recorder.at(250, 150)
    assert all(abs(place[0] - x) <= 32 and abs(place[1] - y) <= 32 for place in changed)


async def square_around(x11: X11, recorder: Recorder) -> None:
    """Until the square is drawn beside the pointer, which lies over its middle."""

    async def shown() -> bool:
        return image(await x11.screenshots.take()).getpixel(recorder.at(205, 105)) == RED

    await eventually(shown, "the square")


async def test_an_unchanged_screen_has_the_same_tag_and_is_encoded_once(
    x11: X11, screen: Screen, tmp_path: Path
) -> None:
    await Recorder.start(x11, screen, tmp_path)
    tag = await still(x11)
    first, second = await x11.screenshots.take(), await x11.screenshots.take()
    assert first.etag == tag == second.etag
    assert first is second
    assert tag.startswith('"')
    assert tag.endswith('"')


async def test_other_pictures_of_the_same_screen_have_other_tags(x11: X11, screen: Screen, tmp_path: Path) -> None:
    await Recorder.start(x11, screen, tmp_path)
    await still(x11)
    shots = [
        Shot(),
        Shot(format="jpeg"),
        Shot(format="jpeg", quality=50),
        Shot(scale=0.5),
        Shot(region=Region(0, 0, 10, 10)),
        Shot(show_cursor=True),
    ]
    tags = {(await x11.screenshots.take(shot)).etag for shot in shots}
    assert len(tags) == len(shots)
    await x11.mouse.move(5, 5)
    before = await x11.screenshots.etag(Shot(show_cursor=True))
    await x11.mouse.move(6, 5)
    assert await x11.screenshots.etag(Shot(show_cursor=True)) != before


async def test_a_change_changes_the_tag_and_the_picture(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """What is shown is never older than the tag says."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    red = await square(x11, recorder, RED)
    await x11.keyboard.press("F2")
    blue = await square(x11, recorder, BLUE)
    assert blue.etag != red.etag
    assert blue.damage > red.damage
    assert blue.id != red.id


async def test_screenshots_are_taken_side_by_side(x11: X11, screen: Screen, tmp_path: Path) -> None:
    """More at once than frames are held, of many kinds, and all are right."""
    recorder = await Recorder.start(x11, screen, tmp_path)
    await square(x11, recorder, RED)
    x, y = recorder.at(200, 100)
    shots = [Shot(region=Region(x, y, 20 + n, 10), format=form) for n in range(8) for form in ("png", "jpeg")]
    taken = await asyncio.gather(*(x11.screenshots.take(shot) for shot in shots))
    assert [image(shot).size for shot in taken] == [(20 + n, 10) for n in range(8) for _ in range(2)]
    assert len({shot.id for shot in taken}) == len(taken)


@pytest.mark.parametrize(
    "shot",
    [
        Shot(format="gif"),
        Shot(quality=0),
        Shot(quality=101),
        Shot(scale=0.09),
        Shot(scale=1.1),
        Shot(scale=float("nan")),
        Shot(region=Region(0, 0, 0, 10)),
        Shot(region=Region(0, 0, 10, -1)),
        Shot(region=Region(-1, 0, 10, 10)),
        Shot(region=Region(1271, 0, 10, 10)),
        Shot(region=Region(0, 791, 10, 10)),
    ],
)
async def test_what_makes_no_sense_is_refused(x11: X11, shot: Shot) -> None:
    with pytest.raises(DesktopInvalidAction):
        await x11.screenshots.take(shot)
    with pytest.raises(DesktopInvalidAction):
        await x11.screenshots.etag(shot)

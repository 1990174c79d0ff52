"""Rectangles of the screen, and where pixels of a screenshot lie on it. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox_agent.problems import DesktopInvalidAction


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels of the screen."""

    x: int
    y: int
    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height

    def overlap(self, other: Region) -> Region | None:
        """What both have in common."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        bottom = min(self.y + self.height, other.y + other.height)
        return Region(x, y, right - x, bottom - y) if right > x and bottom > y else None

    def within(self, size: tuple[int, int]) -> Region:
        """Itself; raises `DesktopInvalidAction` where it is empty or not wholly on a screen of ``size``."""
        if self.width <= 0 or self.height <= 0:
            raise DesktopInvalidAction(f"a region of {self.width}x{self.height} pixels is empty")
        if self.x < 0 or self.y < 0 or self.x + self.width > size[0] or self.y + self.height > size[1]:
            raise DesktopInvalidAction(
                f"the region {self.width}x{self.height} at {self.x}, {self.y} is not within the screen of "
                f"{size[0]}x{size[1]} pixels"
            )
        return self


def scaled(region: Region, scale: float) -> tuple[int, int]:
    """Width and height of the image of a region at ``scale``; never less than a pixel."""
    return max(1, round(region.width * scale)), max(1, round(region.height * scale))


def to_screen(region: Region, image: tuple[int, int], x: int, y: int) -> tuple[int, int]:
    """The screen's pixel in the middle of what pixel ``x``, ``y`` of a region's image shows.

    Raises `DesktopInvalidAction` where the image has no such pixel.
    """
    width, height = image
    if not (0 <= x < width and 0 <= y < height):
        raise DesktopInvalidAction(f"{x}, {y} is not within the screenshot of {width}x{height} pixels")
    return (
        region.x + (2 * x + 1) * region.width // (2 * width),
        region.y + (2 * y + 1) * region.height // (2 * height),
    )

"""What the actions of `sandbox-agent api desktop` do that only look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.connection import connect
from sandbox_agent.cli.exits import UsageError
from sandbox_agent.cli.output import print_json, write_bytes

if TYPE_CHECKING:
    import argparse

    from sandbox_agent.client import Screenshot

STANDARD = "-"
SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def run_status(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        return told(client.desktop.status(), as_json=arguments.json)


def run_screenshot(arguments: argparse.Namespace) -> int:
    output = arguments.output
    form: Any = arguments.format or (SUFFIXES.get(Path(output).suffix.lower()) if output else None) or "png"
    region = region_of(arguments.region)
    with connect(arguments) as client:
        shot = client.desktop.screenshot(
            format=form,
            quality=arguments.quality,
            scale=arguments.scale,
            region=region,
            show_cursor=arguments.cursor,
            marks=arguments.marks,
        )
    if output == STANDARD:
        write_bytes(shot.data)
        return 0
    file = Path(output or f"screenshot.{form}")
    file.write_bytes(shot.data)
    if arguments.json:
        print_json({"file": str(file)} | _facts(shot))
    else:
        print(file)
    return 0


def _facts(shot: Screenshot) -> dict[str, object]:
    return {
        "id": shot.id,
        "format": shot.format,
        "width": shot.width,
        "height": shot.height,
        "region": shot.region._asdict(),
        "scale": shot.scale,
    } | ({"marks": shot.marks} if shot.marks else {})


def run_position(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        where = client.desktop.position()
    if arguments.json:
        print_json(where)
    else:
        print(where.x, where.y)
    return 0


def run_windows(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        windows = client.desktop.windows()
    if arguments.json:
        print_json({"windows": [window.info for window in windows]})
    else:
        print(windows)
    return 0


def run_wait(arguments: argparse.Namespace) -> int:
    region, timeout = region_of(arguments.region), arguments.timeout
    with connect(arguments) as client:
        if arguments.until == "window":
            window = client.desktop.wait_for_window(
                arguments.title, window_class=arguments.window_class, pid=arguments.pid, timeout=timeout
            )
            if arguments.json:
                print_json(window.info)
            else:
                print(window.id)
            return 0
        threshold = arguments.threshold
        if arguments.until == "idle":
            client.desktop.wait_idle(quiet=arguments.quiet, timeout=timeout, region=region, threshold=threshold)
        else:
            client.desktop.wait_change(timeout=timeout, region=region, threshold=threshold)
    return 0


def region_of(given: str | None) -> tuple[int, int, int, int] | None:
    """Four numbers with commas between them. Raises ``UsageError``."""
    if given is None:
        return None
    try:
        x, y, width, height = map(int, given.split(","))
    except ValueError:
        raise UsageError(f"--region: give X,Y,W,H, not {given!r}") from None
    return x, y, width, height


def pair_of(option: str, given: str | None) -> tuple[int, int] | None:
    """Two numbers with a comma between them. Raises ``UsageError``."""
    if given is None:
        return None
    try:
        first, second = map(int, given.split(","))
    except ValueError:
        raise UsageError(f"{option}: give two numbers with a comma, not {given!r}") from None
    return first, second


def told(value: Any, *, as_json: bool) -> int:
    """Print what an answer is, for people or for programs."""
    if as_json:
        print_json(value)
    else:
        print(value)
    return 0

"""S7 on the service: reads, writes, moves and deletions while a folder and a file are swapped for links out."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files import Files, Root
from sandbox_agent.problems import Problem

from .swapping import Swapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))
SECRET = "outside of the root"  # noqa: S105 - what must not be read


async def inside() -> AsyncIterator[bytes]:
    yield b"inside"


def everything(folder: Path) -> dict[str, str | None]:
    return {str(path): path.read_text() if path.is_file() else None for path in folder.rglob("*")}


async def once(files: Files, number: int) -> str | None:
    """One thing that a client may do; what it read, if it did."""
    for_whom = f"folder/new{number % 7}"
    match number % 5:
        case 0:
            with await files.read("folder/file") as file:
                return file.head.decode()
        case 1:
            await files.write(("folder/file", for_whom, "file", "folder/a/b/c")[number // 5 % 4], inside())
        case 2:
            await files.move(for_whom, f"folder/moved{number % 3}", overwrite=True)
        case 3:
            await files.delete(("folder/file", for_whom, "folder/a", "file")[number // 5 % 4], recursive=True)
        case _:
            return " ".join(entry.name for entry in (await files.entries("folder", recursive=True)).entries)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [pytest.param(None, id="openat2"), pytest.param(False, id="walk")])
async def test_nothing_outside_is_read_written_moved_or_deleted(kernel: bool | None, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder, text in ((root, "inside"), (outside, SECRET)):
        (folder / "folder").mkdir(parents=True)
        for name in ("file", "folder/file"):
            (folder / name).write_text(text)
    (outside / "secret-name").write_text(SECRET)
    before = everything(outside)
    files = Files(root)
    files.root.close()
    files.root = Root(root, kernel=kernel)
    seen: set[str | None] = set()
    refused = 0
    with Swapping(root, outside) as swapping:
        for number in itertools.count():
            if number >= 2000 * SCALE and swapping.swaps > 100 and refused:
                break
            try:
                seen.add(await once(files, number))
            except Problem:
                refused += 1
    files.close()
    assert everything(outside) == before
    assert not [told for told in seen if told and ("outside" in told or "secret" in told)]

"""Files to test with: free, and confined to a folder in either way."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files import Files, Root

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["free", "openat2", "walk"])
def files(request: pytest.FixtureRequest, base: Path) -> Iterator[Files]:
    """The service, its home and (but for one) its root being `base`."""
    made = Files(None if request.param == "free" else base, home=base)
    if request.param == "walk":
        made.root.close()
        made.root = Root(base, kernel=False)
    yield made
    made.close()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `base`."""
    here = tmp_path.stat().st_dev
    for place in ("/dev/shm", "/var/tmp", "/run", Path.cwd()):  # noqa: S108 - only folders of our own are used
        if os.access(place, os.W_OK | os.X_OK) and Path(place).stat().st_dev != here:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                yield Path(folder)
            return
    raise AssertionError("this machine has one file system only, so moving between two cannot be tested")

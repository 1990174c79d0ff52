"""Reading through one block: the same bytes, by fewer system calls."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.files.archive_window import Window

from ..support.archives import STEADY

DATA = os.urandom(5000)


@STEADY
@given(wanted=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 1500)), max_size=20), block=st.integers(1, 2000))
def test_whatever_is_asked_for_in_whatever_order_it_is_what_lies_there(
    wanted: list[tuple[int, int]], block: int
) -> None:
    fd = os.memfd_create("window")
    os.write(fd, DATA)
    try:
        for window in (Window(fd, block), Window(DATA)):
            assert window.size == len(DATA)
            for offset, size in wanted:
                assert window.get(offset, size) == DATA[offset : offset + size]
    finally:
        os.close(fd)


def reads_of_this_thread() -> tuple[int, int]:
    """Bytes, and system calls."""
    told = Path(f"/proc/self/task/{threading.get_native_id()}/io").read_text()
    counts = dict(line.split(": ") for line in told.splitlines())
    return int(counts["rchar"]), int(counts["syscr"])


def test_reading_in_order_takes_few_system_calls_and_jumping_reads_no_more_than_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA * 2000)
    fd = os.open(path, os.O_RDONLY)
    window = Window(fd)
    _, before = reads_of_this_thread()
    for offset in range(0, window.size, 1000):
        window.get(offset, 500)
    _, after = reads_of_this_thread()
    assert after - before < 20, "10 MB by a mebibyte each"
    before, _ = reads_of_this_thread()
    for offset in reversed(range(0, window.size, 1_000_000)):
        window.get(offset, 500)
    after, _ = reads_of_this_thread()
    os.close(fd)
    assert after - before < 100_000

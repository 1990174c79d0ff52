"""Files opened to be sent, and lines of them for agents."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.files import text
from sandbox_agent.files.opened import HEAD_BYTES, OpenFile, media_type
from sandbox_agent.files.text import read_lines
from sandbox_agent.problems import InvalidRequest, NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.files import Files


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.html", "text/html; charset=utf-8"),
        ("a.PNG", "image/png"),
        ("a.json", "application/json"),
        ("a.ipynb", "application/x-ipynb+json"),
        ("a.tar.gz", "application/gzip"),
        ("a.ts", "text/x-typescript; charset=utf-8"),
        ("a.mp4", "video/mp4"),
        ("Makefile", "application/octet-stream"),
        (".bashrc", "application/octet-stream"),
        ("a.\udcff", "application/octet-stream"),
    ],
)
def test_the_content_type_is_by_the_name(name: str, media: str) -> None:
    assert media_type(f"/x.txt/{name}") == media


async def test_a_file_is_opened_with_its_head_and_its_tag(files: Files, base: Path) -> None:
    content = os.urandom(HEAD_BYTES + 100)
    (base / "f").write_bytes(content)
    with await files.read("f") as file:
        assert (file.path, file.size, file.head) == (f"{base}/f", len(content), content[:HEAD_BYTES])
        assert file.read(200, HEAD_BYTES) == content[HEAD_BYTES:]
        assert file.etag == (await files.stat("f")).etag
        fd = file.fd
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)
    file.close()


async def test_the_tag_changes_with_the_content_and_with_the_file(files: Files, base: Path) -> None:
    tags = []
    for content, again in ((b"1", False), (b"2", False), (b"22", False), (b"22", True)):
        if again:
            (base / "new").write_bytes(content)
            (base / "new").rename(base / "f")
        else:
            (base / "f").write_bytes(content)
        os.utime(base / "f", ns=(len(tags), len(tags)))
        tags.append((await files.stat("f")).etag)
    assert len(set(tags)) == 4


async def test_a_file_that_is_made_when_read_is_read_whole() -> None:
    """Files of /proc say that they have no size."""
    from sandbox_agent.files import Files  # noqa: PLC0415 - free of any root

    with await Files().read("/proc/self/status") as file:
        assert b"Name:" in file.head
        assert file.size == len(file.head)


async def test_what_is_no_plain_file_is_not_opened(files: Files, base: Path) -> None:
    """A pipe without a writer must not hold the reader."""
    (base / "folder").mkdir()
    os.mkfifo(base / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    here = os.open(base, os.O_PATH)
    listening.bind(f"/proc/self/fd/{here}/socket")  # its own path may be longer than a socket's may be
    for name, code in (("folder", "is_directory"), ("pipe", "not_a_file"), ("socket", "not_a_file")):
        with pytest.raises(InvalidRequest) as caught:
            await files.read(name)
        assert caught.value.extensions == {"code": code, "path": f"{base}/{name}"}
    listening.close()
    os.close(here)
    with pytest.raises(NotFound):
        await files.read("nothing")


LINES = st.lists(st.sampled_from(["", "a", "bb\r", "é", "long " * 20]), max_size=12).map("\n".join)


@given(content=LINES, line=st.integers(1, 15), limit=st.none() | st.integers(0, 15), step=st.integers(1, 50))
def test_lines_are_those_of_the_text(content: str, line: int, limit: int | None, step: int) -> None:
    """Whatever pieces the file is read in."""
    fd = os.memfd_create("lines")
    os.write(fd, content.encode())
    lines = content.split("\n")
    kept = [part + "\n" for part in lines[:-1]] + [lines[-1]]
    end = None if limit is None else line - 1 + limit
    before, text._STEP = text._STEP, step
    try:
        with OpenFile.of(fd, "lines") as file:
            assert read_lines(file, line, limit) == "".join(kept[line - 1 : end])
    finally:
        text._STEP = before


async def test_agents_read_and_write_text(files: Files, base: Path) -> None:
    written = await files.write_text("notes/a.txt", "eins\nzwei\ndrei\n")
    assert (written.path, written.bytes_written, written.created) == (f"{base}/notes/a.txt", 15, True)
    assert await files.read_text("notes/a.txt") == "eins\nzwei\ndrei\n"
    assert await files.read_text(f"{base}/notes/a.txt", line=2, limit=1) == "zwei\n"
    (base / "bytes").write_bytes(b"a\xffb")
    assert await files.read_text("bytes") == "a\N{REPLACEMENT CHARACTER}b"
    assert await files.read_text("notes/a.txt", line=0, limit=1) == "eins\n"
    for line, limit in ((-1, 1), (1, -1)):
        with pytest.raises(InvalidRequest, match="counted from 1"):
            await files.read_text("bytes", line, limit)
    with pytest.raises(InvalidRequest, match="UTF-8"):
        await files.write_text("bytes", "\ud800")
    assert (base / "bytes").read_bytes() == b"a\xffb"


async def test_too_much_text_is_refused_but_its_parts_are_not(files: Files, base: Path) -> None:
    with (base / "big").open("wb") as file:
        file.write(b"first\n")
        file.truncate(text.MOST_BYTES + 10)
    with pytest.raises(InvalidRequest) as caught:
        await files.read_text("big")
    assert caught.value.extensions["code"] == "too_much_text"
    assert await files.read_text("big", limit=1) == "first\n"

"""Where downloads go, and what they may not do there."""

from __future__ import annotations

import collections
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandbox_agent import ClientError
from sandbox_agent.client.sinks import FileSink, FolderSink

if TYPE_CHECKING:
    from pathlib import Path


def archive(*members: tuple[str, bytes | str]) -> bytes:
    """Files by their content, links by their target as text; a name with a slash at its end is a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, what in members:
            info = tarfile.TarInfo(name)
            if isinstance(what, str):
                info.type, info.linkname = tarfile.SYMTYPE, what
            elif name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            info.size = len(what) if isinstance(what, bytes) else 0
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return stream.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    sink = FolderSink(folder)
    sink.write(data)
    sink.finish()


class TestFile:
    def test_it_is_there_when_it_is_whole(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("old")
        sink = FileSink(tmp_path / "x")
        sink.write(b"new")
        assert (tmp_path / "x").read_text() == "old"
        sink.finish()
        assert (tmp_path / "x").read_text() == "new"
        assert os.listdir(tmp_path) == ["x"]  # noqa: PTH208 - the names alone

    def test_one_that_is_given_up_leaves_nothing(self, tmp_path: Path) -> None:
        sink = FileSink(tmp_path / "x")
        sink.write(b"half")
        sink.discard()
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError) as caught:
            FileSink(tmp_path / "none" / "x")
        assert caught.value.filename == str(tmp_path / "none")


class TestFolder:
    @pytest.mark.parametrize("name", ["/abs", "../out", "base/../../out", "base/sub/../../../out"])
    def test_a_name_that_leads_out_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ClientError, match="outside of its folder"):
            unpack(archive(("base/", b""), (name, b"1")), tmp_path / "in")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]

    def test_nothing_goes_through_a_link_of_the_archive(self, tmp_path: Path) -> None:
        """The link comes first, then a file through it: that becomes a file in a folder of the name, or an error."""
        (tmp_path / "out").mkdir()
        with pytest.raises(OSError, match="directory"):
            unpack(archive(("base/", b""), ("base/l", "../out"), ("base/l/x", b"1")), tmp_path / "in")
        assert list((tmp_path / "out").iterdir()) == []

    def test_a_link_that_is_here_is_replaced_by_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "secret").write_text("kept")
        (tmp_path / "in" / "x").symlink_to("../secret")
        unpack(archive(("base/", b""), ("base/x", b"new")), tmp_path / "in")
        assert (tmp_path / "secret").read_text() == "kept"
        assert not (tmp_path / "in" / "x").is_symlink()

    def test_what_is_neither_file_nor_folder_nor_link_is_left_out(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            info = tarfile.TarInfo("pipe")
            info.type = tarfile.FIFOTYPE
            tar.addfile(info)
        unpack(stream.getvalue(), tmp_path)
        assert list(tmp_path.iterdir()) == []
        assert "pipe" in caplog.text

    @pytest.mark.parametrize("size", [100, 512, 700, 1500, 1024 + 5120])
    def test_an_archive_that_ends_too_soon_is_an_error(self, tmp_path: Path, size: int) -> None:
        whole = archive(("base/", b""), ("base/x", b"1" * 5000))
        with pytest.raises(ClientError, match="no whole tar archive"):
            unpack(whole[:size], tmp_path / "in")

    def test_one_that_is_given_up_stops(self, tmp_path: Path) -> None:
        sink = FolderSink(tmp_path / "in")
        sink.write(archive(("base/", b""), ("base/x", b"1" * 5000))[:2000])
        sink.discard()

    def test_an_error_is_told_to_who_goes_on_writing(self, tmp_path: Path) -> None:
        """The archive is bad at its beginning, and much more of it comes than a pipe holds."""
        sink = FolderSink(tmp_path / "in")
        with pytest.raises(ClientError):
            collections.deque((sink.write(b"x" * 100_000) for _ in range(100)), maxlen=0)
        sink.discard()

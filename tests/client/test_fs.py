"""Files through both SDKs, on the real server."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import (
    FileChange,
    FileChanged,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Transfer,
)

from ..support.safe_html import faults
from .cutter import Cutter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..support.server import Server

BIG = 3_000_000


@pytest.fixture
def fs(agent: Any) -> Any:
    return agent.fs


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder of the server's, which is on this machine."""
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of the client's."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def noise(size: int, seed: bytes = b"x") -> bytes:
    """Bytes that repeat nowhere, the same each time."""
    return hashlib.shake_128(seed).digest(size)


class TestReadAndWrite:
    def test_text_and_bytes(self, fs: Any, there: Path) -> None:
        written = fs.write(there / "sub" / "a.txt", "grün\n")
        assert (written.path, written.bytes_written, written.created) == (str(there / "sub" / "a.txt"), 6, True)
        assert fs.read(written.path) == "grün\n".encode()
        assert fs.read_text(written.path) == "grün\n"
        assert fs.write(written.path, b"\xff\x00").created is False
        assert fs.read(written.path) == b"\xff\x00"

    @pytest.mark.parametrize(
        "given",
        [bytearray(b"data"), memoryview(b"data"), io.BytesIO(b"data"), io.StringIO("data"), [b"da", b"", b"ta"]],
        ids=lambda given: type(given).__name__,
    )
    def test_what_else_can_be_written(self, fs: Any, there: Path, given: Any) -> None:
        if hasattr(given, "seek"):
            given.seek(0)
        assert fs.write(there / "x", given).bytes_written == 4
        assert (there / "x").read_bytes() == b"data"

    def test_a_file_of_this_machine_and_an_open_one(self, fs: Any, there: Path, here: Path) -> None:
        """An open file is read from where it stands."""
        (here / "x").write_bytes(b"0123456789")
        fs.write(there / "x", here / "x")
        assert (there / "x").read_bytes() == b"0123456789"
        with (here / "x").open("rb") as file:
            file.seek(7)
            fs.write(there / "x", file)
        assert (there / "x").read_bytes() == b"789"

    def test_anything_else_is_refused(self, fs: Any, there: Path) -> None:
        with pytest.raises(TypeError, match="cannot write a int"):
            fs.write(there / "x", 7)

    def test_a_part_of_a_file(self, fs: Any, there: Path) -> None:
        (there / "x").write_bytes(b"0123456789")
        assert fs.read(there / "x", offset=3, length=4) == b"3456"
        assert fs.read(there / "x", offset=8) == b"89"
        assert fs.read(there / "x", offset=8, length=100) == b"89"
        assert fs.read(there / "x", offset=10) == b""
        assert fs.read(there / "x", length=0) == b""

    def test_a_file_comes_in_pieces(self, fs: Any, there: Path) -> None:
        (there / "x").write_bytes(noise(BIG))
        pieces = list(fs.stream(there / "x"))
        assert len(pieces) > 1
        assert b"".join(pieces) == noise(BIG)

    def test_a_write_can_be_bound_to_what_was_read(self, fs: Any, there: Path) -> None:
        first = fs.write(there / "x", "one")
        second = fs.write(there / "x", "two", if_match=first.etag)
        assert fs.stat(there / "x").etag == second.etag
        with pytest.raises(PreconditionFailed):
            fs.write(there / "x", "three", if_match=first.etag)
        with pytest.raises(PreconditionFailed):
            fs.write(there / "x", "three", overwrite=False)
        assert fs.read_text(there / "x") == "two"
        assert fs.write(there / "y", "new", overwrite=False).created

    def test_what_is_not_there_is_said(self, fs: Any, there: Path) -> None:
        with pytest.raises(NotFound):
            fs.read(there / "none")
        with pytest.raises(NotFound):
            list(fs.stream(there / "none"))
        with pytest.raises(InvalidRequest):
            fs.read(there)

    def test_a_cut_download_goes_on_where_it_was(self, connect: Any, module_server: Server, there: Path) -> None:
        (there / "x").write_bytes(noise(BIG))
        budgets = iter([10_000, 500_000, 1_000_000])
        with Cutter(module_server.port, lambda: next(budgets, None)) as cutter:
            assert connect(cutter.url).fs.read(there / "x") == noise(BIG)
            assert cutter.cuts == 3

    def test_another_content_after_a_cut_is_no_part_of_the_first(
        self, connect: Any, module_server: Server, there: Path
    ) -> None:
        for name in ("x", "other"):
            (there / name).touch()
            os.truncate(there / name, 100 << 20)  # more than lies in the buffers on the way
        with Cutter(module_server.port, lambda: None) as cutter:
            pieces = connect(cutter.url).fs.stream(there / "x")
            next(pieces)
            (there / "other").replace(there / "x")
            cutter.cut_all()
            with pytest.raises(FileChanged):
                list(pieces)

    def test_an_interrupted_write_leaves_the_old_content(self, fs: Any, there: Path) -> None:
        """The source of the pieces fails midway."""

        def pieces() -> Any:
            yield noise(BIG)
            raise OSError("the disk here is gone")

        fs.write(there / "x", "old")
        with pytest.raises(OSError, match="the disk here is gone"):
            fs.write(there / "x", pieces())
        assert (there / "x").read_text() == "old"


class TestFolders:
    def test_a_listing_is_in_order_and_shows_itself(self, fs: Any, there: Path) -> None:
        (there / "b<i>").write_text("12345")
        (there / "a").mkdir()
        (there / "a" / "inner.py").write_text("")
        (there / "c").symlink_to("nowhere")
        listing = fs.list(there)
        assert listing.names == ("a", "b<i>", "c")
        assert [entry.is_dir for entry in listing] == [True, False, False]
        assert listing[1].size == 5
        assert listing[2].link_target == "nowhere"
        assert listing[0].modified_at.timestamp() == pytest.approx((there / "a").stat().st_mtime, abs=0.001)
        for html in (listing._repr_html_(), listing[1]._repr_html_()):
            assert faults(html) == []
            assert "b&lt;i&gt;" in html
        assert "c → nowhere" in str(listing)
        assert "5 B" in str(listing[1])
        assert fs.list(there, recursive=True).paths == tuple(
            str(there / name) for name in ("a", "a/inner.py", "b<i>", "c")
        )
        assert fs.list(there, recursive=True, depth=1).names == ("a", "b<i>", "c")
        assert fs.list(there, recursive=True, glob="**/*.py").names == ("inner.py",)
        assert repr(listing[1]).startswith("<FileEntry")

    def test_very_many_come_page_by_page(self, fs: Any, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sandbox_agent.client.file_calls.PAGE", 7)
        names = [f"{number:03}" for number in range(50)]
        for name in names:
            (there / name).touch()
        assert list(fs.list(there).names) == names
        assert [entry.name for entry in fs.scan(there)] == names

    def test_made_moved_found_and_removed(self, fs: Any, there: Path) -> None:
        fs.mkdir(there / "a" / "b")
        fs.mkdir(there / "a" / "b")
        assert fs.stat(there / "a" / "b").is_dir
        fs.write(there / "a" / "b" / "x", "1")
        fs.move(there / "a" / "b", there / "c")
        assert fs.exists(there / "c" / "x")
        assert not fs.exists(there / "a" / "b")
        fs.write(there / "y", "2")
        with pytest.raises(InvalidRequest):
            fs.move(there / "y", there / "c" / "x")
        fs.move(there / "y", there / "c" / "x", overwrite=True)
        assert fs.read_text(there / "c" / "x") == "2"
        with pytest.raises(InvalidRequest):
            fs.delete(there / "c")
        fs.delete(there / "c", recursive=True)
        fs.delete(there / "a")
        assert not any(there.iterdir())
        with pytest.raises(NotFound):
            fs.delete(there / "c")

    def test_names_that_are_not_utf_8(self, fs: Any, there: Path) -> None:
        """They are shown with surrogates, and can be used as they are shown."""
        odd = os.path.join(os.fsencode(there), b"odd\xff \xe9")  # noqa: PTH118 - bytes
        Path(os.fsdecode(odd)).write_text("hi")
        (entry,) = fs.list(there)
        assert os.fsencode(entry.path) == odd
        assert fs.read_text(entry) == "hi"
        assert faults(entry._repr_html_()) == []
        assert fs.write(entry, "ho").created is False
        assert fs.stat(entry).size == 2
        fs.move(entry, f"{there}/other\udcfe")
        assert os.listdir(os.fsencode(there)) == [b"other\xfe"]  # noqa: PTH208 - bytes
        fs.delete(f"{there}/other\udcfe")
        assert list(fs.list(there)) == []

    def test_a_path_from_home(self, fs: Any, module_server: Server) -> None:
        fs.write("from-home.txt", "x")
        assert (module_server.home / "from-home.txt").read_text() == "x"
        assert "from-home.txt" in fs.list().names
        fs.delete("from-home.txt")


def tree(folder: Path) -> dict[str, Any]:
    """What is in a folder: content and permissions of files, targets of links."""
    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)  # noqa: PTH115 - the text as it is
        else:
            found[name] = None if path.is_dir() else (path.read_bytes(), path.stat().st_mode & 0o777)
    return found


class TestTransfers:
    def grown(self, folder: Path) -> Path:
        """A folder with something of everything."""
        (folder / "sub" / "empty").mkdir(parents=True)
        (folder / "x.bin").write_bytes(noise(BIG))
        (folder / "sub" / "run").write_text("#!/bin/sh\n")
        (folder / "sub" / "run").chmod(0o750)
        (folder / "sub" / f"{'long name ' * 20}grün").write_text("")
        (folder / "none").touch()
        return folder

    def test_a_folder_there_and_back(self, fs: Any, there: Path, here: Path) -> None:
        before = tree(self.grown(here))
        sent = fs.upload(here, there / "copy")
        assert sent == Transfer(str(there / "copy"), 4, BIG + 10, ())
        assert tree(there / "copy") == before
        back = fs.download(there / "copy", here.parent / "back")
        assert back == here.parent / "back"
        assert tree(back) == before

    def test_links_to_files_are_followed_and_others_told(self, fs: Any, there: Path, here: Path) -> None:
        (here / "x").write_text("1")
        plain = tree(here)["x"]
        (here / "link").symlink_to("x")
        (here / "folder").mkdir()
        (here / "loop").symlink_to(".")
        os.mkfifo(here / "pipe")
        sent = fs.upload(here, there)
        assert sorted(sent.skipped) == [str(here / "loop"), str(here / "pipe")]
        assert tree(there) == {"x": plain, "link": plain, "folder": None}

    def test_a_files_place(self, fs: Any, there: Path, here: Path) -> None:
        """Into a folder that is there or has a slash, else as the name that was given; there and back."""
        (here / "x").write_text("1")
        (there / "in").mkdir()
        assert fs.upload(here / "x", there / "in").path == str(there / "in" / "x")
        assert fs.upload(here / "x", f"{there}/new/").path == str(there / "new" / "x")
        assert fs.upload(here / "x", there / "y") == Transfer(str(there / "y"), 1, 1)
        assert fs.download(there / "y", here) == here / "y"
        assert fs.download(there / "y", here / "z") == here / "z"
        assert sorted(os.listdir(here)) == ["x", "y", "z"]  # noqa: PTH208 - the names alone

    def test_without_a_place_the_name_is_kept(
        self, fs: Any, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(here)
        (here / "kept").write_text("1")
        home = Path(fs.upload("kept").path)
        assert home.name == "kept"
        (here / "kept").unlink()
        assert fs.download(home) == here / "kept"
        home.unlink()

    def test_a_download_replaces_a_file_when_it_is_whole(self, fs: Any, there: Path, here: Path) -> None:
        """What is there keeps its permissions; a failed one leaves it, and nothing beside it."""
        (here / "x").write_text("old")
        (here / "x").chmod(0o600)
        with pytest.raises(NotFound):
            fs.download(there / "x", here / "x")
        assert tree(here) == {"x": (b"old", 0o600)}
        (there / "x").write_text("new")
        fs.download(there / "x", here / "x")
        assert tree(here) == {"x": (b"new", 0o600)}

    def test_a_cut_download_of_a_folder_is_an_error(
        self, connect: Any, module_server: Server, there: Path, here: Path
    ) -> None:
        """An archive that broke off is never taken for whole."""
        (there / "x").write_bytes(noise(BIG))
        budgets = iter([500_000])
        with Cutter(module_server.port, lambda: next(budgets, None)) as cutter, pytest.raises(ConnectionError):
            connect(cutter.url).fs.download(there, here)

    def test_links_that_lead_out_are_left_out(self, fs: Any, there: Path, here: Path) -> None:
        (there / "inside").symlink_to("x")
        (there / "x").write_text("1")
        (there / "sub").mkdir()
        (there / "sub" / "up").symlink_to("../x")
        (there / "secret").symlink_to("/etc/passwd")
        (there / "sub" / "out").symlink_to("../../elsewhere")
        # Inside as it reads, until the link it goes through is there.
        (there / "sub" / "a").symlink_to("b/c/../../../elsewhere")
        (there / "sub" / "b").symlink_to(".")
        (there / "sub" / "c").mkdir()
        fs.download(there, here)
        kept = {"x": tree(there)["x"], "sub": None, "sub/c": None, "inside": "x", "sub/up": "../x", "sub/b": "."}
        assert tree(here) == kept

    def test_nothing_is_written_through_a_link_that_is_here(self, fs: Any, there: Path, here: Path) -> None:
        (there / "sub").mkdir()
        (there / "sub" / "x").write_text("1")
        outside = here.parent / "outside"
        outside.mkdir()
        (here / "sub").symlink_to(outside)
        with pytest.raises(Exception, match="nothing is written through it"):
            fs.download(there, here)
        assert tree(outside) == {}

    def test_what_is_not_here_is_this_machines_error(self, fs: Any, there: Path, here: Path) -> None:
        (there / "x").write_text("1")
        with pytest.raises(FileNotFoundError):
            fs.upload(here / "none", there / "y")
        with pytest.raises(FileNotFoundError):
            fs.download(there / "x", here / "none" / "x")
        assert not (there / "y").exists()

    def test_progress_can_be_followed(self, fs: Any, there: Path, here: Path) -> None:
        """By a function of one's own: bytes so far, and in all where that is known."""
        (here / "x").write_bytes(noise(BIG))
        told: list[tuple[int, int | None]] = []
        follow: Callable[..., None] = lambda done, total: told.append((done, total))  # noqa: E731
        fs.upload(here / "x", there / "x", progress=follow)
        assert told[-1] == (BIG, BIG)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        told.clear()
        fs.download(there / "x", here / "y", progress=follow)
        assert told[-1] == (BIG, BIG)
        fs.upload(here, there / "folder", progress=follow)
        assert told[-1][0] > 2 * BIG
        assert told[-1][1] is None


class TestSearch:
    def test_lines_and_names(self, fs: Any, there: Path) -> None:
        (there / "a.py").write_text("first\nHello <world>\n")
        (there / "hello.txt").write_text("nothing\n")
        found = fs.search("hello", there)
        assert [(match.path, match.line, match.text) for match in found] == [(str(there / "a.py"), 2, "Hello <world>")]
        assert not found.truncated
        assert faults(found._repr_html_()) == []
        assert "<b>Hello</b> &lt;world&gt;" in found._repr_html_()
        assert str(found) == f"{there / 'a.py'}:2: Hello <world>"
        assert not fs.search("hello", there, case_sensitive=True)
        assert [match.path for match in fs.search("hello", there, kind="name")] == [str(there / "hello.txt")]
        assert len(fs.search(r"^\w+$", there, regex=True, glob="*.py")) == 1
        assert fs.search("t", there, limit=1).truncated
        assert fs.read_text(found[0]).startswith("first")
        with pytest.raises(InvalidRequest):
            fs.search("(", there, regex=True)


class TestWatch:
    def test_changes_come_as_they_are_made(self, fs: Any, there: Path) -> None:
        with fs.watch(there, recursive=True) as changes:
            changes.ready()
            (there / "new").mkdir()
            assert next(changes) == FileChange("created", str(there / "new"), is_dir=True)
            (there / "new" / "x").write_text("1")
            assert next(changes).path == str(there / "new" / "x")

    def test_it_ends_with_what_is_watched(self, fs: Any, there: Path) -> None:
        changes = fs.watch(there)
        changes.ready()
        there.rmdir()
        assert list(changes) == [FileChange("deleted", str(there), is_dir=True)]

    def test_what_is_not_there_cannot_be_watched(self, fs: Any, there: Path) -> None:
        with pytest.raises(NotFound):
            next(fs.watch(there / "none"))

    def test_a_cut_says_that_something_may_have_been_missed(
        self, connect: Any, module_server: Server, there: Path
    ) -> None:
        with Cutter(module_server.port, lambda: None) as cutter:
            changes = connect(cutter.url).fs.watch(there)
            changes.ready()
            cutter.cut_all()
            assert next(changes) == FileChange("missed")
            (there / "x").touch()
            assert next(changes).path == str(there / "x")

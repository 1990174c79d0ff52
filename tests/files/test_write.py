"""Writing: wholly or not at all, and only on what was expected there."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files import write as write_module
from sandbox_agent.files.write import Writing
from sandbox_agent.problems import InvalidRequest, NoSpace, PermissionDenied, PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox_agent.files import Files


async def chunks(*parts: bytes, fault: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if fault is not None:
        raise fault


@pytest.fixture(params=["nameless", "named"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two ways of writing beside: without a name, and with one where the file system needs it."""
    if request.param == "named":
        monkeypatch.setattr(write_module, "_PROC", "/nowhere")
    return str(request.param)


def everything(base: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(base)): path.read_bytes() if path.is_file() else None for path in sorted(base.rglob("*"))
    }


async def test_a_new_file_is_written_with_the_folders_above_it(files: Files, base: Path) -> None:
    written = await files.write("a/b/c.txt", chunks(b"one ", b"", b"two"))
    assert (written.path, written.bytes_written, written.created) == (f"{base}/a/b/c.txt", 7, True)
    assert everything(base) == {"a": None, "a/b": None, "a/b/c.txt": b"one two"}
    assert written.etag == (await files.stat("a/b/c.txt")).etag


async def test_an_empty_file_is_a_file(files: Files, base: Path) -> None:
    assert (await files.write("empty", chunks())).bytes_written == 0
    assert everything(base) == {"empty": b""}


async def test_a_replaced_file_keeps_its_mode_and_a_new_one_gets_what_is_usual(files: Files, base: Path) -> None:
    (base / "run.sh").write_text("old")
    (base / "run.sh").chmod(0o751)
    (base / "usual").touch()
    assert not (await files.write("run.sh", chunks(b"new"))).created
    await files.write("new", chunks(b"x"))
    assert (base / "run.sh").stat().st_mode & 0o7777 == 0o751
    assert (base / "new").stat().st_mode == (base / "usual").stat().st_mode
    assert (base / "run.sh").read_text() == "new"


async def test_who_has_the_old_file_open_still_reads_the_old_one(files: Files, base: Path) -> None:
    (base / "f").write_text("old")
    with (base / "f").open() as reader:
        await files.write("f", chunks(b"new"))
        assert reader.read() == "old"
    assert (base / "f").read_text() == "new"


async def test_what_breaks_off_leaves_the_old_file_and_nothing_else(files: Files, base: Path) -> None:
    (base / "f").write_text("old")
    before = (await files.stat("f")).etag
    for name in ("f", "new"):
        with pytest.raises(ConnectionError):
            await files.write(name, chunks(b"x" * 100_000, fault=ConnectionError("gone")))
    assert everything(base) == {"f": b"old"}
    assert (await files.stat("f")).etag == before


async def test_a_cancelled_write_leaves_the_old_file_and_nothing_else(files: Files, base: Path) -> None:
    (base / "f").write_text("old")
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            begun.set()

    task = asyncio.create_task(files.write("f", endless()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert everything(base) == {"f": b"old"}


async def test_a_link_is_written_through_and_stays_a_link(files: Files, base: Path) -> None:
    (base / "d").mkdir()
    (base / "d" / "target").write_text("old")
    (base / "link").symlink_to("d/target")
    (base / "dead").symlink_to("not/yet")
    assert (await files.write("link", chunks(b"new"))).path == f"{base}/link"
    await files.write("dead", chunks(b"now"))
    assert (base / "link").is_symlink()
    assert (base / "d" / "target").read_text() == "new"
    assert (base / "not" / "yet").read_text() == "now"


async def test_only_plain_files_are_replaced(files: Files, base: Path) -> None:
    (base / "folder").mkdir()
    os.mkfifo(base / "pipe")
    (base / "link").symlink_to("folder")
    for name, code in (
        ("folder", "is_directory"),
        ("link", "is_directory"),
        ("pipe", "not_a_file"),
        ("new/", "is_directory"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await files.write(name, chunks(b"x"))
        assert caught.value.extensions["code"] == code
    assert set(everything(base)) == {"folder", "pipe", "link"}


async def test_a_precondition_decides_before_the_first_byte(files: Files, base: Path) -> None:
    (base / "f").write_text("old")
    etag = (await files.stat("f")).etag

    async def must_not_be_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was asked for")
        yield b""

    for name, holds in (("f", lambda found: found is None), ("nothing", lambda found: found is not None)):
        with pytest.raises(PreconditionFailed) as caught:
            await files.write(name, must_not_be_read(), holds=holds)
        assert caught.value.extensions.get("etag") == (etag if name == "f" else None)
    written = await files.write("f", chunks(b"new"), holds=lambda found: found == etag)
    assert written.etag != etag
    assert everything(base) == {"f": b"new"}


@pytest.mark.parametrize("there", [None, "old"])
async def test_of_many_writers_with_one_precondition_one_wins(files: Files, base: Path, there: str | None) -> None:
    """All have looked before the first writes; what the losers sent is nowhere."""
    if there is not None:
        (base / "f").write_text(there)
    etag = (await files.stat("f")).etag if there is not None else None
    all_begun = asyncio.Barrier(8)

    async def content(number: int) -> AsyncIterator[bytes]:
        await all_begun.wait()
        yield b"%d" % number

    outcomes = await asyncio.gather(
        *(files.write("f", content(number), holds=lambda found: found == etag) for number in range(8)),
        return_exceptions=True,
    )
    won = [number for number, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    assert len(won) == 1
    assert all(isinstance(outcome, PreconditionFailed) for outcome in outcomes if isinstance(outcome, BaseException))
    assert everything(base) == {"f": b"%d" % won[0]}


async def test_without_a_precondition_the_last_writer_has_it(files: Files, base: Path) -> None:
    await asyncio.gather(*(files.write("f", chunks(b"%d" % number)) for number in range(8)))
    ((name, content),) = everything(base).items()
    assert name == "f"
    assert content in {b"%d" % number for number in range(8)}


def test_a_file_that_is_mounted_by_itself_is_overwritten_in_its_place(
    files: Files, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As containers have it with their resolv.conf: it cannot be replaced, the system says that it is busy."""

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(write_module, "rename", busy)
    (base / "f").write_text("a longer old text")
    inode = (base / "f").stat().st_ino
    writing = Writing(files.root, f"{base}/f")
    writing.begin()
    writing.write(b"new")
    writing.commit()
    writing.close()
    assert everything(base) == {"f": b"new"}
    assert (base / "f").stat().st_ino == inode


FULL = """
import asyncio, os, pathlib, resource, signal, sys
from sandbox_agent.files import Files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
async def chunks():
    for _ in range(10):
        yield b"x" * 65536
async def main():
    try:
        await Files().write(sys.argv[1], chunks())
    except Exception as error:
        print(type(error).__name__, error.extensions["code"])
asyncio.run(main())
"""


async def test_a_file_that_grows_too_large_for_the_system_is_a_problem(base: Path) -> None:
    """In a process of its own, whose files the system limits."""
    (base / "f").write_text("old")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FULL, str(base / "f"), stdout=subprocess.PIPE, cwd=base
    )
    out, _ = await program.communicate()
    assert out.decode().split() == [NoSpace.__name__, "file_too_large"]
    assert everything(base) == {"f": b"old"}


async def test_what_leads_out_of_the_root_is_not_written(files: Files, base: Path) -> None:
    if files.root.folder is None:
        return
    secret = base.parent / "secret"
    secret.write_text("secret")
    (base / "link").symlink_to("../secret")
    (base / "absolute").symlink_to(secret)
    (base / "above").symlink_to("..")
    for path in (str(secret), "link", "absolute", "above/new", f"{base}/../new"):
        with pytest.raises(PermissionDenied) as caught:
            await files.write(path, chunks(b"x"))
        assert caught.value.extensions["code"] == "outside_root"
    assert secret.read_text() == "secret"
    assert sorted(os.listdir(base.parent)) == ["base", "secret"]  # noqa: PTH208 - names are wanted

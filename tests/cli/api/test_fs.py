"""`api fs` from a shell: what is printed, what is copied, and what is said where it cannot be done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from ...support.command import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from ...support.command import Command
    from ...support.server import Server

FS = ("api", "fs")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder that the server sees."""
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("alpha\n")
    (root / "sub" / "b.py").write_text("beta = 1\nother\n")
    return root


def piped(command: Command, *args: str, stdin: bytes = b"") -> bytes:
    """The command with bytes in and out; its output."""
    command.home.mkdir(exist_ok=True)
    return subprocess.run(
        [*PROGRAM, *args], env=command.environ(), cwd=command.home, input=stdin, stdout=-1, timeout=60, check=True
    ).stdout


def test_a_folder_is_listed_as_a_table_as_paths_and_as_json(command: Command, tree: Path) -> None:
    told = command(*FS, "ls", str(tree)).stdout
    assert "a.txt" in told
    assert "6 B" in told
    assert "b.py" not in told
    found = command(*FS, "ls", str(tree), "--recursive", "--glob", "*.py", "--quiet").stdout
    assert found == f"{tree}/sub/b.py\n"
    entries = command.json(*FS, "ls", str(tree), "--depth", "2", "--json")["entries"]
    assert [entry["path"] for entry in entries] == [f"{tree}/a.txt", f"{tree}/sub", f"{tree}/sub/b.py"]


def test_an_empty_folder_prints_nothing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert command(*FS, "ls", str(tmp_path / "empty")).stdout == ""


def test_a_long_listing_is_whole(command: Command, tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    for number in range(1100):
        (tmp_path / "long" / f"{number:04}").touch()
    assert len(command(*FS, "ls", str(tmp_path / "long")).stdout.splitlines()) == 1101, "and its head"


def test_without_a_path_it_is_the_server_s_home(command: Command, module_server: Server) -> None:
    (module_server.home / "at-home").touch()
    assert "at-home" in command(*FS, "ls").stdout


def test_names_that_are_not_utf_8_are_listed_read_and_removed_by_their_bytes(command: Command, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    name = os.fsencode(tmp_path / "odd") + b"/\xff.bin"
    with open(name, "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(b"odd")
    assert piped(command, *FS, "ls", str(tmp_path / "odd"), "--quiet") == name + b"\n"
    assert json.loads(piped(command, *FS, "ls", str(tmp_path / "odd"), "--json"))["entries"][0]["name"] == "\udcff.bin"
    assert piped(command, *FS, "cat", os.fsdecode(name)) == b"odd"
    piped(command, *FS, "rm", os.fsdecode(name))
    assert not os.path.exists(name)  # noqa: PTH110 - a name of bytes


def test_files_are_printed_byte_by_byte_and_in_part(command: Command, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "x").write_bytes(data)
    (tmp_path / "y").write_bytes(b"end")
    assert piped(command, *FS, "cat", str(tmp_path / "x"), str(tmp_path / "y")) == data + b"end"
    assert piped(command, *FS, "cat", str(tmp_path / "x"), "--offset", "3", "--length", "5") == data[3:8]


def test_a_reader_that_goes_ends_it_quietly(command: Command, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(8 << 20))
    with command.popen(*FS, "cat", str(tmp_path / "big")) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


def test_a_file_goes_up_and_down(command: Command, tmp_path: Path) -> None:
    local, remote, back = tmp_path / "local.bin", tmp_path / "remote.bin", tmp_path / "back.bin"
    local.write_bytes(b"\0\1" * 100_000)
    assert "1 file" in command(*FS, "put", str(local), str(remote)).stderr
    assert remote.read_bytes() == local.read_bytes()
    assert str(back) in command(*FS, "get", str(remote), str(back)).stderr
    assert back.read_bytes() == local.read_bytes()
    assert command.json(*FS, "get", str(remote), str(back), "--json") == {"path": str(back)}


def test_a_folder_goes_up_and_down_with_all_in_it(command: Command, tree: Path, tmp_path: Path) -> None:
    os.symlink(tree / "sub", tree / "link")  # noqa: PTH211 - short
    told = command(*FS, "put", str(tree), str(tmp_path / "up"), "--json")
    done = json.loads(told.stdout)
    assert (done["files"], done["size"], done["skipped"]) == (2, 21, [str(tree / "link")])
    assert "left out" in command(*FS, "put", str(tree), str(tmp_path / "up"), "--quiet").stderr
    command(*FS, "get", str(tmp_path / "up"), str(tmp_path / "down"), "--quiet")
    for root in (tmp_path / "up", tmp_path / "down"):
        assert (root / "a.txt").read_text() == "alpha\n"
        assert (root / "sub" / "b.py").read_text() == "beta = 1\nother\n"


def test_standard_streams_are_files_too(command: Command, tmp_path: Path) -> None:
    data = bytes(range(256)) * 3000
    piped(command, *FS, "put", "-", str(tmp_path / "in"), stdin=data)
    assert (tmp_path / "in").read_bytes() == data
    assert piped(command, *FS, "get", str(tmp_path / "in"), "-") == data
    assert "needs a REMOTE" in command(*FS, "put", "-", status=2).stderr
    assert "--json" in command(*FS, "get", "x", "-", "--json", status=2).stderr


def test_conditions_of_a_put_hold(command: Command, tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    local.write_text("new")
    remote.write_text("old")
    etag = command.json(*FS, "stat", str(remote), "--json")["etag"]
    command(*FS, "put", str(local), str(remote), "--no-overwrite", status=1)
    command(*FS, "put", str(local), str(remote), "--if-match", '"other"', status=1)
    assert remote.read_text() == "old"
    command(*FS, "put", str(local), str(remote), "--if-match", etag)
    assert remote.read_text() == "new"
    command(*FS, "put", str(local), str(tmp_path / "fresh"), "--no-overwrite")
    assert (tmp_path / "fresh").read_text() == "new"
    assert "single file" in command(*FS, "put", str(tmp_path), "x", "--no-overwrite", status=2).stderr


def test_a_bar_is_shown_on_a_terminal_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(4 << 20))
    command.home.mkdir()
    with command.terminal(*FS, "put", str(tmp_path / "big"), str(tmp_path / "up")) as terminal:
        terminal.expect("100% 4.0 MiB of 4.0 MiB")
        terminal.expect("1 file, 4.0 MiB")
        assert terminal.wait() == 0
    assert "%" not in command(*FS, "put", str(tmp_path / "big"), str(tmp_path / "up")).stderr


def test_files_are_moved_made_and_removed(command: Command, tree: Path) -> None:
    command(*FS, "mkdir", str(tree / "new/deep"), str(tree / "other"))
    command(*FS, "mv", str(tree / "a.txt"), str(tree / "new/deep/c.txt"))
    assert (tree / "new/deep/c.txt").read_text() == "alpha\n"
    (tree / "x").write_text("x")
    refused = command(*FS, "mv", str(tree / "x"), str(tree / "new/deep/c.txt"), status=1)
    assert "hint: give --overwrite" in refused.stderr
    command(*FS, "mv", str(tree / "x"), str(tree / "new/deep/c.txt"), "--overwrite")
    assert "hint: give --recursive" in command(*FS, "rm", str(tree / "new"), status=1).stderr
    command(*FS, "rm", "-r", str(tree / "new"), str(tree / "other"))
    assert sorted(path.name for path in tree.iterdir()) == ["sub"]
    assert "error:" in command(*FS, "rm", str(tree / "gone"), status=1).stderr
    command(*FS, "rm", "--force", str(tree / "gone"), str(tree / "sub/b.py"))
    assert not (tree / "sub/b.py").exists()


def test_search_prints_places_and_fails_where_there_is_nothing(command: Command, tree: Path) -> None:
    assert command(*FS, "search", "BETA", str(tree)).stdout == f"{tree}/sub/b.py:1: beta = 1\n"
    assert command(*FS, "search", "BETA", str(tree), "--case-sensitive", status=1).stdout == ""
    assert command(*FS, "search", "b.", str(tree), "--name", "--glob", "*.py").stdout == f"{tree}/sub/b.py\n"
    found = command.json(*FS, "search", "^(alpha|other)$", str(tree), "--regex", "--json")
    assert sorted(match["text"] for match in found["matches"]) == ["alpha", "other"]
    assert "there is more" in command(*FS, "search", "a", str(tree), "--limit", "1").stderr


def test_watch_tells_changes_until_it_is_interrupted(command: Command, tree: Path) -> None:
    with command.popen(*FS, "watch", str(tree), "--recursive") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "watching" in process.stderr.readline()
        (tree / "sub" / "fresh").mkdir()
        assert process.stdout.readline() == f"created   {tree}/sub/fresh/\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_watch_for_programs_says_when_it_has_begun(command: Command, tree: Path) -> None:
    with command.popen(*FS, "watch", str(tree), "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["change"] == "ready"
        (tree / "fresh").touch()
        told = json.loads(process.stdout.readline())
        assert told == {"change": "created", "path": str(tree / "fresh"), "isDir": False}
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("ls", "/nowhere/at/all"), "/nowhere/at/all"),
        (("cat", "/nowhere/at/all"), "/nowhere/at/all"),
        (("stat", "/nowhere/at/all"), "/nowhere/at/all"),
        (("get", "/nowhere/at/all"), "/nowhere/at/all"),
        (("get", "/etc/hostname", "/nowhere/at/all"), "/nowhere/at: No such file"),
        (("put", "/nowhere/at/all"), "/nowhere/at/all: No such file"),
        (("put", "/nowhere/at/all", "x", "--no-overwrite"), "/nowhere/at/all: No such file"),
        (("watch", "/nowhere/at/all"), "/nowhere/at/all"),
    ],
)
def test_what_is_not_there_is_named(command: Command, args: tuple[str, ...], says: str) -> None:
    assert says in command(*FS, *args, status=1).stderr

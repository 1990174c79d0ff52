"""Searching by ripgrep and by our own program, which must find the same."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.files.root import Root
from sandbox_agent.files.search import SHOWN_TEXT, FileSearch, Search
from sandbox_agent.problems import FileFault, InvalidRequest, NotFound, PermissionDenied
from sandbox_agent.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox_agent.supervisor import Child
    from sandbox_agent.wire.files import FsSearchResponse


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    running = Supervisor()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture(params=["ripgrep", "our own"])
def search(request: pytest.FixtureRequest, supervisor: Supervisor) -> Search:
    assert shutil.which("rg"), "ripgrep is among the Debian packages of the tests"
    return Search(Root(), supervisor, ripgrep="rg" if request.param == "ripgrep" else None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files: dict[str, bytes] = {
        "src/main.py": "import os\n\ndef wörld():\n    return 'Wörld, Wörld'\n".encode(),
        "src/deep/er/util.py": b"def helper():\r\n    pass  # World\r\n",
        "README.md": b"# World\n\nno end of line: world",
        ".hidden": b"hidden world\n",
        "binary": b"world\n\0\1\2world\n",
        ".git/config": b"world\n",
        "latin": b"world \xe9t\xe9 world\n",
        os.fsdecode(b"odd\xff"): b"odd world\n",
        "node_modules/.gitignore": b"*\n",
        "node_modules/x.js": b"var world\n",
        "empty": b"",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "link").symlink_to("README.md")
    (tmp_path / "loop").symlink_to(".")
    return tmp_path


def told(
    folder: Path, answer: FsSearchResponse
) -> dict[str, list[tuple[int | None, str, tuple[tuple[int, int], ...]]]]:
    found: dict[str, Any] = {}
    for match in answer.matches:
        name = match.path.removeprefix(f"{folder}/")
        found.setdefault(name, []).append((match.line, match.text, tuple((r.start, r.end) for r in match.ranges)))
    return found


async def test_contents_are_found_with_line_text_and_ranges(search: Search, folder: Path) -> None:
    """Whatever its case; also hidden and ignored files, but no binary ones, no links, and nothing of git's own."""
    answer = await search.run(str(folder), FileSearch(query="world"))
    assert not answer.truncated
    assert told(folder, answer) == {
        "README.md": [(1, "# World", ((2, 7),)), (3, "no end of line: world", ((16, 21),))],
        "src/deep/er/util.py": [(2, "    pass  # World", ((12, 17),))],
        ".hidden": [(1, "hidden world", ((7, 12),))],
        "latin": [(1, "world \ufffdt\ufffd world", ((0, 5), (10, 15)))],
        os.fsdecode(b"odd\xff"): [(1, "odd world", ((4, 9),))],
        "node_modules/x.js": [(1, "var world", ((4, 9),))],
    }
    assert [match.encoded_path for match in answer.matches if "odd" in match.path] == [f"{folder}/odd%FF"]


async def test_case_counts_if_asked_for_and_ranges_are_characters(search: Search, folder: Path) -> None:
    answer = await search.run(str(folder), FileSearch(query="Wörld", case_sensitive=True))
    assert told(folder, answer) == {"src/main.py": [(4, "    return 'Wörld, Wörld'", ((12, 17), (19, 24)))]}
    answer = await search.run(str(folder), FileSearch(query="WÖRLD"))
    assert [line for line, _, _ in told(folder, answer)["src/main.py"]] == [3, 4]


async def test_a_query_is_text_unless_it_is_said_to_be_a_regular_expression(search: Search, folder: Path) -> None:
    assert not (await search.run(str(folder), FileSearch(query=r"def \w+\("))).matches
    answer = await search.run(str(folder), FileSearch(query=r"def \w+\(", regex=True))
    assert told(folder, answer) == {
        "src/main.py": [(3, "def wörld():", ((0, 10),))],
        "src/deep/er/util.py": [(1, "def helper():", ((0, 11),))],
    }
    assert told(folder, await search.run(str(folder), FileSearch(query="-- (", regex=False))) == {}
    with pytest.raises(InvalidRequest, match="malformed"):
        await search.run(str(folder), FileSearch(query="(world", regex=True))


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.py", {"src/deep/er/util.py"}),
        ("src/**/*.py", {"src/deep/er/util.py"}),
        ("src/*.py", set()),
        ("*", {"README.md", "src/deep/er/util.py", ".hidden", "latin", "node_modules/x.js"}),
        ("[!RL.]*", {"src/deep/er/util.py", "latin", "node_modules/x.js"}),
    ],
)
async def test_a_glob_says_where_to_look(glob: str, found: set[str], search: Search, folder: Path) -> None:
    (folder / os.fsdecode(b"odd\xff")).unlink()
    answer = await search.run(str(folder), FileSearch(query="world", glob=glob))
    assert told(folder, answer).keys() == found


async def test_names_are_found_of_files_and_folders(search: Search, folder: Path) -> None:
    answer = await search.run(str(folder), FileSearch(query="E", kind="name"))
    assert {(match.path.removeprefix(f"{folder}/"), match.entry_type) for match in answer.matches} == {
        ("README.md", "file"),
        (".hidden", "file"),
        ("empty", "file"),
        ("node_modules", "directory"),
        ("node_modules/.gitignore", "file"),
        ("src/deep", "directory"),
        ("src/deep/er", "directory"),
    }
    answer = await search.run(str(folder), FileSearch(query=r"^[a-m]+\.py$", kind="name", regex=True, glob="src/**"))
    assert told(folder, answer) == {}
    answer = await search.run(str(folder), FileSearch(query=r"^u.*\.py$", kind="name", regex=True, glob="src/**"))
    assert told(folder, answer) == {"src/deep/er/util.py": [(None, "util.py", ((0, 7),))]}


async def test_more_than_the_limit_is_cut_and_said(search: Search, folder: Path) -> None:
    answer = await search.run(str(folder), FileSearch(query="world", limit=2))
    assert (len(answer.matches), answer.truncated, answer.reason) == (2, True, "limit")
    answer = await search.run(str(folder), FileSearch(query="pass", limit=1))
    assert (len(answer.matches), answer.truncated, answer.reason) == (1, False, None)


async def test_of_a_long_line_the_part_with_the_match_is_told(search: Search, folder: Path) -> None:
    (folder / "long").write_bytes("é".encode() * 50_000 + b"needle" + b"y" * 50_000 + b"needle")
    (match,) = (await search.run(str(folder), FileSearch(query="needle"))).matches
    (found,) = match.ranges
    assert len(match.text) == SHOWN_TEXT
    assert match.text[found.start : found.end] == "needle"
    assert match.text_start + found.start == 50_000


async def test_a_line_that_is_too_long_to_hold_is_left_out_and_that_is_said(search: Search, folder: Path) -> None:
    (folder / "huge").write_bytes(b"needle" * 1_000_000)
    (folder / "small").write_bytes(b"needle")
    answer = await search.run(str(folder), FileSearch(query="needle"))
    assert told(folder, answer).keys() == {"small"}
    assert (answer.truncated, answer.reason) == (True, "size")


async def test_a_search_ends_at_its_deadline(supervisor: Supervisor, folder: Path) -> None:
    """A regular expression that takes for ever is nobody's trouble but its own process's."""
    (folder / "evil").write_bytes(b"a" * 60 + b"!\n")
    search = Search(Root(), supervisor, ripgrep=None, deadline=0.5)
    answer = await search.run(str(folder), FileSearch(query="(a+)+$", regex=True))
    assert (answer.truncated, answer.reason) == (True, "time")
    assert not supervisor._children


async def test_a_program_that_closes_its_output_and_goes_on_is_ended_at_the_deadline(
    supervisor: Supervisor, folder: Path
) -> None:
    lingering = folder / "lingering-rg"
    lingering.write_text("#!/bin/sh\nexec >&- 2>&-\nexec sleep 3600\n")
    lingering.chmod(0o755)
    search = Search(Root(), supervisor, ripgrep=str(lingering), deadline=0.5)
    answer = await asyncio.wait_for(search.run(str(folder), FileSearch(query="x")), 60)
    assert (answer.truncated, answer.reason) == (True, "time")
    assert not supervisor._children


async def test_a_search_that_is_cancelled_leaves_no_process(folder: Path) -> None:
    started = asyncio.Event()

    class Told(Supervisor):
        async def spawn(self, *args: Any, **options: Any) -> Child:
            child = await super().spawn(*args, **options)
            started.set()
            return child

    (folder / "evil").write_bytes(b"a" * 60 + b"!\n")
    supervisor = Told()
    search = Search(Root(), supervisor, ripgrep=None)
    task = asyncio.ensure_future(search.run(str(folder), FileSearch(query="(a+)+$", regex=True)))
    await asyncio.wait_for(started.wait(), 60)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert not supervisor._children
    await supervisor.stop()


async def test_what_cannot_be_searched_is_a_problem(search: Search, folder: Path, supervisor: Supervisor) -> None:
    with pytest.raises(NotFound):
        await search.run(str(folder / "none"), FileSearch(query="x"))
    with pytest.raises(InvalidRequest, match="not a directory"):
        await search.run(str(folder / "README.md"), FileSearch(query="x"))
    with pytest.raises(InvalidRequest, match="one line"):
        await search.run(str(folder), FileSearch(query="x\ny"))
    with pytest.raises(InvalidRequest, match="glob"):
        await search.run(str(folder), FileSearch(query="x", glob="x" * 2000))
    with pytest.raises(PermissionDenied):
        await Search(Root(folder / "src"), supervisor).run(str(folder), FileSearch(query="x"))


async def test_a_program_that_fails_is_told_as_a_fault(folder: Path, supervisor: Supervisor) -> None:
    broken = folder / "broken-rg"
    broken.write_text("#!/bin/sh\necho it broke >&2\nexit 2\n")
    broken.chmod(0o755)
    with pytest.raises(FileFault, match="it broke"):
        await Search(Root(), supervisor, ripgrep=str(broken)).run(str(folder), FileSearch(query="x"))


async def test_without_ripgrep_our_own_program_is_used(folder: Path, supervisor: Supervisor) -> None:
    search = Search(Root(), supervisor, ripgrep=str(folder / "no-such-program"))
    assert (await search.run(str(folder), FileSearch(query="helper"))).matches

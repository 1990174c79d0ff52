"""What is uploaded, piece by piece."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_agent.client.bodies import PIECE, FileBody, FolderBody, _header, body_of
from sandbox_agent.client.progress import Meter
from sandbox_agent.client.sinks import FolderSink

if TYPE_CHECKING:
    from sandbox_agent.client.effects import Body


def meter() -> Meter:
    return Meter(False, "x")


def whole(body: Body) -> bytes:
    return b"".join(body.chunks())


def test_bytes_go_in_pieces_and_can_go_again() -> None:
    data = os.urandom(PIECE + 1)
    body = body_of(data, meter())
    assert (body.size, body.repeatable) == (PIECE + 1, True)
    assert [len(piece) for piece in body.chunks()] == [PIECE, 1]
    assert whole(body) == data


def test_an_open_file_goes_again_from_where_it_stood() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    body = body_of(file, meter())
    assert (body.size, body.repeatable) == (None, True)
    assert whole(body) == whole(body) == b"456789"


def test_what_cannot_go_again_says_so() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as end:
        end.write(b"once")
    with os.fdopen(reader, "rb") as pipe:
        body = body_of(pipe, meter())
        assert not body.repeatable
        assert whole(body) == b"once"
    assert not body_of(iter([b"once"]), meter()).repeatable


def test_a_file_is_as_long_as_it_was_when_it_began(tmp_path: Path) -> None:
    """One that grows is cut there, one that shrinks is a fault."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    counted = meter()
    body = FileBody(path, counted)
    assert counted.total == 10
    path.write_bytes(b"0123456789 and more")
    assert whole(body) == b"0123456789"
    path.write_bytes(b"0123")
    with pytest.raises(OSError, match="became shorter"):
        whole(body)


def test_a_folder_is_a_tar_archive(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x").write_text("1" * 1000)
    (tmp_path / "sub" / "x").chmod(0o741)
    os.utime(tmp_path / "sub" / "x", (1_000_000_000.25, 1_000_000_000.25))
    body = FolderBody(tmp_path, meter())
    with tarfile.open(fileobj=io.BytesIO(whole(body))) as archive:
        assert archive.getnames() == ["sub", "sub/x"]
        member = archive.getmember("sub/x")
        assert (member.size, member.mode, member.mtime) == (1000, 0o741, 1_000_000_000.25)
        assert (member.uid, member.gid, member.uname) == (0, 0, "")
    assert (body.files, body.bytes) == (1, 1000)


NAMES = st.binary(min_size=1, max_size=120).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in {b".", b".."}
)
TREES: Any = st.recursive(
    st.binary(max_size=2000), lambda inner: st.dictionaries(NAMES, inner, max_size=5), max_leaves=15
).filter(lambda tree: isinstance(tree, dict))


def grow(folder: bytes, tree: dict[bytes, Any]) -> None:
    for name, what in tree.items():
        path = folder + b"/" + name
        if isinstance(what, dict):
            os.mkdir(path)  # noqa: PTH102 - names of any bytes
            grow(path, what)
        else:
            Path(os.fsdecode(path)).write_bytes(what)


def found(folder: bytes) -> dict[bytes, Any]:
    return {
        entry.name: found(entry.path) if entry.is_dir() else Path(os.fsdecode(entry.path)).read_bytes()
        for entry in os.scandir(folder)
    }


@given(TREES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_any_tree_survives_the_way(tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, Any]) -> None:
    """Packed by one side, unpacked by the other: names of any bytes and length, empty files and folders."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    grow(os.fsencode(here), tree)
    sink = FolderSink(there)
    sink.write(_header(".", here.stat(), tarfile.DIRTYPE))
    for piece in FolderBody(here, meter()).chunks():
        sink.write(piece)
    assert sink.finish() == there
    assert found(os.fsencode(there)) == tree

"""Archives over HTTP: up, down, refused, broken off, and large in flat memory."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ..support.archives import Entry, gzipped, tar, tree, zipped
from ..support.inside import descriptors, forget_peak, memory
from ..support.server import DEADLINE, poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server

MIB = 1 << 20
FLAT = 30 * MIB
"""What serving something large may take over idle."""


def upload(server: Server, path: Path | str, content: Any, media: str = "application/x-tar") -> Any:
    with server.client() as client:
        return client.post(
            "/v1/fs/upload-batch", params={"path": str(path)}, content=content, headers={"Content-Type": media}
        )


@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("application/x-tar", tar(Entry("folder/file", b"content"))),
        ("application/gzip", gzipped(tar(Entry("folder/file", b"content")))),
        ("application/zip", zipped(Entry("folder/file", b"content"))),
        ("application/x-tar; charset=binary", tar(Entry("folder/file", b"content"))),
    ],
)
def test_an_archive_goes_up(media: str, content: bytes, module_server: Server, tmp_path: Path) -> None:
    answer = upload(module_server, tmp_path / "here", content, media)
    assert (answer.status_code, answer.json()) == (200, {"paths": [f"{tmp_path}/here/folder/file"], "truncated": False})
    assert (tmp_path / "here" / "folder" / "file").read_bytes() == b"content"


def test_a_relative_destination_is_in_the_home_and_none_is_the_home_itself(running_server: Server) -> None:
    content = tar(Entry("file", b"x"))
    assert upload(running_server, "some/where", content).json()["paths"] == [f"{running_server.home}/some/where/file"]
    with running_server.client() as client:
        answer = client.post("/v1/fs/upload-batch", content=content, headers={"Content-Type": "application/x-tar"})
    assert answer.json()["paths"] == [f"{running_server.home}/file"]


def test_s6_refused_members_are_told_by_name_and_nothing_is_written(module_server: Server, tmp_path: Path) -> None:
    content = tar(
        Entry("good", b"x"),
        Entry("../up", b"x"),
        Entry("/absolute", b"x"),
        Entry("link", kind=tarfile.SYMTYPE, target="/etc"),
        Entry("link/passwd", b"x"),
        Entry("device", kind=tarfile.CHRTYPE),
    )
    answer = upload(module_server, tmp_path / "here", content)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:sandbox-agent:error:invalid_request"
    assert [member["name"] for member in answer.json()["members"]] == ["../up", "/absolute", "link", "device"]
    assert not list(tmp_path.iterdir())


def test_another_media_type_is_415_and_what_is_no_archive_400(module_server: Server, tmp_path: Path) -> None:
    assert upload(module_server, tmp_path / "here", b"x", "text/plain").status_code == 415
    assert upload(module_server, tmp_path / "here", b"no archive at all").status_code == 400
    assert not list(tmp_path.iterdir())


def test_an_upload_that_breaks_off_writes_nothing(module_server: Server, tmp_path: Path) -> None:
    content = tar(Entry("first", b"x"), Entry("second", b"y" * 9_000_000))
    with socket.create_connection(("127.0.0.1", module_server.port)) as connection:
        head = (
            f"POST /v1/fs/upload-batch?path={tmp_path}/here HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/x-tar\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        connection.sendall(head.encode() + content[:8_000_000])
    # the next request on another connection is answered after the first one's end was seen
    poll(lambda: not _spools(module_server, tmp_path), what="the end of the upload")
    assert not list(tmp_path.iterdir())


def _spools(server: Server, folder: Path) -> list[str]:
    """Files below a folder that the server has open, those without a name among them."""
    return [path for path in descriptors(server) if path.startswith(f"{folder}/")]


@pytest.mark.parametrize(("form", "media"), [("tar", "x-tar"), ("tar.gz", "gzip"), ("zip", "zip")])
def test_a_folder_comes_down_under_its_name_and_goes_up_again(
    form: str, media: str, module_server: Server, tmp_path: Path
) -> None:
    source = tmp_path / "Büro"
    (source / "empty").mkdir(parents=True)
    (source / "script").write_bytes(b"#!/bin/sh\n")
    (source / "script").chmod(0o755)
    with module_server.client() as client:
        answer = client.get("/v1/fs/download", params={"path": str(source), "format": form})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"application/{media}"
    assert (
        answer.headers["content-disposition"]
        == f"attachment; filename=\"B_ro.{form}\"; filename*=UTF-8''B%C3%BCro.{form}"
    )
    assert upload(module_server, tmp_path / "there", answer.content, f"application/{media}").status_code == 200
    assert tree(tmp_path / "there" / "Büro") == tree(source)


def test_links_come_down_as_links_and_nothing_outside_is_read(module_server: Server, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("../secret")
    with module_server.client() as client:
        answer = client.get("/v1/fs/download", params={"path": str(tmp_path / "folder")})
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert [(m.name, m.issym(), m.linkname) for m in archive] == [
            ("folder", False, ""),
            ("folder/link", True, "../secret"),
        ]


def test_names_that_are_not_utf8_can_be_asked_for_and_survive(module_server: Server, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.makedirs(folder)  # noqa: PTH103 - names are bytes
    upload(module_server, tmp_path / "x", b"")
    with module_server.client() as client:
        answer = client.get(f"/v1/fs/download?path={tmp_path}/%FF")
        assert answer.status_code == 200
        again = client.post(
            f"/v1/fs/upload-batch?path={tmp_path}/%FE",
            content=answer.content,
            headers={"Content-Type": "application/x-tar"},
        )
    assert again.json()["paths"] == [f"{tmp_path}/\udcfe/\udcff"]
    assert tree(tmp_path).keys() == {b"\xff", b"\xfe", b"\xfe/\xff", b"x"}


def test_what_is_not_there_cannot_be_downloaded(module_server: Server, tmp_path: Path) -> None:
    with module_server.client() as client:
        for method in ("GET", "HEAD"):
            answer = client.request(method, "/v1/fs/download", params={"path": str(tmp_path / "none")})
            assert answer.status_code == 404
        answer = client.head("/v1/fs/download", params={"path": str(tmp_path)})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-tar")


def _large(size: int) -> Iterator[bytes]:
    """A tar archive with one file of random bytes, made while it is sent."""
    info = tarfile.TarInfo("large")
    info.size = size
    yield info.tobuf()
    block = os.urandom(MIB)
    for _ in range(size // MIB):
        yield block
    yield bytes(10240)


@pytest.mark.slow
def test_a_tar_of_200_mib_goes_up_and_comes_down_in_flat_memory(running_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "up"
    upload(running_server, tmp_path / "warm", tar(Entry("x", os.urandom(5 * MIB))))
    with httpx2.Client(base_url=running_server.url, timeout=DEADLINE) as client:
        client.get("/v1/fs/download", params={"path": str(tmp_path / "warm")})
        idle = memory(running_server)
        forget_peak(running_server)
        assert upload(running_server, path, _large(200 * MIB)).status_code == 200
        assert (path / "large").stat().st_size == 200 * MIB
        for form in ("tar", "zip"):
            with client.stream("GET", "/v1/fs/download", params={"path": str(path), "format": form}) as stream:
                assert sum(map(len, stream.iter_raw())) > 200 * MIB
    assert memory(running_server, "VmHWM") - idle < FLAT


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_the_archive_back_and_it_ends_with_its_client(
    running_server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "large").write_bytes(os.urandom(MIB) * 200)
    with httpx2.Client(base_url=running_server.url, timeout=DEADLINE) as client:
        client.get("/v1/fs/download", params={"path": str(running_server.home)})
        idle = memory(running_server)
        with client.stream("GET", "/v1/fs/download", params={"path": str(folder)}) as stream:
            pieces = stream.iter_raw()  # held, for its end closes the connection
            next(pieces)
            assert client.get("/v1/health").status_code == 200
            assert _spools(running_server, folder), "it is far from its end"
            assert memory(running_server) - idle < FLAT
    poll(lambda: not _spools(running_server, tmp_path / "folder"), what="the download to end with its client")

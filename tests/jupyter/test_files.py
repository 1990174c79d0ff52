"""Files through a real Jupyter Server: the same handlers stream them behind its own access policy."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from ..support import jupyter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.jupyter import Jupyter

SIZE = 40 << 20


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Jupyter, Path]]:
    """A server whose trait confines files to a folder and limits uploads."""
    root = tmp_path_factory.mktemp("root")
    config = f"c.SandboxAgentApp.root = {str(root)!r}\nc.SandboxAgentApp.max_upload_bytes = {SIZE}\n"
    with jupyter.serve(tmp_path_factory.mktemp("jupyter"), config) as server:
        yield server, root


def test_a_large_file_goes_up_and_down(confined: tuple[Jupyter, Path]) -> None:
    server, root = confined
    block = os.urandom(1 << 20)
    with server.client() as client:
        written = client.put("/v1/fs/file", params={"path": "big.txt"}, content=iter([block] * (SIZE >> 20)))
        assert written.json()["bytesWritten"] == SIZE
        digest = hashlib.blake2b(block * (SIZE >> 20)).digest()
        # The host may compress what it buffers; a file is sent as it is, so that its length and ranges hold.
        got = client.get("/v1/fs/file", params={"path": "big.txt"}, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in got.headers
        assert hashlib.blake2b(got.content).digest() == digest
        assert hashlib.blake2b((root / "big.txt").read_bytes()).digest() == digest
        part = client.get("/v1/fs/file", params={"path": "big.txt"}, headers={"Range": "bytes=-5"})
        assert (part.status_code, part.content) == (206, block[-5:])
        assert part.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_the_limit_and_the_root_of_its_traits_hold(confined: tuple[Jupyter, Path]) -> None:
    server, root = confined
    with server.client() as client:
        too_large = client.put("/v1/fs/file", params={"path": "f"}, content=iter([b"x" * (1 << 20)] * 41))
        assert too_large.status_code == 413
        outside = client.get("/v1/fs/file", params={"path": "/etc/hostname"})
        assert (outside.status_code, outside.json()["code"]) == (403, "outside_root")
        assert not (root / "f").exists()


def test_strangers_and_pages_of_others_reach_no_file(confined: tuple[Jupyter, Path]) -> None:
    server, root = confined
    with server.client(token=False) as stranger:
        for method in ("GET", "PUT"):
            assert stranger.request(method, "/v1/fs/file", params={"path": "x"}).status_code == 401
    with contextlib.closing(server.browser()) as page:  # logged in, but its request has no XSRF token
        refused = page.put("/v1/fs/file", params={"path": "x"}, content=b"x")
        assert refused.status_code == 403
    assert not (root / "x").exists()
    assert "Traceback" not in server.log()

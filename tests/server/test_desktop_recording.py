"""Recordings of the desktop over HTTP: a real display behind a real server."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import av

from ..support.desktop import begin
from ..support.server import poll, serve, start

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2


def record(client: httpx2.Client, **options: Any) -> dict[str, Any]:
    response = client.post("/v1/desktop/recording/start", json={"fps": 10} | options)
    assert response.status_code == 200, response.text
    info: dict[str, Any] = response.json()
    return info


def pictures(path: Path) -> int:
    """How many pictures PyAV reads of a file."""
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def test_a_recording_is_listed_downloaded_in_parts_and_deleted(tmp_path: Path) -> None:
    with serve(tmp_path / "server") as server, server.client() as client:
        refused = client.post("/v1/desktop/recording/start", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "desktop_runtime_inactive")
        begin(client, width=320, height=240)
        info = record(client)
        assert (info["status"], info["fileName"]) == ("recording", f"{info['id']}.mp4")
        again = client.post("/v1/desktop/recording/start", json={})
        assert (again.status_code, again.json()["type"]) == (409, "urn:sandbox-agent:error:conflict")
        address = f"/v1/desktop/recordings/{info['id']}"
        assert client.get(f"{address}/download").status_code == 409
        assert client.delete(address).status_code == 409
        done = client.post("/v1/desktop/recording/stop").json()
        assert (done["id"], done["status"]) == (info["id"], "completed")
        assert client.post("/v1/desktop/recording/stop").status_code == 409
        assert client.get("/v1/desktop/recordings").json() == {"recordings": [done]}
        assert client.get(address).json() == done
        whole = client.get(f"{address}/download")
        assert whole.headers["Content-Type"] == "video/mp4"
        assert len(whole.content) == done["bytes"]
        part = client.get(f"{address}/download", headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, whole.content[10:20])
        gif = client.get(f"{address}/download", params={"format": "gif"})
        assert (gif.headers["Content-Type"], gif.content[:4]) == ("image/gif", b"GIF8")
        odd = client.get(f"{address}/download", params={"format": "avi"})
        assert (odd.status_code, odd.json()["code"]) == (400, "desktop_invalid_action")
        assert client.delete(address).status_code == 204
        assert [client.get(address).status_code, client.get(f"{address}/download").status_code] == [404, 404]
        assert client.delete(address).status_code == 404


def test_a_recording_is_whole_when_the_server_was_asked_to_end(tmp_path: Path) -> None:
    with serve(tmp_path / "server") as server, server.client() as client:
        begin(client, width=320, height=240)
        info = record(client)
        server.stop()
    with serve(tmp_path / "server") as server, server.client() as client:
        assert client.get(f"/v1/desktop/recordings/{info['id']}").json()["status"] == "completed"
        video = tmp_path / "video.mp4"
        video.write_bytes(client.get(f"/v1/desktop/recordings/{info['id']}/download").content)
        assert pictures(video) >= 1


def test_a_recording_that_was_cut_by_a_crash_can_be_played_as_far_as_it_got(tmp_path: Path) -> None:
    server = start(tmp_path / "server")
    try:
        with server.client() as client:
            begin(client, width=320, height=240)
            info = record(client)
            folder = tmp_path / "server" / "state" / "sandbox-agent" / "desktop" / "recordings"
            file = folder / info["fileName"]

            def kept() -> bool:
                try:
                    return pictures(file) >= 10
                except av.error.FFmpegError:
                    return False

            poll(kept)
    finally:
        server.stop(signal.SIGKILL)
    with serve(tmp_path / "server") as other, other.client() as client:
        cut = client.get(f"/v1/desktop/recordings/{info['id']}").json()
        assert cut["status"] == "failed"
        video = tmp_path / "video.mp4"
        video.write_bytes(client.get(f"/v1/desktop/recordings/{info['id']}/download").content)
        assert pictures(video) >= 10

"""`/v1/desktop/recording`, `/v1/desktop/recordings`: start, stop, list, download, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from sandbox_agent.server.call import Answer, Download
from sandbox_agent.wire.desktop import DesktopRecordingListResponse

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call


class DownloadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``gif`` and ``webm`` are made at their first use, which takes a while, and kept."""

    format: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["mp4", "gif", "webm"]})] = "mp4"


async def start(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.recordings.start(call.body))


async def stop(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.recordings.stop())


async def list_recordings(call: Call) -> Answer:
    return Answer(body=DesktopRecordingListResponse(recordings=await call.sandbox.desktop.recordings.list()))


async def get(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.recordings.get(call.params["id"]))


async def download(call: Call) -> Download:
    name, form = call.params["id"], call.query.format
    file = await call.sandbox.desktop.recordings.open(name, form)
    return Download(file, headers=(("Content-Disposition", f'attachment; filename="{name}.{form}"'),))


async def delete(call: Call) -> Answer:
    await call.sandbox.desktop.recordings.delete(call.params["id"])
    return Answer(204)

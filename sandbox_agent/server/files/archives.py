"""Many files by one request: the endpoints of archives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import msgspec

from sandbox_agent.files.archive_spool import IN_MEMORY
from sandbox_agent.files.archives import DOWNLOAD_TYPES, UPLOAD_TYPES
from sandbox_agent.problems import InvalidRequest
from sandbox_agent.server.call import Answer, ByteStream, Stream

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call

BODY = Stream(UPLOAD_TYPES)
MEDIA = tuple(DOWNLOAD_TYPES.values())


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is the folder that the archive is extracted to; it is made where it is missing."""

    path: str = "."


class DownloadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The archive has one member at its top: what ``path`` is called."""

    path: str
    format: Literal["tar", "tar.gz", "zip"] = "tar"


async def upload(call: Call) -> Answer:
    if call.upload is None:  # cannot be: the route takes a stream
        raise InvalidRequest("the request has no body")
    sandbox = call.sandbox
    path = sandbox.files.absolute(call.query.path)
    small = call.upload.length is not None and call.upload.length <= IN_MEMORY
    sent = await call.upload.whole() if small else call.upload
    return Answer(body=await sandbox.archives.unpack(path, call.upload.media, sent))


async def download(call: Call) -> ByteStream:
    """A file or folder under its own name, as an attachment."""
    archives = call.sandbox.archives
    path = call.sandbox.files.absolute(call.query.path)
    await archives.check(path)
    name = f"{path.rpartition('/')[2] or 'root'}.{call.query.format}"
    return ByteStream(
        chunks=archives.pack(path, call.query.format),
        media=DOWNLOAD_TYPES[call.query.format],
        headers=(("Content-Disposition", attachment(name)),),
    )


def attachment(name: str) -> str:
    """A Content-Disposition that offers to save under ``name`` (RFC 6266, 4.3 and appendix D)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name.encode(errors='replace'), safe='')}"
    return f'attachment; filename="{plain}"{exact}'

"""The sandbox's files: the routes."""

from __future__ import annotations

from sandbox_agent import problems as p
from sandbox_agent.files.search import FileSearch
from sandbox_agent.server import negotiate
from sandbox_agent.server.call import Route, Stream
from sandbox_agent.server.files import archives, endpoints, search, watch
from sandbox_agent.wire import files as wire

_PATH = frozenset({"path"})
_FAULTS = (p.NotFound, p.Conflict, p.FileFault)
_CHANGES = (*_FAULTS, p.NoSpace)
_IF_MATCH = {
    "If-Match": "the ETag the file must have",
    "If-None-Match": "`*`: there must be no such file",
}

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/fs/entries",
        endpoint=endpoints.entries,
        summary="List a folder; the header `Next-Cursor` is there when there is another page",
        query=endpoints.EntriesQuery,
        answers={200: list[wire.FsEntry]},
        problems=_FAULTS,
        paths=_PATH,
    ),
    Route(
        method="GET",
        path="/v1/fs/stat",
        endpoint=endpoints.stat,
        summary="Tell what a path leads to",
        query=endpoints.PathQuery,
        answers={200: wire.FsStat},
        problems=_FAULTS,
        paths=_PATH,
    ),
    Route(
        method="GET",
        path="/v1/fs/file",
        endpoint=endpoints.read,
        summary="Read a file, or a range of it",
        query=endpoints.PathQuery,
        headers={
            "Range": "one range of bytes",
            "If-Range": "the ETag for which the range holds",
            "If-Match": "the ETag the file must have",
            "If-None-Match": "the ETag that is known: 304 while the file is the same",
            "If-Modified-Since": "the same by time",
        },
        answers={200: ("*/*",), 206: ("*/*",), 304: None},
        problems=(*_FAULTS, p.PreconditionFailed, p.RangeNotSatisfiable),
        paths=_PATH,
    ),
    Route(
        method="PUT",
        path="/v1/fs/file",
        endpoint=endpoints.write,
        summary="Write a file as a whole, making the folders above it",
        query=endpoints.PathQuery,
        body=Stream(),
        headers=_IF_MATCH,
        answers={200: wire.FsWriteResponse},
        problems=(*_CHANGES, p.PreconditionFailed),
        paths=_PATH,
    ),
    Route(
        method="DELETE",
        path="/v1/fs/entry",
        endpoint=endpoints.delete,
        summary="Delete a file, a link, or a folder",
        query=endpoints.DeleteQuery,
        answers={200: wire.FsActionResponse},
        problems=_FAULTS,
        paths=_PATH,
    ),
    Route(
        method="POST",
        path="/v1/fs/mkdir",
        endpoint=endpoints.mkdir,
        summary="Make a folder and all above it",
        query=endpoints.PathQuery,
        answers={200: wire.FsActionResponse},
        problems=_CHANGES,
        paths=_PATH,
    ),
    Route(
        method="POST",
        path="/v1/fs/move",
        endpoint=endpoints.move,
        summary="Move a file, a folder or a link",
        body=wire.FsMoveRequest,
        answers={200: wire.FsMoveResponse},
        problems=_CHANGES,
        paths=frozenset({"from", "to"}),
    ),
    Route(
        method="POST",
        path="/v1/fs/upload-batch",
        endpoint=archives.upload,
        summary="Extract a tar or zip archive into a folder: all of it or, where a member is refused, nothing",
        query=archives.UploadQuery,
        body=archives.BODY,
        answers={200: wire.FsUploadBatchResponse},
        problems=_CHANGES,
        paths=_PATH,
    ),
    Route(
        method="GET",
        path="/v1/fs/download",
        endpoint=archives.download,
        summary="Download a folder or file as an archive",
        query=archives.DownloadQuery,
        answers={200: archives.MEDIA},
        problems=_FAULTS,
        paths=_PATH,
    ),
    Route(
        method="GET",
        path="/v1/fs/watch",
        endpoint=watch.watch,
        summary="Stream the changes of a folder or file",
        query=watch.WatchQuery,
        answers={200: (negotiate.EVENT_STREAM,)},
        problems=(*_FAULTS, p.NotAcceptable),
        paths=_PATH,
    ),
    Route(
        method="GET",
        path="/v1/fs/search",
        endpoint=search.search,
        summary="Search the names or the contents of files",
        query=FileSearch,
        answers={200: wire.FsSearchResponse},
        problems=_FAULTS,
        paths=_PATH,
    ),
)

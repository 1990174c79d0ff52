"""The recordings of a state folder: a video and a note for each. For a thread.

The server that records holds a lock on the video, so that others, and a later one after a crash, tell what goes on
from what was cut.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.problems import NotFound
from sandbox_agent.wire.desktop import DesktopRecordingInfo

if TYPE_CHECKING:
    from pathlib import Path

_ID = re.compile(r"rec_[0-9A-Za-z_]{1,64}")
_PRIVATE = 0o700


class Shelf:
    """Raises ``NotFound`` for ids it does not have, ``OSError`` where the disk does not let it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self) -> tuple[DesktopRecordingInfo, int]:
        """A new recording, and a descriptor that holds its lock."""
        self.folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        now = datetime.now(UTC)
        name = f"rec_{now:%Y%m%dT%H%M%S_%f}_{secrets.token_hex(3)}"
        info = DesktopRecordingInfo(
            id=name, status="recording", file_name=f"{name}.mp4", bytes=0, started_at=now.isoformat()
        )
        lock = os.open(self.video(info), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.note(info)
        return info, lock

    def note(self, info: DesktopRecordingInfo) -> None:
        """Keep what is known of it."""
        made = self._note(info.id).with_suffix(".new")
        made.write_bytes(msgspec.json.encode(info))
        made.replace(self._note(info.id))

    def list(self) -> tuple[DesktopRecordingInfo, ...]:
        """All of them, the oldest first."""
        names = sorted(path.stem for path in self.folder.glob("rec_*.json"))
        found = []
        for name in names:
            with suppress(NotFound):  # deleted meanwhile, or none of ours
                found.append(self.get(name))
        return tuple(found)

    def get(self, name: str) -> DesktopRecordingInfo:
        """One of them, as it is now; what was cut is ``failed``, and can be played as far as it got."""
        if _ID.fullmatch(name) is None:
            raise NotFound(f"there is no recording {name!r}")
        try:
            info = msgspec.json.decode(self._note(name).read_bytes(), type=DesktopRecordingInfo)
            status = self.video(info).stat()
        except (OSError, msgspec.MsgspecError) as error:
            raise NotFound(f"there is no recording {name!r}") from error
        changes: dict[str, object] = {"bytes": status.st_size}
        if info.status == "recording" and not self._locked(info):
            changes |= {"status": "failed", "ended_at": datetime.fromtimestamp(status.st_mtime, UTC).isoformat()}
        return msgspec.structs.replace(info, **changes)

    def delete(self, info: DesktopRecordingInfo) -> None:
        """Remove it, in all its formats."""
        for path in self.folder.glob(f"{info.id}.*"):
            path.unlink(missing_ok=True)

    def video(self, info: DesktopRecordingInfo, suffix: str = "mp4") -> Path:
        return self.folder / f"{info.id}.{suffix}"

    def _note(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _locked(self, info: DesktopRecordingInfo) -> bool:
        fd = os.open(self.video(info), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

"""MIT-SHM: the X server copies pixels into memory that it shares with us (the MIT Shared Memory Extension, 1.1).

python-xlib lacks this extension; its request classes are enough to say what the wire has. Of libc only the three calls
of System V shared memory are used.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

from Xlib import X
from Xlib.error import CatchError
from Xlib.protocol import request as requests
from Xlib.protocol import rq

if TYPE_CHECKING:
    from sandbox_agent.desktop.x11.connection import Connection
    from sandbox_agent.desktop.x11.geometry import Region

EXTENSION = "MIT-SHM"
IPC_PRIVATE, IPC_CREAT, IPC_RMID = 0, 0o1000, 0
ALL_PLANES = 0xFFFFFFFF

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
_libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_libc.shmdt.argtypes = [ctypes.c_void_p]


class _Attach(rq.Request):
    _request = rq.Struct(
        rq.Card8("opcode"),
        rq.Opcode(1),
        rq.RequestLength(),
        rq.Card32("segment"),
        rq.Card32("shmid"),
        rq.Bool("read_only"),
        rq.Pad(3),
    )


class _Detach(rq.Request):
    _request = rq.Struct(rq.Card8("opcode"), rq.Opcode(2), rq.RequestLength(), rq.Card32("segment"))


class _GetImage(rq.ReplyRequest):
    _request = rq.Struct(
        rq.Card8("opcode"),
        rq.Opcode(4),
        rq.RequestLength(),
        rq.Drawable("drawable"),
        rq.Int16("x"),
        rq.Int16("y"),
        rq.Card16("width"),
        rq.Card16("height"),
        rq.Card32("plane_mask"),
        rq.Card8("format"),
        rq.Pad(3),
        rq.Card32("segment"),
        rq.Card32("offset"),
    )
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Card8("depth"),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Card32("visual"),
        rq.Card32("size"),
        rq.Pad(16),
    )


class Segment:
    """Memory of ``size`` bytes that the server writes to; goes with the connection, or with `free`.

    Where the server cannot reach our memory (it runs on another machine or in another IPC namespace), pixels come over
    the socket instead.
    """

    def __init__(self, connection: Connection, size: int) -> None:
        self.size = size
        self.shared = False
        self._id = connection.allocate()
        self._address = 0
        self._pixels: Any = b""
        self._attach(connection)

    def _attach(self, connection: Connection) -> None:
        shmid = _libc.shmget(IPC_PRIVATE, self.size, IPC_CREAT | 0o600)
        if shmid < 0:
            return
        address = _libc.shmat(shmid, None, 0)
        try:
            if address in {None, ctypes.c_void_p(-1).value}:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            refused = CatchError()
            _Attach(
                display=connection,
                onerror=refused,
                opcode=connection.opcode(EXTENSION),
                segment=self._id,
                shmid=shmid,
                read_only=False,
            )
            connection.sync()
        finally:
            _libc.shmctl(shmid, IPC_RMID, None)  # it lives until both have let go
        self._address = address
        self.shared = refused.get_error() is None

    def ask(self, connection: Connection, where: Region) -> rq.ReplyRequest:
        """Ask for the pixels of a rectangle of the screen; `keep` waits for them.

        They are written here, row by row, 4 bytes (BGRX) each.
        """
        place: dict[str, Any] = {
            "display": connection,
            "defer": True,
            "drawable": connection.root,
            "x": where.x,
            "y": where.y,
            "width": where.width,
            "height": where.height,
            "plane_mask": ALL_PLANES,
            "format": X.ZPixmap,
        }
        if not self.shared:
            return requests.GetImage(**place)
        return _GetImage(opcode=connection.opcode(EXTENSION), segment=self._id, offset=0, **place)

    def keep(self, asked: rq.ReplyRequest) -> None:
        """Wait for what was asked for. Raises ``XError`` where the server refuses."""
        asked.reply()
        if not self.shared:
            self._pixels = asked.data

    def pixels(self, size: int) -> memoryview:
        """The first ``size`` bytes of what was grabbed last; not to be kept beyond the next grab, or `free`."""
        if not self.shared:
            return memoryview(self._pixels)[:size]
        return memoryview((ctypes.c_char * size).from_address(self._address)).cast("B")

    def free(self) -> None:
        """Let go of the memory; the server lets go of it when the connection ends."""
        if self._address:
            _libc.shmdt(self._address)
            self._address = 0
            self.shared = False

"""A TCP proxy that cuts connections where it pleases."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Cutter:
    """Forwards to ``port`` of this machine; each connection is reset after ``budget()`` bytes from the server.

    ``connections`` counts those made, ``cuts`` those reset. With ``frozen`` set, nothing passes.
    """

    def __init__(self, port: int, budget: Callable[[], int | None]) -> None:
        self.upstream = port
        self.budget = budget
        self.connections = 0
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    def randomly(cls, port: int, seed: int, most: int) -> Self:
        """Each connection gets between 1 and ``most`` bytes."""
        chance = random.Random(seed)  # noqa: S311 - a repeatable test
        return cls(port, lambda: chance.randint(1, most))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.upstream), 5)
            except OSError:
                self._reset(client)
                continue
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._upward, args=(client, server), daemon=True).start()
            threading.Thread(target=self._downward, args=(server, client), daemon=True).start()

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        self._close(server)

    def _downward(self, server: socket.socket, client: socket.socket) -> None:
        left = self.budget()
        with contextlib.suppress(OSError):
            while data := server.recv(65536 if left is None else min(left, 65536)):
                client.sendall(data)
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        self.cuts += 1
                        self._reset(client)
                        self._close(server)
                        return
        self._close(client)

    def _reset(self, sock: socket.socket) -> None:
        """A cut as networks make it: no FIN, a reset."""
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.discard(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def cut_all(self) -> None:
        """Reset every connection there is."""
        with self._lock:
            open_now = list(self._open)
        for sock in open_now:
            self._reset(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

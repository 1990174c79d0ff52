"""Ports for servers that are told one, or that come back on the one they had."""

from __future__ import annotations

import random
import socket
from pathlib import Path


def free_port() -> int:
    """A port of loopback that nobody has, below those that the system gives to connections by itself.

    One of those (as of port 0) may belong to any connection of this machine by the time it is used.
    """
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(least, 20_000))  # noqa: S311 - nobody is to be kept from guessing it
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

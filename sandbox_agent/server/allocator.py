"""The allocator of the C library, set for a process that passes on large events."""

from __future__ import annotations

import contextlib
import ctypes

# As mallopt(3) numbers them.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT = 16 << 20
_OWN_MAPPING = 4 << 20


def keep_blocks() -> None:
    """Has memory that large events took serve the next ones: up to 16 MiB stay with the process.

    As it is, a read of 1 MiB from a pipe is memory new from the kernel, which clears it page by page: a tenth of the
    processor time of events of 200 KB. Where the C library has no such setting (musl), nothing changes.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)

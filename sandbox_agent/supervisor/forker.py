"""A ready interpreter that forks into Python programs: ``python -I -S -E forker.py``, run by `forkserver`.

It reads requests from a socket that is its standard input, each with three descriptors: the standard streams of the
program to run. The new process is a child not of this one but of its parent (CLONE_PARENT of clone(2)), which thus
watches, signals and reaps it like any it started itself. A program is a file that prepares itself when it is executed
and has a ``main``; it is executed once, here, and its ``main`` is called in each child.

Whatever goes wrong ends the process: its parent then starts programs the usual way. The same happens where a system
cannot do this: it takes Linux on a processor of the list, glibc, and a kernel with CONFIG_CHECKPOINT_RESTORE. Nothing
but the light part of the standard library is used.
"""

from __future__ import annotations

import ctypes
import gc
import os
import struct
import sys
from _socket import CMSG_SPACE, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = 1 << 16  # bytes that a request may have
_CLONE = {"x86_64": 56, "aarch64": 220}  # the number of the call
_CLONE_PARENT, _CLONE_CHILD_SETTID, _CLONE_CHILD_CLEARTID = 0x8000, 0x1000000, 0x200000
_SIGCHLD = 17
_PR_SET_MM, _PR_SET_MM_MAP, _PR_GET_TID_ADDRESS = 35, 14, 40
_NO_FILE = 0xFFFFFFFF

_libc = ctypes.PyDLL(None, use_errno=True)  # with the lock of the interpreter held, as a fork must be
_libc.sbrk.restype = ctypes.c_void_p
_python = ctypes.pythonapi


def _layout() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the parts of this process's memory are, then its arguments and its environment (proc_pid_stat(5))."""
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 -- pathlib is heavy
        fields = [int(field) for field in file.read().rpartition(b")")[2].split()[1:]]
    return tuple(fields[at] for at in (22, 23, 41, 42, 43, 24)), tuple(fields[44:48])


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _show(layout: tuple[int, ...], shown: tuple[int, ...]) -> None:
    """Have /proc show what is from ``shown[0]`` to ``shown[1]`` as arguments, to ``shown[3]`` as environment."""
    *bounds, stack = layout
    parts = struct.pack("=12Q2I", *bounds, _libc.sbrk(0), stack, *shown, 0, 0, _NO_FILE)  # struct prctl_mm_map
    size, nothing = ctypes.c_ulong(len(parts)), ctypes.c_ulong(0)
    _check(_libc.prctl(_PR_SET_MM, ctypes.c_ulong(_PR_SET_MM_MAP), parts, size, nothing))


def _thread_number() -> ctypes.c_void_p:
    """The address of this thread's number as the C library keeps it, which a child's has to take the place of."""
    os.confstr("CS_GNU_LIBC_VERSION")  # others have other things there, and no such name
    address = ctypes.c_void_p()
    _check(_libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address)))
    if not address.value or ctypes.c_int.from_address(address.value).value != os.getpid():
        raise OSError("the C library keeps its thread's number elsewhere")
    return address


class Forker:
    """The requests, and the programs that are ready."""

    def __init__(self) -> None:
        self._control = socket(fileno=0)
        self._clone = ctypes.c_long(_CLONE[os.uname().machine])
        self._thread = _thread_number()
        self._layout, shown = _layout()
        _show(self._layout, shown)  # tells whether it may be done
        self._programs: dict[bytes, Callable[[], None]] = {}
        self._request = bytearray(ROOM)

    def serve(self) -> Callable[[], None]:
        """Does not return but in a child: what that is to do. Ends the process with its parent."""
        gc.collect()
        gc.freeze()
        self._control.send(b"ready")
        while True:
            size, ancillary, _, _ = self._control.recvmsg_into([self._request], CMSG_SPACE(12))
            if not size:
                os._exit(0)
            descriptors = [fd for _, _, data in ancillary for fd in memoryview(data).cast("i")]
            program, folder, at = self._head()
            main = self._prepared(program)
            try:
                os.chdir(folder)
            except OSError:
                pid = 0
            else:
                pid = self._fork()
                if not pid:
                    self._become(at, size, descriptors)
                    return main
            self._control.send(b"%d" % pid)
            self._request[:size] = bytes(size)  # it may hold keys, which the next child shall not have
            os.chdir("/")
            for fd in descriptors:
                os.close(fd)

    def _head(self) -> tuple[bytes, bytes, int]:
        """The program, its working directory, and where the rest of the request begins."""
        end = self._request.index(0)
        until = self._request.index(0, end + 1)
        return bytes(self._request[:end]), bytes(self._request[end + 1 : until]), until + 1

    def _prepared(self, program: bytes) -> Callable[[], None]:
        if program not in self._programs:
            path = os.fsdecode(program)
            module = type(sys)(path)
            module.__file__ = path
            sys.modules[path] = module
            with open(path, "rb") as file:  # noqa: PTH123 -- as above
                exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102 -- a program of our own
            self._programs[program] = module.main
            gc.collect()
            gc.freeze()  # a child that looks through them would have to copy them
        return self._programs[program]

    def _fork(self) -> int:
        """As os.fork(), but the new process is a child of our parent's."""
        flags = ctypes.c_ulong(_CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID | _SIGCHLD)
        nothing = ctypes.c_void_p()
        _python.PyOS_BeforeFork()
        # The last two arguments change places from processor to processor; the other one is not asked for.
        pid: int = _libc.syscall(self._clone, flags, nothing, nothing, self._thread, self._thread)
        if pid == 0:
            _python.PyOS_AfterFork_Child()
        else:
            _python.PyOS_AfterFork_Parent()
            _check(pid)
        return pid

    def _become(self, at: int, size: int, descriptors: list[int]) -> None:
        """In the child: be what the request wants. Its memory goes on to hold the arguments and the environment."""
        os.setsid()
        self._control.detach()
        for number, fd in enumerate(descriptors):
            os.dup2(fd, number)
            os.close(fd)
        count, _, rest = bytes(self._request[at:size]).partition(b"\0")
        words = rest.split(b"\0")[:-1]
        arguments, variables = words[: int(count)], words[int(count) :]
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self._request)) + at + len(count) + 1
        middle = begin + sum(len(word) + 1 for word in arguments)
        _show(self._layout, (begin, middle, middle, begin + len(rest)))
        os.environ.clear()
        os.environb.update((name, value) for name, _, value in (variable.partition(b"=") for variable in variables))
        sys.orig_argv = [os.fsdecode(word) for word in arguments]
        sys.argv = sys.orig_argv[sys.orig_argv.index(os.fsdecode(self._head()[0])) :]


if __name__ == "__main__":
    forker = Forker()  # as long as the child lives: its memory is what /proc shows
    forker.serve()()

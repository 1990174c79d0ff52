"""The one ordered write queue: everything that is appended goes through here to the store, and back as news.

A writer thread takes all that has queued, carries it out as one transaction (a group commit), and tells the event
loop once a commit. A segment or a new journal that comes while everything before it is safe is jotted down beside the
store instead, where the store can: it is safe at once, and is queued a little later. So what a crash leaves
is always all operations up to some moment. While the store cannot write, what is queued waits in memory and readers
are served from there; ``writable`` is cleared at the bound, which pauses the producers.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from sandbox_agent.journal.clock import Clock
from sandbox_agent.journal.lender import Lender
from sandbox_agent.journal.segment import StoreHealth
from sandbox_agent.journal.store import Jotted, Operation, Settled, StoreFault
from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox_agent.journal.store import Opened, Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

MEMORY_ONLY = StoreHealth(
    persisted=False,
    problem="events are kept in memory only and end with the server",
    hint="start the server with a data directory to keep them",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of memory, and seconds."""

    queue_bytes: int = 32 << 20  # not yet written: beyond it producers pause, until half of it is gone
    window_bytes: int = 1 << 20  # kept of each journal beside the store; four times that while it is followed
    cache_bytes: int = 32 << 20  # kept of all journals together
    batch_bytes: int = 1 << 20  # one transaction
    batch_operations: int = 4096
    jot_s: float = 1.0  # after so long, or so much, or so many, what was jotted down is committed
    jot_bytes: int = 4 << 20
    jot_operations: int = 256
    retry_s: float = 0.5  # how often a store that could not write is tried again
    idle_s: float = 1.0  # when a pause is long enough for housekeeping


class Cached(Protocol):
    """Something that holds entries in memory which the store holds as well."""

    @property
    def cached_bytes(self) -> int: ...

    def degrade(self) -> None:
        """The store cannot write: show what is there."""

    def evict(self, keep: int) -> None:
        """Let go of what the store holds, down to ``keep`` bytes."""


class _Barrier(Operation):
    """Passed through the queue: once it is committed, all before it is."""

    __slots__ = ("future",)

    stored = False

    def __init__(self, future: asyncio.Future[bool]) -> None:
        super().__init__()
        self.future = future

    def committed(self) -> None:
        if not self.future.done():
            self.future.set_result(True)


class _Stop(Operation):
    """Wakes the writer to end."""

    __slots__ = ()

    stored = False


class _Settled(Settled):
    """Once it is committed, all that was shown while the store failed is stored."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def committed(self) -> None:
        self._engine.settled()


class StoreStopped(SandboxAgentError):
    """The store was stopped; nothing can be read from it or written to it."""


class Engine:
    """The queue, its writer thread, the readers' threads, the health of the store, and the bounds on memory."""

    def __init__(self, store: Store, *, clock: Clock | None = None, limits: Limits | None = None) -> None:
        self.store = store
        self.clock = clock or Clock()
        self.limits = limits or Limits()
        self.writable = asyncio.Event()
        self.writable.set()
        self.health = StoreHealth(persisted=True) if store.persistent else MEMORY_ONLY
        self.degraded = False
        self._queue: queue.SimpleQueue[Operation] = queue.SimpleQueue()
        self._unsafe = 0  # operations on the writer's thread that a crash would lose
        self._handed = 0  # all on the writer's thread
        self._jotted: list[Operation] = []  # for the writer's thread, later
        self._jotted_bytes = 0
        self._later: asyncio.TimerHandle | None = None
        self._queued_bytes = 0
        self._cached: dict[Cached, int] = {}
        self._cached_bytes = 0
        self._behind: dict[Cached, None] = {}
        self._barriers: set[asyncio.Future[bool]] = set()
        self._stopping = threading.Event()
        self.stopped = False
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop
        self._lender: Lender

    async def start(self) -> Opened:
        self._loop = asyncio.get_running_loop()
        self._lender = Lender(self._loop, lambda: self._handed > 0 and not self.degraded)
        if not self.store.threaded:
            return self.store.open()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="journal-reader")
        try:
            opened = await self.call(self.store.open)
        except BaseException:
            self._readers.shutdown()
            raise
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()
        return opened

    async def stop(self) -> None:
        """Writes what is queued (one last try where the store fails), then closes the store."""
        self.stopped = True
        if self._thread is not None:
            self._stopping.set()
            self._hand_over(_Stop())
            self._lender.stop()
            await asyncio.to_thread(self._thread.join)
            self._thread = None
            self._release_barriers()
        if self._readers is not None:
            readers, self._readers = self._readers, None
            await asyncio.to_thread(readers.shutdown)
            await asyncio.to_thread(self.store.close)

    # On the event loop

    def submit(self, operation: Operation) -> None:
        """Queues the operation; a store that is not threaded carries it out at once."""
        if self.stopped:
            raise StoreStopped("the store was stopped")
        if not self.store.threaded:
            self.store.commit([operation])
            operation.safe()
            operation.committed()
            return
        self._queued_bytes += operation.weight
        if self._queued_bytes > self.limits.queue_bytes:
            self.writable.clear()
        if not self._unsafe and not self.degraded and isinstance(operation, Jotted) and self.store.jot(operation):
            self._jotted.append(operation)
            self._jotted_bytes += operation.weight
            operation.safe()
            if self._jotted_bytes > self.limits.jot_bytes or len(self._jotted) >= self.limits.jot_operations:
                self._hand_over()
            elif self._later is None:
                self._later = self._loop.call_later(self.limits.jot_s, self._hand_over)
        else:
            self._hand_over(operation)

    def _hand_over(self, operation: Operation | None = None) -> None:
        """Gives the writer's thread what was jotted down, and the operation."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        for jotted in self._jotted:
            self._queue.put(jotted)
        self._handed += len(self._jotted)
        self._jotted.clear()
        self._jotted_bytes = 0
        if operation is not None:
            self._handed += 1
            operation.unsafe = True
            self._unsafe += 1
            self._queue.put(operation)
        self._lender.watch()

    async def barrier(self) -> bool:
        """Waits until all that was queued before is on disk: true; false when it is not persisted."""
        if not self.health.persisted:
            return False
        future: asyncio.Future[bool] = self._loop.create_future()
        self._barriers.add(future)
        future.add_done_callback(self._barriers.discard)
        self.submit(_Barrier(future))
        return await future

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Runs a blocking read in a thread (at once where the store is memory)."""
        if self.stopped:
            raise StoreStopped("the store was stopped")
        if self._readers is None:
            return function(*args)
        return await self._loop.run_in_executor(self._readers, function, *args)

    def cached(self, journal: Cached) -> None:
        """Notes that the journal's memory changed, as the one used last; the least recently used give way."""
        size = journal.cached_bytes
        self._cached_bytes += size - self._cached.pop(journal, 0)
        if size:
            self._cached[journal] = size
        while self._cached_bytes > self.limits.cache_bytes and len(self._cached) > 1:
            oldest = next(iter(self._cached))
            oldest.evict(0)
            self._cached_bytes += oldest.cached_bytes - self._cached.pop(oldest)

    def behind(self, journal: Cached, *, waits: bool) -> None:
        """Keeps the journals with entries not stored yet: those to show when the store fails."""
        if waits:
            self._behind[journal] = None
        else:
            self._behind.pop(journal, None)

    def _committed(self, batch: Sequence[Operation]) -> None:
        self._handed -= len(batch)
        for operation in batch:
            self._queued_bytes -= operation.weight
            self._unsafe -= operation.unsafe
            operation.committed()
        if not self._handed and not self._jotted:
            self.store.clear_jots()
        if not self.writable.is_set() and self._queued_bytes <= self.limits.queue_bytes // 2:
            self.writable.set()

    def _failed(self, fault: StoreFault) -> None:
        if not self.degraded:
            logger.error("the store cannot write, serving from memory", extra={"problem": fault.detail})
        self.degraded = True
        self.health = StoreHealth(persisted=False, problem=fault.detail, hint=fault.hint)
        for journal in list(self._behind):
            journal.degrade()
        self._release_barriers()

    def _release_barriers(self) -> None:
        for future in list(self._barriers):
            if not future.done():
                future.set_result(False)

    def _recovered(self) -> None:
        self.degraded = False
        if not self.stopped:
            self.submit(_Settled(self))

    def settled(self) -> None:
        """Nothing that readers have seen is in memory only."""
        if not self.degraded:
            logger.info("the store writes again, everything is on disk")
            self.health = StoreHealth(persisted=True)

    # On the writer's thread

    def _run(self) -> None:
        try:
            self._write()
        finally:
            if not self._stopping.is_set():
                fault = StoreFault("the store's writer ended by a fault of ours", hint="restart the server")
                self._tell(self._failed, fault)

    def _write(self) -> None:
        pending: list[Operation] = []
        failing = False
        idle_s: float | None = None
        while True:
            if failing:
                self._stopping.wait(self.limits.retry_s)
                self._drain(pending)
            elif not self._take(pending, idle_s):
                idle_s = self.limits.idle_s if self.store.tidy(idle=True) else None
                continue
            failing = self._flush(pending, failing=failing)
            if self._stopping.is_set() and self._queue.empty():
                if failing:
                    logger.error("stopped with entries that could not be written", extra={"operations": len(pending)})
                return
            if not failing:
                idle_s = self.limits.idle_s if self.store.tidy(idle=False) else None

    def _take(self, pending: list[Operation], timeout: float | None) -> bool:
        try:
            pending.append(self._queue.get(timeout=timeout))
        except queue.Empty:
            return False
        self._drain(pending)
        return True

    def _drain(self, pending: list[Operation]) -> None:
        # The only consumer: what was counted is there.
        pending.extend(self._queue.get_nowait() for _ in range(self._queue.qsize()))

    def _flush(self, pending: list[Operation], *, failing: bool) -> bool:
        """Commits ``pending`` in batches; true when the store failed and some are left."""
        while pending:
            batch = self._batch(pending)
            work = [operation for operation in batch if operation.stored]
            try:
                if work:
                    self.store.commit(work)
            except StoreFault as fault:
                self._tell(self._failed, fault)
                return True
            del pending[: len(batch)]
            self._lender.committed()
            self._tell(self._committed, batch)
        if failing:
            self._tell(self._recovered)
        return False

    def _batch(self, pending: list[Operation]) -> list[Operation]:
        size = 0
        for count, operation in enumerate(pending[: self.limits.batch_operations], 1):
            size += operation.weight
            if size >= self.limits.batch_bytes:
                return pending[:count]
        return pending[: self.limits.batch_operations]

    def _tell(self, callback: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            logger.warning("the event loop closed before the store was stopped")

"""Both SDKs under one test: the awaited one is driven by a loop that runs while a call runs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self

from sandbox_agent.client import (
    AsyncAcpServer,
    AsyncDesktop,
    AsyncFileSystem,
    AsyncNode,
    AsyncPermissionWatch,
    AsyncProcess,
    AsyncProcesses,
    AsyncPromptHandle,
    AsyncSandboxAgent,
    AsyncSession,
    AsyncTerminal,
    AsyncWindow,
    NodeList,
    WindowList,
)
from sandbox_agent.client.async_agent import AsyncSessionList
from sandbox_agent.client.async_driver import AsyncStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

_AWAITED = (
    AsyncSandboxAgent,
    AsyncSession,
    AsyncPromptHandle,
    AsyncAcpServer,
    AsyncSessionList,
    AsyncPermissionWatch,
    AsyncFileSystem,
    AsyncProcesses,
    AsyncProcess,
    AsyncTerminal,
    AsyncDesktop,
    AsyncWindow,
    AsyncNode,
)


class Blocking:
    """An awaited object with the blocking one's surface."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return self._dress(found)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._finish(lambda: found(*args, **kwargs))

        return call

    def _finish(self, call: Any) -> Any:
        async def run() -> Any:
            result = call()
            return await result if inspect.isawaitable(result) else result

        return self._dress(self._runner.run(run()))

    def _dress(self, value: Any) -> Any:
        if isinstance(value, AsyncStream):
            return BlockingStream(value, self._runner)
        if isinstance(value, _AWAITED):
            return Blocking(value, self._runner)
        if isinstance(value, NodeList):
            return NodeList([Blocking(item, self._runner) for item in value], value._told)
        if isinstance(value, WindowList):
            return WindowList([Blocking(item, self._runner) for item in value])
        if isinstance(value, tuple) and value and isinstance(value[0], _AWAITED):
            return tuple(Blocking(item, self._runner) for item in value)
        return value

    def __iter__(self) -> Iterator[Any]:
        stream = aiter(self._inner)
        while True:
            try:
                yield self._finish(lambda: anext(stream))
            except StopAsyncIteration:
                return

    def __len__(self) -> int:
        return len(self._inner)

    def __enter__(self) -> Any:
        return self._finish(self._inner.__aenter__)

    def __exit__(self, *args: object) -> None:
        self._finish(lambda: self._inner.__aexit__(*args))

    def __repr__(self) -> str:
        return repr(self._inner)


class BlockingStream:
    """An awaited stream, iterated from outside its loop."""

    def __init__(self, inner: AsyncStream[Any], runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __iter__(self) -> BlockingStream:
        return self

    def __next__(self) -> Any:
        async def step() -> Any:
            return await anext(self._inner)

        try:
            return self._runner.run(step())
        except StopAsyncIteration:
            raise StopIteration from None

    def ready(self) -> Self:
        self._runner.run(self._inner.ready())
        return self

    def close(self) -> None:
        self._runner.run(self._inner.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

"""The two SDKs are twins: the same names, the same arguments, the same defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from sandbox_agent.client import (
    acp,
    agent,
    async_agent,
    async_desktop,
    async_driver,
    async_session,
    desktop,
    fs,
    nodes,
    permissions,
    processes,
    recording,
    recordings,
    session,
    sync_driver,
    terminal,
    windows,
)

TWINS: list[tuple[type, type]] = [
    (agent.SandboxAgent, async_agent.AsyncSandboxAgent),
    (agent.SessionList, async_agent.AsyncSessionList),
    (session.Session, async_session.AsyncSession),
    (session.PromptHandle, async_session.AsyncPromptHandle),
    (acp.AcpServer, acp.AsyncAcpServer),
    (permissions.PermissionWatch, permissions.AsyncPermissionWatch),
    (fs.FileSystem, fs.AsyncFileSystem),
    (processes.Processes, processes.AsyncProcesses),
    (processes.Process, processes.AsyncProcess),
    (terminal.Terminal, terminal.AsyncTerminal),
    (desktop.Desktop, async_desktop.AsyncDesktop),
    (recording.DesktopRecording, recording.AsyncDesktopRecording),
    (recordings.DesktopRecordings, recordings.AsyncDesktopRecordings),
    (windows.Window, windows.AsyncWindow),
    (nodes.Node, nodes.AsyncNode),
]

# Protocols of the language that have an awaited name.
AWAITED = {"__aiter__": "__iter__", "__aenter__": "__enter__", "__aexit__": "__exit__"}


def public(cls: type) -> dict[str, Any]:
    kept = {"__iter__", "__enter__", "__exit__", "__len__", "__repr__", "__getitem__"} | set(AWAITED)
    return {
        AWAITED.get(name, name): value
        for name, value in inspect.getmembers_static(cls)
        if (not name.startswith("_") or name in kept) and not hasattr(object, name)
    }


def unwrap(value: Any) -> Any:
    return value.__func__ if isinstance(value, (classmethod, staticmethod)) else value


@pytest.mark.parametrize(("blocking", "awaited"), TWINS, ids=lambda cls: cls.__name__)
def test_twins_have_the_same_members(blocking: type, awaited: type) -> None:
    assert set(public(blocking)) == set(public(awaited))


@pytest.mark.parametrize(("blocking", "awaited"), TWINS, ids=lambda cls: cls.__name__)
def test_twins_take_the_same_arguments(blocking: type, awaited: type) -> None:
    for name, one in public(blocking).items():
        two = public(awaited).get(name)
        if not inspect.isfunction(unwrap(one)) or two is None:
            continue
        shape = [
            [(p.name, p.kind, p.default) for p in inspect.signature(unwrap(member)).parameters.values()]
            for member in (one, two)
        ]
        assert shape[0] == shape[1], f"{blocking.__name__}.{name}"


@pytest.mark.parametrize(("blocking", "awaited"), TWINS, ids=lambda cls: cls.__name__)
def test_what_one_documents_the_other_does_too(blocking: type, awaited: type) -> None:
    for name, one in public(blocking).items():
        two = public(awaited).get(name)
        if two is not None and not name.startswith("__"):
            assert bool(inspect.getdoc(unwrap(one))) == bool(inspect.getdoc(unwrap(two))), f"{blocking.__name__}.{name}"


def test_streams_differ_only_in_how_they_are_closed() -> None:
    blocking, awaited = set(public(sync_driver.Stream)), set(public(async_driver.AsyncStream))
    assert blocking - awaited == {"close"}
    assert awaited - blocking == {"aclose"}

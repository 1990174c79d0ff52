"""The sandbox's processes and terminals: the routes."""

from __future__ import annotations

from sandbox_agent import problems as p
from sandbox_agent.server import negotiate
from sandbox_agent.server.call import Route, SocketRoute
from sandbox_agent.server.processes import endpoints, logs, terminal
from sandbox_agent.wire import processes as wire

EXECUTE = "execute"
_STARTS = (p.Conflict, p.NotImplementedHere, p.StreamError)
_ONE = (p.NotFound, p.NotImplementedHere)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/processes",
        endpoint=endpoints.list_processes,
        summary="List the processes by creation, with what they use",
        query=endpoints.ListQuery,
        answers={200: wire.ProcessListResponse},
        problems=(p.NotImplementedHere,),
    ),
    Route(
        method="POST",
        path="/v1/processes",
        endpoint=endpoints.create,
        summary="Start a process",
        body=wire.ProcessCreateRequest,
        answers={200: wire.ProcessInfo},
        problems=_STARTS,
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/processes/config",
        endpoint=endpoints.config,
        summary="Tell the limits",
        answers={200: wire.ProcessConfig},
        problems=(p.NotImplementedHere,),
    ),
    Route(
        method="POST",
        path="/v1/processes/config",
        endpoint=endpoints.configure,
        summary="Change the limits",
        body=wire.ProcessConfigRequest,
        answers={200: wire.ProcessConfig},
        problems=(p.NotImplementedHere,),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/processes/run",
        endpoint=endpoints.run,
        summary="Run a command to its end, or to its time-out",
        body=wire.ProcessRunRequest,
        answers={200: wire.ProcessRunResponse},
        problems=_STARTS,
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/processes/{id}",
        endpoint=endpoints.get,
        summary="Tell about one process, with what it uses",
        headers={"Prefer": "`wait=N` holds the answer for up to N seconds, until the process has ended"},
        answers={200: wire.ProcessInfo},
        problems=_ONE,
    ),
    Route(
        method="DELETE",
        path="/v1/processes/{id}",
        endpoint=endpoints.delete,
        summary="Forget a process that has ended, and its log",
        answers={204: None},
        problems=(*_ONE, p.Conflict),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/processes/{id}/input",
        endpoint=endpoints.send_input,
        summary="Write to a process's input",
        body=wire.ProcessInputRequest,
        answers={200: wire.ProcessInputResponse},
        problems=(*_ONE, p.Conflict, p.PayloadTooLarge, p.Timeout),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/processes/{id}/stop",
        endpoint=endpoints.stop,
        summary="Ask a process and all it started to end (SIGTERM), and wait a while",
        query=endpoints.SignalQuery,
        answers={200: wire.ProcessInfo},
        problems=_ONE,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/processes/{id}/kill",
        endpoint=endpoints.kill,
        summary="End a process and all it started (SIGKILL), and wait a while",
        query=endpoints.SignalQuery,
        answers={200: wire.ProcessInfo},
        problems=_ONE,
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/processes/{id}/logs",
        endpoint=logs.logs,
        summary="Give a process's log, or follow it to the exit as an event stream",
        query=logs.LogsQuery,
        headers={"Last-Event-ID": "the sequence after which to go on"},
        answers={200: (wire.ProcessLogsResponse, negotiate.EVENT_STREAM)},
        problems=_ONE,
    ),
    SocketRoute(
        path="/v1/processes/{id}/terminal/ws",
        endpoint=terminal.connect,
        summary="Talk to a process's terminal over a WebSocket",
        query=terminal.TerminalQuery,
        problems=(*_ONE, p.Conflict),
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/processes/{id}/terminal/resize",
        endpoint=terminal.resize,
        summary="Change the size of a process's terminal",
        body=wire.ProcessTerminalResizeRequest,
        answers={200: wire.ProcessTerminalResizeResponse},
        problems=(*_ONE, p.Conflict),
        action=EXECUTE,
    ),
    Route(
        method="GET",
        path="/v1/processes/{id}/terminal/screen",
        endpoint=terminal.screen,
        summary="Tell what is on the screen of a process's terminal, as text",
        answers={200: wire.ProcessTerminalScreen},
        problems=(*_ONE, p.Conflict),
    ),
)

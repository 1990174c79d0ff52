"""`/v1/desktop/a11y`: what programs tell of their windows, and what is done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent import problems as p
from sandbox_agent.server.call import Answer, Route
from sandbox_agent.server.desktop.routes import ACTIVE, EXECUTE
from sandbox_agent.wire import desktop_a11y as wire
from sandbox_agent.wire.desktop import DesktopActionResponse

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call

_DONE = DesktopActionResponse(ok=True)


async def tree(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.a11y.tree(call.query))


async def find(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.a11y.find(call.query))


async def marks(call: Call) -> Answer:
    _ = call.sandbox.desktop.x11
    return Answer(body=call.sandbox.desktop.a11y.legend(call.query.screenshot_id))


async def node(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.a11y.node(call.params["id"]))


async def press(call: Call) -> Answer:
    await call.sandbox.desktop.a11y.act(call.params["id"], "press")
    return Answer(body=_DONE)


async def focus(call: Call) -> Answer:
    await call.sandbox.desktop.a11y.act(call.params["id"], "focus")
    return Answer(body=_DONE)


async def set_value(call: Call) -> Answer:
    await call.sandbox.desktop.a11y.act(call.params["id"], "set-value", call.body.value)
    return Answer(body=_DONE)


_LOOKS = (p.DesktopInvalidAction, *ACTIVE, p.DesktopDependenciesMissing)
_ACTS = (*_LOOKS, p.NodeNotFound, p.DesktopInputFailed)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/desktop/a11y/tree",
        endpoint=tree,
        summary="Tell what programs tell of their windows, as a tree, within 3 seconds",
        query=wire.DesktopTreeQuery,
        answers={200: wire.DesktopTreeResponse},
        problems=(*_LOOKS, p.WindowNotFound),
    ),
    Route(
        method="GET",
        path="/v1/desktop/a11y/find",
        endpoint=find,
        summary="Find nodes of the tree by role, name, text and states",
        query=wire.DesktopFindQuery,
        answers={200: wire.DesktopFindResponse},
        problems=(*_LOOKS, p.WindowNotFound),
    ),
    Route(
        method="GET",
        path="/v1/desktop/a11y/marks",
        endpoint=marks,
        summary="Tell what the marks of a screenshot stand for",
        query=wire.DesktopMarksQuery,
        answers={200: wire.DesktopMarksResponse},
        problems=(p.DesktopInvalidAction, *ACTIVE),
    ),
    Route(
        method="GET",
        path="/v1/desktop/a11y/nodes/{id}",
        endpoint=node,
        summary="Tell about one node as it is now",
        answers={200: wire.DesktopNode},
        problems=(*_LOOKS, p.NodeNotFound),
    ),
    Route(
        method="POST",
        path="/v1/desktop/a11y/nodes/{id}/press",
        endpoint=press,
        summary="Press a node, as a click on it would",
        answers={200: DesktopActionResponse},
        problems=_ACTS,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/a11y/nodes/{id}/focus",
        endpoint=focus,
        summary="Give a node the keyboard's focus",
        answers={200: DesktopActionResponse},
        problems=_ACTS,
        action=EXECUTE,
    ),
    Route(
        method="POST",
        path="/v1/desktop/a11y/nodes/{id}/set-value",
        endpoint=set_value,
        summary="Set the text of a field, or the number of a slider",
        body=wire.DesktopNodeValue,
        answers={200: DesktopActionResponse},
        problems=_ACTS,
        action=EXECUTE,
    ),
)

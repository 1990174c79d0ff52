"""Several actions in one request: done in order, until the first that fails."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, TypeAlias

from sandbox_agent.desktop.acts import region_of, view_of
from sandbox_agent.problems import DesktopInvalidAction, Problem, Timeout
from sandbox_agent.wire import desktop_actions as act
from sandbox_agent.wire.desktop_actions import DesktopActionResult, DesktopActionsResponse, DesktopScreenshotData

if TYPE_CHECKING:
    from sandbox_agent.desktop.a11y.marks import Marking
    from sandbox_agent.desktop.acts import Acts
    from sandbox_agent.desktop.service import Desktop
    from sandbox_agent.desktop.x11.screenshots import Screenshot
    from sandbox_agent.wire.desktop import DesktopMousePositionResponse

    _Mouse: TypeAlias = (
        act.MoveAction | act.ClickAction | act.MouseDownAction | act.MouseUpAction | act.DragAction | act.ScrollAction
    )
    _Keys: TypeAlias = act.TypeAction | act.KeyAction | act.KeyDownAction | act.KeyUpAction
    Input: TypeAlias = _Mouse | _Keys

MOST_ACTIONS = 100


async def run(desktop: Desktop, request: act.DesktopActionsRequest) -> DesktopActionsResponse:
    """Do the actions. A problem of one is its result, and the last; those of the desktop itself are raised."""
    if not 1 <= len(request.actions) <= MOST_ACTIONS:
        raise DesktopInvalidAction(f"actions must be from 1 to {MOST_ACTIONS}, not {len(request.actions)}")
    _ = desktop.x11
    results: list[DesktopActionResult] = []
    for action in request.actions:
        name = str(action.__struct_config__.tag)
        try:
            results.append(await _do(desktop, action, name))
        except Problem as problem:
            results.append(DesktopActionResult(type=name, ok=False, problem=problem.document()))
            break
    return DesktopActionsResponse(ok=all(result.ok for result in results), results=tuple(results))


async def _do(desktop: Desktop, action: act.DesktopAction, name: str) -> DesktopActionResult:
    match action:
        case act.WaitAction():
            waited = await desktop.wait(action)
            if not waited.met:
                raise Timeout(f"{action.until} has not come within {action.timeout_ms} ms")
            return DesktopActionResult(type=name, ok=True, wait=waited)
        case act.ScreenshotAction():
            region = region_of(action.x, action.y, action.width, action.height)
            view = view_of(action.format, action.quality, action.scale, region, cursor=action.show_cursor)
            if action.marks:
                view = await desktop.acts.marked(view)
            shot = data_of(await desktop.acts.screenshot(view), view.marking)
            return DesktopActionResult(type=name, ok=True, screenshot=shot)
        case _:
            return DesktopActionResult(type=name, ok=True, position=await perform(desktop.acts, action))


async def perform(acts: Acts, action: Input) -> DesktopMousePositionResponse | None:
    """Do one action of mouse or keyboard; where the pointer is then, if it was the mouse. Raises what `Acts` does."""
    match action:
        case act.TypeAction() | act.KeyAction() | act.KeyDownAction() | act.KeyUpAction():
            await _key(acts, action)
            return None
        case _:
            return await _mouse(acts, action)


async def _key(acts: Acts, action: _Keys) -> None:
    match action:
        case act.TypeAction():
            await acts.type(action)
        case act.KeyAction():
            await acts.press(action)
        case act.KeyDownAction():
            await acts.key_down(action)
        case act.KeyUpAction():
            await acts.key_up(action)


async def _mouse(acts: Acts, action: _Mouse) -> DesktopMousePositionResponse:
    match action:
        case act.MoveAction():
            return await acts.move(action)
        case act.ClickAction():
            return await acts.click(action)
        case act.MouseDownAction():
            return await acts.down(action)
        case act.MouseUpAction():
            return await acts.up(action)
        case act.DragAction():
            return await acts.drag(action)
        case act.ScrollAction():
            return await acts.scroll(action)


def data_of(shot: Screenshot, marking: Marking | None = None) -> DesktopScreenshotData:
    return DesktopScreenshotData(
        id=shot.id,
        format=shot.format,
        width=shot.width,
        height=shot.height,
        x=shot.region.x,
        y=shot.region.y,
        scale=shot.scale,
        data=base64.b64encode(shot.data).decode(),
        marks=marking.legend(shot.id).marks if marking is not None else None,
    )

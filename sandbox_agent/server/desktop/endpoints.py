"""`/v1/desktop`: its life, windows, clipboard, programs, and what is done by mouse and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox_agent.server.call import Answer
from sandbox_agent.wire import desktop as wire

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call

_DONE = wire.DesktopActionResponse(ok=True)


class ClipboardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``selection`` is ``clipboard`` unless it is given."""

    selection: wire.DesktopSelection | None = None


# -- life cycle -------------------------------------------------------------------------------------------------------


async def status(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.status())


async def start(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.start(call.body))


async def stop(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.stop())


async def display_info(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.display_info())


async def wait(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.wait(call.query))


async def actions(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.do(call.body))


# -- mouse and keyboard -----------------------------------------------------------------------------------------------


async def position(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.position())


async def move(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.move(call.body))


async def click(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.click(call.body))


async def mouse_down(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.down(call.body))


async def mouse_up(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.up(call.body))


async def drag(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.drag(call.body))


async def scroll(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.scroll(call.body))


async def type_text(call: Call) -> Answer:
    await call.sandbox.desktop.acts.type(call.body)
    return Answer(body=_DONE)


async def press(call: Call) -> Answer:
    await call.sandbox.desktop.acts.press(call.body)
    return Answer(body=_DONE)


async def key_down(call: Call) -> Answer:
    await call.sandbox.desktop.acts.key_down(call.body)
    return Answer(body=_DONE)


async def key_up(call: Call) -> Answer:
    await call.sandbox.desktop.acts.key_up(call.body)
    return Answer(body=_DONE)


# -- windows ----------------------------------------------------------------------------------------------------------


async def list_windows(call: Call) -> Answer:
    return Answer(body=wire.DesktopWindowListResponse(windows=await call.sandbox.desktop.x11.windows.list()))


async def focused(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.x11.windows.focused())


async def focus(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.x11.windows.focus(call.params["id"]))


async def move_window(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.x11.windows.move(call.params["id"], call.body.x, call.body.y))


async def resize_window(call: Call) -> Answer:
    size = call.body.width, call.body.height
    return Answer(body=await call.sandbox.desktop.x11.windows.resize(call.params["id"], *size))


async def close_window(call: Call) -> Answer:
    await call.sandbox.desktop.x11.windows.close(call.params["id"])
    return Answer(body=_DONE)


async def minimize_window(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.x11.windows.minimize(call.params["id"]))


async def maximize_window(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.x11.windows.maximize(call.params["id"], on=call.body.on))


async def fullscreen_window(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.x11.windows.fullscreen(call.params["id"], on=call.body.on))


# -- clipboard, programs ----------------------------------------------------------------------------------------------


async def read_clipboard(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.acts.read_clipboard(call.query.selection))


async def write_clipboard(call: Call) -> Answer:
    await call.sandbox.desktop.acts.write_clipboard(call.body)
    return Answer(body=_DONE)


async def launch(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.launcher.launch(call.body))


async def open_target(call: Call) -> Answer:
    return Answer(body=await call.sandbox.desktop.launcher.open(call.body))

"""Where the desktop keeps its files: `$XDG_STATE_HOME/sandbox-agent/desktop`, with a HOME of its own in it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.problems import DesktopInvalidAction, DesktopRuntimeFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_SOCKET = 90  # sun_path has 108 bytes (unix(7)), and programs put names of their own behind ours

_RC = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by sandbox-agent when it was missing; change it as you like. -->
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <resistance><strength>0</strength><screen_edge_strength>0</screen_edge_strength></resistance>
  <focus><focusNew>yes</focusNew><followMouse>no</followMouse><raiseOnFocus>yes</raiseOnFocus></focus>
  <placement><policy>Smart</policy><center>yes</center></placement>
  <theme><name>Clearlooks</name><titleLayout>NLIMC</titleLayout><animateIconify>no</animateIconify></theme>
  <desktops><number>1</number><firstdesk>1</firstdesk><popupTime>0</popupTime></desktops>
  <resize><drawContents>yes</drawContents><popupShow>Never</popupShow></resize>
  <keyboard>
    <keybind key="A-F4"><action name="Close"/></keybind>
    <keybind key="A-Tab"><action name="NextWindow"><finalactions>
      <action name="Focus"/><action name="Raise"/><action name="Unshade"/>
    </finalactions></action></keybind>
  </keyboard>
  <mouse>
    <dragThreshold>1</dragThreshold><doubleClickTime>400</doubleClickTime><screenEdgeWarpTime>0</screenEdgeWarpTime>
    <context name="Titlebar">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Left" action="Drag"><action name="Move"/></mousebind>
      <mousebind button="Left" action="DoubleClick"><action name="ToggleMaximize"/></mousebind>
    </context>
    <context name="Titlebar Top Right Bottom Left TLCorner TRCorner BRCorner BLCorner">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
    </context>
    <context name="Top Right Bottom Left TLCorner TRCorner BRCorner BLCorner">
      <mousebind button="Left" action="Drag"><action name="Resize"/></mousebind>
    </context>
    <context name="Client">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Middle" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Right" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
    </context>
    <context name="Close">
      <mousebind button="Left" action="Click"><action name="Close"/></mousebind>
    </context>
    <context name="Maximize">
      <mousebind button="Left" action="Click"><action name="ToggleMaximize"/></mousebind>
    </context>
    <context name="Iconify">
      <mousebind button="Left" action="Click"><action name="Iconify"/></mousebind>
    </context>
  </mouse>
  <menu><hideDelay>200</hideDelay></menu>
  <applications/>
</openbox_config>
"""


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one desktop; ``runtime`` (sockets) is that of one display and goes when it stops."""

    state: Path
    runtime: Path
    authority: Path

    @property
    def home(self) -> Path:
        return self.state / "home"

    @property
    def bus(self) -> Path:
        return self.runtime / "bus"

    @property
    def autostart(self) -> Path:
        """A shell script, run once the desktop is there, if the user put one here."""
        return self.home / ".config" / "openbox" / "autostart"

    def environment(self, display: str) -> dict[str, str]:
        """What programs of the desktop get; their settings, caches and data are the desktop's own."""
        home = self.home
        return {
            "DISPLAY": display,
            "XAUTHORITY": str(self.authority),
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local" / "share"),
            "XDG_STATE_HOME": str(home / ".local" / "state"),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_SESSION_TYPE": "x11",
            "XDG_CURRENT_DESKTOP": "Openbox",
        }

    def remove_runtime(self) -> None:
        shutil.rmtree(self.runtime, ignore_errors=True)
        self.authority.unlink(missing_ok=True)


def state_dir(given: str | None, environ: Mapping[str, str]) -> Path:
    """The state folder: the one given, else below `$XDG_STATE_HOME`. Raises ``DesktopInvalidAction``."""
    if given is not None:
        if not given.startswith("/") or "\0" in given:
            raise DesktopInvalidAction("stateDir must be an absolute path")
        return Path(given)
    base = environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        base = f"{environ.get('HOME') or Path.home()}/.local/state"
    return Path(base) / "sandbox-agent" / "desktop"


def prepare(state: Path, display: int) -> Home:
    """Make the folders and the window manager's settings where they lack. Raises ``DesktopRuntimeFailed``."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)  # one that is there keeps its mode: it may be anyone's
        settings = state / "home" / ".config" / "openbox"
        settings.mkdir(parents=True, exist_ok=True)
        rc = settings / "rc.xml"
        if not rc.exists():
            rc.write_text(_RC)
        return Home(state, _runtime(state, display), state / f"authority-{display}")
    except OSError as error:
        raise DesktopRuntimeFailed(
            f"the desktop's state folder {state} cannot be used: {error.strerror or error}",
            hint="give another one as stateDir, or set XDG_STATE_HOME",
        ) from error


def _runtime(state: Path, display: int) -> Path:
    """A folder for sockets, of this user alone: in the state folder, unless its path is too long for them."""
    runtime = state / f"run-{display}"
    if len(os.fsencode(runtime)) > _LONGEST_SOCKET:
        name = hashlib.blake2s(os.fsencode(state), digest_size=6).hexdigest()
        runtime = Path(tempfile.gettempdir(), f"sandbox-agent-{name}-{display}")
    shutil.rmtree(runtime, ignore_errors=True)
    try:
        runtime.mkdir(mode=0o700)
    except FileExistsError:  # not ours to remove, so not ours to use
        return Path(tempfile.mkdtemp(prefix=f"sandbox-agent-{display}-"))
    return runtime

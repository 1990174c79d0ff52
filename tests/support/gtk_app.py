"""A GTK program with buttons, a field, a slider and a check box; what is done to it goes to a file, line by line.

python3 gtk_app.py 3.0|4.0 FILE TITLE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gi

VERSION, FILE, TITLE = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
gi.require_version("Gtk", VERSION)

from gi.repository import Gtk  # noqa: E402 -- once its version is chosen


def tell(what: str, *values: object) -> None:
    with FILE.open("a") as out:
        out.write(json.dumps([what, *values]) + "\n")


def contents() -> Gtk.Box:
    box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=8)
    button = Gtk.Button(label="Press me")
    button.connect("clicked", lambda _: tell("pressed"))
    entry = Gtk.Entry()
    entry.connect("changed", lambda field: tell("entry", field.get_text()))
    entry.connect("notify::has-focus", lambda field, _: tell("focus", field.has_focus()))
    slider = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, 0, 100, 1)
    slider.connect("value-changed", lambda scale: tell("slider", scale.get_value()))
    check = Gtk.CheckButton(label="Check me")
    check.connect("toggled", lambda widget: tell("check", widget.get_active()))
    off = Gtk.Button(label="Off")
    off.set_sensitive(False)
    gone = Gtk.Button(label="Remove")
    victim = Gtk.Button(label="Victim")
    gone.connect("clicked", lambda _: victim.destroy() if VERSION == "3.0" else box.remove(victim))
    for widget in (button, entry, slider, check, off, gone, victim):
        add(box, widget)
    return box


def add(box: Gtk.Box, widget: Gtk.Widget) -> None:
    if VERSION == "3.0":
        box.pack_start(widget, False, False, 0)
    else:
        box.append(widget)


def main() -> None:
    if VERSION == "3.0":
        window = Gtk.Window(title=TITLE)
        window.add(contents())
        window.connect("destroy", Gtk.main_quit)
        window.set_default_size(360, 320)
        window.show_all()
        Gtk.main()
        return

    def activate(app: Gtk.Application) -> None:
        window = Gtk.ApplicationWindow(application=app, title=TITLE)
        window.set_child(contents())
        window.set_default_size(360, 320)
        window.present()

    app = Gtk.Application(application_id="org.example.Four")
    app.connect("activate", activate)
    app.run([])


main()

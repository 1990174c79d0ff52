"""A Tk program with a field, a button and an area, which writes what is done to it to a file, a line each.

It begins with a line that says that the field has the keyboard.

python desktop_app.py FILE TITLE
"""

from __future__ import annotations

import json
import sys
import tkinter as tk
from pathlib import Path

WIDTH, HEIGHT = 400, 300
FIELD = (20, 20, 360, 30)
BUTTON = (20, 70, 120, 40)
AREA = (20, 130, 360, 150)


def main(file: Path, title: str) -> None:
    root = tk.Tk()
    root.title(title)
    root.geometry(f"{WIDTH}x{HEIGHT}+100+80")
    field = tk.Entry(root, insertofftime=0)
    button = tk.Button(root, text="Press", command=lambda: tell("pressed"))
    area = tk.Frame(root, background="white", borderwidth=0, highlightthickness=0, takefocus=1)
    for widget, (x, y, width, height) in ((field, FIELD), (button, BUTTON), (area, AREA)):
        widget.place(x=x, y=y, width=width, height=height)

    def tell(what: str, *values: object) -> None:
        with file.open("a") as out:
            out.write(json.dumps([what, *values]) + "\n")

    area.bind("<ButtonPress>", lambda e: tell("down", e.num, e.x, e.y, bool(e.state & 4)))
    area.bind("<ButtonRelease>", lambda e: tell("up", e.num, e.x, e.y))
    field.bind("<KeyRelease>", lambda _e: tell("field", field.get()))
    field.bind("<FocusIn>", lambda _e: tell("ready"))
    field.focus_set()
    root.mainloop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

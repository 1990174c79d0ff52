"""A window that writes down, as lines of JSON, what it gets.

A button, a red square that F2 makes blue. Run by the system's Python, which has Tk.
"""

import json
import sys
import tkinter as tk

out = open(sys.argv[1], "w", buffering=1)  # noqa: SIM115, PTH123 -- until the end
root = tk.Tk(className="Painted")
root.title(sys.argv[2])
root.geometry("400x300+200+150")


def tell(kind: str, **values: object) -> None:
    out.write(json.dumps({"kind": kind, **values}) + "\n")


for name in ("ButtonPress", "ButtonRelease"):
    root.bind(f"<{name}>", lambda event, name=name: tell(name, x=event.x_root, y=event.y_root, button=event.num))
for name in ("KeyPress", "KeyRelease"):
    root.bind(f"<{name}>", lambda event, name=name: tell(name, key=event.keysym, char=event.char))
button = tk.Button(root, text="Press", command=lambda: tell("pressed"))
button.place(x=20, y=20, width=100, height=40)
square = tk.Frame(root, background="#ff0000")
square.place(x=200, y=100, width=100, height=100)
root.bind("<F2>", lambda event: square.configure(background="#0000ff"))
root.mainloop()

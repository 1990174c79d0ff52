"""A window that writes down, as lines of JSON, what it gets: run by the system's Python, which has Tk."""

import json
import sys
import tkinter as tk

out = open(sys.argv[1], "w", buffering=1)  # noqa: SIM115, PTH123 -- until the end
root = tk.Tk(className="Recorder")
root.title("recorder")
root.geometry("400x300+200+150")


def tell(kind: str, **values: object) -> None:
    out.write(json.dumps({"kind": kind, **values}) + "\n")


def pointer(kind: str) -> None:
    root.bind(
        f"<{kind}>",
        lambda event: tell(kind, x=event.x_root, y=event.y_root, button=event.num, state=event.state & 0x4D),
    )


for name in ("ButtonPress", "ButtonRelease"):
    pointer(name)
root.bind("<B1-Motion>", lambda event: tell("Drag", x=event.x_root, y=event.y_root))
root.bind("<KeyPress>", lambda event: tell("KeyPress", key=event.keysym, char=event.char, state=event.state & 0x4D))
root.bind("<KeyRelease>", lambda event: tell("KeyRelease", key=event.keysym, state=event.state & 0x4D))
button = tk.Button(root, text="Press", command=lambda: tell("pressed"))
button.place(x=20, y=20, width=100, height=40)
square = tk.Frame(root, background="#ff0000")
square.place(x=200, y=100, width=100, height=100)
root.bind("<F2>", lambda event: square.configure(background="#0000ff"))
root.bind("<F3>", lambda event: root.title("renamed"))
root.after_idle(lambda: tell("ready"))
root.mainloop()

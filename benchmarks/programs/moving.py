"""A window that moves all the time over a page, and a number in black and white cells at the top left of the screen.

Writes each number, with the monotonic time (ns) right before it was painted, to the file that it is given. Run by the
system's Python, which has Tk. Says nothing; ends when it is ended. Takes any core, whatever its parent was pinned to.
"""

import math
import os
import random
import sys
import time
import tkinter as tk

CELL, CELLS = 20, 16
order = random.Random(1)  # noqa: S311 -- the same each time
os.sched_setaffinity(0, range(os.cpu_count() or 1))
out = open(sys.argv[1], "w", buffering=1)  # noqa: SIM115, PTH123 -- until the end

root = tk.Tk(className="Moving")
root.overrideredirect(True)
root.geometry(f"{CELL * CELLS}x{CELL}+0+0")
strip = tk.Canvas(root, width=CELL * CELLS, height=CELL, highlightthickness=0)
strip.pack()
cells = [strip.create_rectangle(CELL * n, 0, CELL * (n + 1), CELL, width=0) for n in range(CELLS)]


def page(width: int, height: int) -> tk.Toplevel:
    """A window of text, and of colours that run into each other."""
    made = tk.Toplevel(root)
    made.overrideredirect(True)
    canvas = tk.Canvas(made, width=width, height=height, background="white", highlightthickness=0)
    canvas.pack()
    for row in range(0, height, 4):
        colour = f"#{60 + row // 6:02x}40{220 - row // 6:02x}"
        canvas.create_rectangle(0, row, width // 3, row + 4, fill=colour, width=0)
    for line in range(height // 15):
        words = " ".join(
            order.choice(("window", "moving", "all the", "time", "fox", "dog")) for _ in range(width // 60)
        )
        canvas.create_text(width // 3 + 10, 8 + 15 * line, text=words, anchor="nw", font=("DejaVu Sans", 9))
    return made


page(1440, 900).geometry("+0+0")
window = page(500, 360)
root.update()
window.lift()
root.lift()


def move() -> None:
    at = time.monotonic()
    window.geometry(f"+{round(450 + 400 * math.sin(at))}+{round(290 + 220 * math.cos(1.3 * at))}")
    root.after(16, move)


def count(number: int = 1) -> None:
    begun = time.monotonic_ns()
    for bit, cell in enumerate(cells):
        strip.itemconfigure(cell, fill="white" if number >> bit & 1 else "black")
    root.update_idletasks()
    out.write(f"{number} {begun}\n")
    root.after(order.randrange(80, 140), count, number + 1)  # at all moments between two frames


move()
count()
root.mainloop()

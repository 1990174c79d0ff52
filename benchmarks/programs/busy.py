"""Fills a screen: text on white, colours that run into each other, a picture, and a number that changes all the time.

Run by the system's Python, which has Tk. Says nothing; ends when it is ended.
"""

import random
import tkinter as tk

root = tk.Tk(className="Busy")
root.title("busy")
root.geometry("1300x820+40+30")
canvas = tk.Canvas(root, width=1300, height=820, background="white")
canvas.pack()
order = random.Random(1)  # noqa: S311 -- the same each time

for row in range(0, 820, 2):  # a gradient
    canvas.create_rectangle(0, row, 420, row + 2, fill=f"#{60 + row // 6:02x}40{200 - row // 8:02x}", width=0)
words = (
    "the quick brown fox jumps",
    "over a lazy dog",
    "while session prompts queue",
    "and events",
    "stream to readers",
)
for line in range(52):
    text = " ".join(order.choice(words) for _ in range(5))
    canvas.create_text(430, 8 + 15 * line, text=text, anchor="nw", font=("DejaVu Sans", 9))

WIDE, HIGH = 380, 300
values = [128.0, 128.0, 128.0]
photo = tk.PhotoImage(width=WIDE, height=HIGH)
above = [(128, 128, 128)] * WIDE
for y in range(HIGH):
    line = []
    for x in range(WIDE):  # each pixel like those above and before it, and a little unlike
        before = line[-1] if line else above[0]
        mixed = ((a + b) / 2 + order.gauss(0, 5) for a, b in zip(above[x], before, strict=True))
        line.append(tuple(max(0, min(255, round(value))) for value in mixed))
    above = line
    photo.put("{" + " ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in line) + "}", to=(0, y))
canvas.create_image(20, 40, image=photo, anchor="nw")

number = canvas.create_text(60, 500, text="0", anchor="nw", font=("DejaVu Sans Mono", 40), fill="white")


def count(at: int = 0) -> None:
    canvas.itemconfigure(number, text=str(at))
    root.after(20, count, at + 1)


count()
root.mainloop()

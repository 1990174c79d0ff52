// The mouse and the keyboard reach a real program: clicks, drags, the wheel, chords, and text of all of Unicode.
import assert from "node:assert/strict";
import { AREA, BUTTON, refused, startApp, WIDTH, withDesktop } from "./_desktop.mjs";

await withDesktop(async (client) => {
  const app = await startApp(client, "an app");

  const text = "Grüße, Ωμέγα, Привет, 世界 🎉";
  assert.deepEqual(await client.typeDesktopText({ text }), { ok: true });
  await app.tells(1, "field", text);
  await client.pressDesktopKey({ key: "ctrl+a" }); // to the start, in a field of Tk
  await client.pressDesktopKey({ key: "k", modifiers: { ctrl: true } });
  await client.keyDownDesktop({ key: "shift" });
  await client.pressDesktopKey({ key: "b" });
  await client.keyUpDesktop({ key: "shift" });
  await client.typeDesktopText({ text: "cd", delayMs: 5 });
  await app.tells(1, "field", "Bcd");

  const button = app.at(BUTTON, 60, 20);
  const clicked = await client.clickDesktop({ ...button });
  assert.deepEqual([clicked.x, clicked.y, clicked.window], [button.x, button.y, app.window.id]);
  assert.deepEqual(await client.getDesktopMousePosition(), clicked);
  await app.tells(1, "pressed");

  const place = app.at(AREA, 10, 10);
  await client.clickDesktop({ ...place, button: "right" });
  await app.tells(1, "down", 3, 10, 10, false);
  await client.clickDesktop({ ...place, clickCount: 2 });
  await app.tells(2, "down", 1, 10, 10, false);
  await client.scrollDesktop({ ...place, deltaY: 3 });
  await app.tells(3, "down", 5, 10, 10, false);
  const [start, end] = [app.at(AREA, 30, 40), app.at(AREA, 130, 90)];
  await client.dragDesktopMouse({ startX: start.x, startY: start.y, endX: end.x, endY: end.y });
  await app.tells(1, "down", 1, 30, 40, false);
  await app.tells(1, "up", 1, 130, 90);
  await client.mouseDownDesktop({ ...start, button: "middle" });
  await client.moveDesktopMouse({ ...end });
  await client.mouseUpDesktop({ button: "middle" });
  await app.tells(1, "up", 2, 130, 90);

  const invalid = refused(400, "desktop_invalid_action");
  await assert.rejects(client.clickDesktop({ x: WIDTH, y: 1 }), invalid);
  await assert.rejects(client.moveDesktopMouse({ x: -1, y: 1 }), invalid);
  await assert.rejects(client.pressDesktopKey({ key: "NoSuchKey" }), invalid);
  await assert.rejects(client.scrollDesktop({ ...place }), invalid);
});

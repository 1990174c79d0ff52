// Windows are listed, focused, moved and resized; the clipboard holds text; programs are launched and files opened.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cwd } from "./_client.mjs";
import { eventually, refused, startApp, withDesktop } from "./_desktop.mjs";

await withDesktop(async (client) => {
  await assert.rejects(client.getDesktopFocusedWindow(), refused(404, "no_focused_window"));
  const first = await startApp(client, "first");
  const second = await startApp(client, "second");
  const { windows } = await client.listDesktopWindows();
  assert.deepEqual(windows.map((window) => window.title).sort(), ["first", "second"]);
  assert.equal((await client.getDesktopFocusedWindow()).id, second.window.id);

  const id = first.window.id;
  const now = async () => (await client.listDesktopWindows()).windows.find((window) => window.id === id);
  const becomes = (holds) => eventually(async () => holds(await now()), () => `${holds}`);
  assert.equal((await client.focusDesktopWindow(id)).id, id);
  await becomes((window) => window.isActive);
  assert.equal((await client.moveDesktopWindow(id, { x: 30, y: 60 })).id, id);
  await becomes((window) => window.x === 30 && window.y === 60);
  assert.equal((await client.resizeDesktopWindow(id, { width: 300, height: 200 })).id, id);
  await becomes((window) => window.width === 300 && window.height === 200);
  await assert.rejects(client.focusDesktopWindow("1"), refused(404, "window_not_found"));

  assert.deepEqual(await client.setDesktopClipboard({ text: "größer ✓" }), { ok: true });
  assert.deepEqual(await client.getDesktopClipboard(), { text: "größer ✓", selection: "clipboard" });
  await client.setDesktopClipboard({ text: "both", selection: "both" });
  assert.equal((await client.getDesktopClipboard({ selection: "primary" })).text, "both");

  writeFileSync(`${cwd}/page.html`, "<p>hello</p>");
  const opened = await client.openDesktopTarget({ target: `${cwd}/page.html` });
  assert.equal((await client.getProcess(opened.processId)).owner, "desktop");
  const file = process.env.CASE_OPENED;
  const lines = () => (existsSync(file) ? readFileSync(file, "utf8").split("\n") : []);
  await eventually(() => lines().includes(`${cwd}/page.html`), () => `an opened page in ${lines()}`);
  await assert.rejects(client.openDesktopTarget({ target: "/no/such/file" }), refused(400, "desktop_invalid_action"));
  await assert.rejects(client.launchDesktopApp({ app: "no-such-program" }), refused(404, "app_not_found"));
});

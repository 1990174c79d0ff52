// The desktop starts as it was asked to, is told about, and is gone with its programs when it is stopped.
import assert from "node:assert/strict";
import { withClient } from "./_client.mjs";
import { HEIGHT, refused, startApp, WIDTH, withDesktop } from "./_desktop.mjs";

const resolution = { width: WIDTH, height: HEIGHT, dpi: 100 };

await withDesktop(async (client, started) => {
  assert.equal(started.state, "active");
  assert.deepEqual(started.resolution, resolution);
  assert.deepEqual(started.missingDependencies, []);
  assert.ok(Date.now() - Date.parse(started.startedAt) < 600_000);
  for (const name of ["Xvfb", "openbox"]) assert.ok(started.processes.some((part) => part.name === name && part.running));
  assert.deepEqual(await client.startDesktop(), started);
  assert.deepEqual(await client.getDesktopDisplayInfo(), { display: started.display, resolution });
  const app = await startApp(client, "seen");
  const status = await client.getDesktopStatus();
  assert.deepEqual(status.windows.map((window) => window.title), ["seen"]);
  const process = await client.getProcess(app.launched.processId);
  assert.deepEqual([process.owner, process.pid], ["desktop", app.launched.pid]);
});

await withClient(async (client) => {
  assert.equal((await client.getDesktopStatus()).state, "inactive");
  const { processes } = await client.listProcesses({ owner: "desktop" });
  assert.deepEqual(processes.filter((process) => process.status === "running"), []);
  await assert.rejects(client.takeDesktopScreenshot(), refused(409, "desktop_runtime_inactive"));
  await assert.rejects(client.clickDesktop({ x: 1, y: 1 }), refused(409, "desktop_runtime_inactive"));
});

// A terminal is connected to over a WebSocket: keys, output, sizes, the end, and a second look at its screen.
import assert from "node:assert/strict";
import { withClient } from "./_client.mjs";

/** A terminal whose output is kept; `until` resolves once a pattern is in it. */
function open(client, id) {
  const session = client.connectProcessTerminal(id);
  let text = "";
  let told = () => {};
  const decoder = new TextDecoder();
  session.onData((bytes) => ((text += decoder.decode(bytes, { stream: true })), told()));
  const ready = new Promise((resolve, reject) => (session.onReady(resolve), session.onError(reject)));
  const exit = new Promise((resolve) => session.onExit(resolve));
  const until = (pattern) => new Promise((resolve) => ((told = () => pattern.test(text) && resolve(text)), told()));
  return { session, ready, exit, until };
}

await withClient(async (client) => {
  const command = { command: "sh", args: ["-c", "PS1='> ' exec sh -i"], tty: true, interactive: true };
  const shell = await client.createProcess(command);
  const first = open(client, shell.id);
  assert.equal((await first.ready).processId, shell.id);
  await first.until(/> $/);
  first.session.sendInput("echo $((6 * 7))\r");
  await first.until(/\r\n42\r\n/);

  first.session.resize({ cols: 132, rows: 43 });
  first.session.sendInput(new TextEncoder().encode("stty size\r"));
  await first.until(/\r\n43 132\r\n/);
  assert.deepEqual(await client.resizeProcessTerminal(shell.id, { cols: 100, rows: 30 }), { cols: 100, rows: 30 });
  first.session.sendInput("stty size\r");
  await first.until(/\r\n30 100\r\n/);

  const second = open(client, shell.id);
  await second.until(/42[^]*30 100/); // what is on the screen is drawn anew
  first.session.close();
  await first.session.closed;
  assert.equal((await client.getProcess(shell.id)).status, "running");

  second.session.sendInput("exit 7\r");
  assert.equal((await second.exit).exitCode, 7);
  await second.session.closed;
  assert.equal((await client.getProcess(shell.id)).exitCode, 7);
  await client.deleteProcess(shell.id);
});

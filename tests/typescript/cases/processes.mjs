// Processes are created, listed, followed, written to, stopped, killed and deleted.
import assert from "node:assert/strict";
import { withClient } from "./_client.mjs";

const decoded = (entries) => entries.map((entry) => Buffer.from(entry.data, entry.encoding).toString()).join("");

await withClient(async (client) => {
  const cat = await client.createProcess({ command: "cat", interactive: true });
  assert.match(cat.id, /^proc_\d+$/);
  assert.deepEqual([cat.status, cat.owner, cat.tty, cat.interactive], ["running", "user", false, true]);

  const heard = [];
  let told = () => {};
  const follow = await client.followProcessLogs(cat.id, (entry) => (heard.push(entry), told()));
  const until = (accepts) => new Promise((resolve) => ((told = () => accepts() && resolve()), told()));
  assert.equal((await client.sendProcessInput(cat.id, { data: "one\n", encoding: "utf8" })).bytesWritten, 4);
  await until(() => decoded(heard) === "one\n");
  await client.sendProcessInput(cat.id, { data: Buffer.from("two\n").toString("base64") });
  await until(() => decoded(heard) === "one\ntwo\n");
  assert.deepEqual(heard.map((entry) => [entry.sequence, entry.stream]), [[1, "stdout"], [2, "stdout"]]);

  const listed = (await client.listProcesses({ owner: "user" })).processes;
  assert.ok(listed.some((process) => process.id === cat.id));
  await assert.rejects(client.deleteProcess(cat.id), (error) => error.status === 409);
  const stopped = await client.stopProcess(cat.id, { waitMs: 60_000 });
  assert.equal(stopped.status, "exited");
  await follow.closed; // the stream ends with the process
  assert.equal((await client.getProcess(cat.id)).status, "exited");

  const logs = await client.getProcessLogs(cat.id, { tail: 1 });
  assert.deepEqual([logs.processId, logs.stream, decoded(logs.entries)], [cat.id, "combined", "two\n"]);
  assert.equal(decoded((await client.getProcessLogs(cat.id, { since: 1, stream: "stdout" })).entries), "two\n");
  await client.deleteProcess(cat.id);
  await assert.rejects(client.getProcess(cat.id), (error) => error.status === 404);

  const deaf = await client.createProcess({ command: "sh", args: ["-c", "trap '' TERM; while :; do sleep 0.1; done"] });
  assert.equal((await client.killProcess(deaf.id, { waitMs: 60_000 })).status, "exited");
  await client.deleteProcess(deaf.id);
});

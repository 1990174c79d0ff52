// The limits of processes are read and set, and one that cannot be is refused.
import assert from "node:assert/strict";
import { withClient } from "./_client.mjs";

await withClient(async (client) => {
  const before = await client.getProcessConfig();
  assert.equal(before.maxInputBytesPerRequest, 65_536);
  const changed = await client.setProcessConfig({ ...before, maxOutputBytes: before.maxOutputBytes + 1 });
  assert.deepEqual(changed, { ...before, maxOutputBytes: before.maxOutputBytes + 1 });
  assert.deepEqual(await client.getProcessConfig(), changed);
  await assert.rejects(client.setProcessConfig({ ...before, maxRunTimeoutMs: 0 }), (error) => error.status === 400);
  assert.deepEqual(await client.setProcessConfig(before), before);
  const clamped = await client.setProcessConfig({ ...before, defaultRunTimeoutMs: before.maxRunTimeoutMs * 2 });
  assert.equal(clamped.defaultRunTimeoutMs, before.maxRunTimeoutMs);
  await client.setProcessConfig(before);
});

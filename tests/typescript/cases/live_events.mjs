// An event is there before its turn ends: the agent waits for a permission that only the event tells of.
import assert from "node:assert/strict";
import { cwd, record, text, withClient } from "./_client.mjs";

await withClient(async (client) => {
  const session = await client.createSession({ agent: "mock", cwd });
  const log = record(session);
  let over = false;
  session.onPermissionRequest(async (request) => {
    await log.hears(/before/);
    assert.equal(over, false);
    await session.respondPermission(request.id, "once");
  });
  await session.prompt(text("[[say before]] [[ask May I?]] [[say after]]"));
  over = true;
});

// Destroying a session cancels its turn, whether the agent is silent, streams, or waits for a permission.
import assert from "node:assert/strict";
import { cwd, record, text, withClient } from "./_client.mjs";

for (const script of ["[[say busy]] [[sleep 60]]", "[[say busy]] [[tick count=600 every=0.1]]", "[[say busy]] [[ask May I?]]"]) {
  await withClient(async (client) => {
    const session = await client.createSession({ agent: "mock", cwd });
    session.onPermissionRequest(() => {}); // seen, and left unanswered
    const log = record(session);
    const turn = session.prompt(text(script));
    await log.hears(/busy/);
    const destroyed = await client.destroySession(session.id);
    assert.equal((await turn).stopReason, "cancelled");
    assert.notEqual(destroyed.destroyedAt, undefined);
    await assert.rejects(session.rawSend("session/cancel"), /destroySession/);
  });
}

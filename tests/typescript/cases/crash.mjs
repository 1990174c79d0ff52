// An agent that dies in its turn fails the prompt at once, and its last words are among the events.
import assert from "node:assert/strict";
import { cwd, record, text, withClient } from "./_client.mjs";

// This client tears its connection down on any error answered to a POST, and lets that rejection fall: not ours to mend.
const fallen = [];
process.on("unhandledRejection", (error) => fallen.push(error));

await withClient(async (client) => {
  const session = await client.createSession({ agent: "mock", cwd });
  const log = record(session);
  const begun = Date.now();
  await assert.rejects(session.prompt(text("[[say farewell]] [[crash code=3]]")));
  assert.ok(Date.now() - begun < 10_000);
  await log.hears(/farewell/);
});
assert.ok(fallen.every((error) => error.problem.type === "urn:sandbox-agent:error:agent_process_exited"));

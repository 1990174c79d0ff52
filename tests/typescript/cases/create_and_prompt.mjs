// A session is made, a prompt is answered, and its events arrived while it ran, in order, each once.
import assert from "node:assert/strict";
import { cwd, record, text, withClient } from "./_client.mjs";

await withClient(async (client) => {
  const session = await client.createSession({ agent: "mock", cwd });
  assert.equal(session.agent, "mock");
  assert.notEqual(session.agentSessionId, "");
  const log = record(session);
  const answer = await session.prompt(text("[[think hmm]] [[say one]] [[say two]] [[say three]]"));
  assert.equal(answer.stopReason, "end_turn");
  await log.hears(/one.*two.*three/s);
  assert.deepEqual(
    log.events.map((event) => event.eventIndex),
    log.events.map((_, position) => log.events[0].eventIndex + position),
  );
  // What the agent says of itself after it made the session may come before the prompt.
  const prompted = log.events.findIndex((event) => event.payload.method === "session/prompt");
  const said = log.events.findIndex((event) => event.payload.params?.update?.sessionUpdate === "agent_thought_chunk");
  assert.ok(0 <= prompted && prompted < said);
  assert.equal(log.events[prompted].sender, "client");
  assert.equal((await client.listSessions()).items.length, 1);
});

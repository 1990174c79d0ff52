// A second client takes a session over after the first was disposed: its history is replayed to the new agent.
import assert from "node:assert/strict";
import { connect, cwd, record, said, sharedHistory, text } from "./_client.mjs";

const persist = sharedHistory();
const first = await connect({ persist });
const session = await first.createSession({ agent: "mock", cwd, id: "taken-over" });
const before = record(session);
await session.prompt(text("[[say the password is wombat]]"));
await before.hears(/wombat/);
assert.ok((await first.listAcpServers()).servers.length >= 1);
await first.dispose();

const second = await connect({ persist });
try {
  const history = await second.getEvents({ sessionId: "taken-over", limit: 1000 });
  assert.match(said(history.items), /wombat/);
  const resumed = await second.resumeSession("taken-over");
  assert.notEqual(resumed.lastConnectionId, session.lastConnectionId);
  const after = record(resumed);
  await resumed.prompt(text("[[say hello again]]"));
  await resumed.prompt(text("[[recall]]"));
  await after.hears(/wombat/);
  const sent = after.events.find((event) => event.payload.method === "session/prompt");
  assert.match(sent.payload.params.prompt[0].text, /wombat/);
  assert.ok(after.events[0].eventIndex > history.items.at(-1).eventIndex);
} finally {
  await second.dispose();
}

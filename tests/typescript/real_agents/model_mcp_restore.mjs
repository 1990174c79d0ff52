// A real agent is given another model and an MCP server's tool, and after its server was killed knows what was said.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { connect, cwd, record, sharedHistory, text } from "../cases/_client.mjs";

const { CASE_AGENT: agent, CASE_MODE: mode, CASE_MODEL: model, CASE_MODEL_NAME: name, CASE_MCP: mcp } = process.env;
const persist = sharedHistory();
const allowed = (session) => session.onPermissionRequest((request) => session.respondPermission(request.id, "once"));

const first = await connect({ persist });
const session = await first.createSession({
  id: "kept",
  agent,
  sessionInit: { cwd, mcpServers: [JSON.parse(mcp)] },
  ...(mode ? { mode } : {}),
});
const before = record(session);
allowed(session);
await session.prompt(text("stub: shout wombat"));
await before.hears(/WOMBAT/);

await session.setModel(model);
await session.prompt(text("stub: which"));
await before.hears(new RegExp(`model: (claude-)?${name}`));

console.log("kill the server");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const baseUrl = (await lines.next()).value;
// Its server is gone: there is nobody whom it could say goodbye to.
first.dispose().catch(() => {});

const second = await connect({ persist, baseUrl, replayMaxChars: 500_000, replayMaxEvents: 1000 });
try {
  const history = await second.getEvents({ sessionId: "kept", limit: 1000 });
  assert.ok(history.items.length >= before.events.length);
  const resumed = await second.resumeSession("kept");
  const after = record(resumed);
  await resumed.prompt(text("stub: recall"));
  await after.hears(/remembered:/);
} finally {
  await second.dispose();
}
process.exit(0);

// A thousand events are read page by page: each once, in order, the last page without a cursor.
import assert from "node:assert/strict";
import { cwd, record, text, updates, withClient } from "./_client.mjs";

await withClient(async (client) => {
  const session = await client.createSession({ agent: "mock", cwd });
  const log = record(session);
  await session.prompt(text("[[burst count=1000 size=300]]"));
  await log.until(() => updates(log.events, "agent_message_chunk").length === 1000);
  const all = [];
  let cursor;
  do {
    const page = await client.getEvents({ sessionId: session.id, limit: 64, cursor });
    assert.ok(page.items.length <= 64);
    all.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor);
  assert.equal(updates(all, "agent_message_chunk").length, 1000);
  assert.deepEqual(
    all.map((event) => event.eventIndex),
    all.map((_, position) => position + 1),
  );
});

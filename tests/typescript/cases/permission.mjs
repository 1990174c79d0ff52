// An edit waits for its permission: once approved the file is changed, once rejected it is not, and nothing else is asked.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cwd, record, text, update, withClient } from "./_client.mjs";

const path = join(cwd, "notes.txt");

for (const [reply, expected, status] of [
  ["once", "new", "completed"],
  ["reject", "old", "failed"],
]) {
  await writeFile(path, "old");
  await withClient(async (client) => {
    const session = await client.createSession({ agent: "mock", cwd });
    const log = record(session);
    const asked = [];
    session.onPermissionRequest(async (request) => {
      asked.push(request);
      assert.equal(await readFile(path, "utf8"), "old");
      assert.ok(request.availableReplies.includes(reply));
      await session.respondPermission(request.id, reply);
    });
    const answer = await session.prompt(text(`[[edit path=${path} old=old new=new]]`));
    assert.equal(answer.stopReason, "end_turn");
    assert.equal(asked.length, 1);
    assert.equal(await readFile(path, "utf8"), expected);
    await log.until((event) => update(event)?.sessionUpdate === "tool_call_update" && update(event).status === status);
  });
}

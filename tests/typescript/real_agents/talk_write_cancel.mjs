// A real agent talks, writes a file once it may and not when it may not, and stops when its session is destroyed.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cwd, record, text, update, withClient } from "../cases/_client.mjs";

const { CASE_AGENT: agent, CASE_MODE: mode } = process.env;

await withClient(async (client) => {
  const session = await client.createSession({ agent, cwd, ...(mode ? { mode } : {}) });
  const log = record(session);
  const answer = await session.prompt(text("stub: say hello from the stub"));
  assert.equal(answer.stopReason, "end_turn");
  await log.hears(/hello from the stub/);

  let reply;
  let path;
  const asked = [];
  session.onPermissionRequest(async (request) => {
    asked.push(reply);
    assert.equal(existsSync(path), false);
    await session.respondPermission(request.id, reply);
  });
  for (const [given, status] of [
    ["once", "completed"],
    ["reject", "failed"],
  ]) {
    reply = given;
    path = join(cwd, `${reply}.txt`);
    await session.prompt(text(`stub: write ${path} wombat`));
    await log.until((event) => update(event)?.sessionUpdate === "tool_call_update" && update(event).status === status);
  }
  assert.deepEqual(asked, ["once", "reject"]);
  assert.equal((await readFile(join(cwd, "once.txt"), "utf8")).trim(), "wombat");
  assert.equal(existsSync(join(cwd, "reject.txt")), false);

  const turn = session.prompt(text("stub: stream"));
  await log.hears(/streaming/);
  await client.destroySession(session.id);
  assert.equal((await turn).stopReason, "cancelled");
});

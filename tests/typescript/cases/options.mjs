// Model, mode and thought level change, are told back as changed, and a value the agent has not is refused.
import assert from "node:assert/strict";
import { cwd, withClient } from "./_client.mjs";

const current = async (session, category) =>
  (await session.getConfigOptions()).find((option) => option.category === category)?.currentValue;

await withClient(async (client) => {
  const session = await client.createSession({ agent: "mock", cwd, mode: "plan", model: "mock-fast" });
  assert.equal((await session.getModes()).currentModeId, "plan");
  assert.equal(await current(session, "model"), "mock-fast");

  await session.setMode("normal");
  await session.setModel("mock");
  await session.setThoughtLevel("high");
  await session.refresh();
  assert.equal((await session.getModes()).currentModeId, "normal");
  assert.equal(await current(session, "model"), "mock");
  assert.equal(await current(session, "mode"), "normal");
  assert.equal(await current(session, "thought_level"), "high");

  await assert.rejects(session.setModel("gpt-none"), { name: "UnsupportedSessionValueError" });
  await assert.rejects(session.setThoughtLevel("most"), { name: "UnsupportedSessionValueError" });
});

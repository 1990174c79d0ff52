// Agents are listed in the contract's order, and the mock's options are told on demand.
import assert from "node:assert/strict";
import { withClient } from "./_client.mjs";

await withClient(async (client) => {
  const { agents } = await client.listAgents();
  assert.deepEqual(
    agents.map((agent) => agent.id).slice(0, 7),
    ["claude", "codex", "opencode", "amp", "pi", "cursor", "mock"],
  );
  const mock = await client.getAgent("mock", { config: true });
  assert.equal(mock.installed, true);
  assert.equal(mock.credentialsAvailable, true);
  const values = Object.fromEntries(
    mock.configOptions.map((option) => [option.category, option.options.map((choice) => choice.value)]),
  );
  assert.deepEqual(values.model, ["mock", "mock-fast"]);
  assert.deepEqual(values.mode, ["normal", "plan"]);
  assert.deepEqual(values.thought_level, ["low", "medium", "high"]);
  await assert.rejects(client.getAgent("nobody"), (error) => {
    assert.equal(error.name, "SandboxAgentError");
    assert.equal(error.status, 400);
    assert.equal(error.problem.type, "urn:sandbox-agent:error:unsupported_agent");
    return true;
  });
});

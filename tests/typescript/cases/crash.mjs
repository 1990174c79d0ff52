// An agent that dies in its turn is known at once to have died, and its server is listed no more.
import assert from "node:assert/strict";
import { connect, cwd, text, withClient } from "./_client.mjs";

// On an error answered to a POST this client tears its connection down and lets that rejection fall, so it may be
// there, or in the prompt's own rejection, that the agent's end is told.
const fallen = new Promise((resolve) => process.on("unhandledRejection", resolve));

await withClient(async (client) => {
  const session = await client.createSession({ agent: "mock", cwd });
  const begun = Date.now();
  const turn = session.prompt(text("[[say farewell]] [[crash code=3]]")).then(
    () => assert.fail("the prompt was answered"),
    (error) => error,
  );
  const told = await Promise.race([turn, fallen]);
  assert.ok(Date.now() - begun < 10_000);
  const problem = told.problem ?? told.data ?? told.cause?.data;
  assert.equal(problem?.type, "urn:sandbox-agent:error:agent_process_exited", String(told));
  assert.equal(problem.exitCode, 3);
});

const other = await connect();
assert.deepEqual(
  (await other.listAcpServers()).servers.filter((server) => server.serverId.startsWith("sdk-mock")),
  [],
);
await other.dispose();

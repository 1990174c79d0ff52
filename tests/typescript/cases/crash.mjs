// An agent that dies in its turn is known at once to have died, and its server is listed no more.
import assert from "node:assert/strict";
import { connect, cwd, text, withClient } from "./_client.mjs";

await withClient(async (client) => {
  const session = await client.createSession({ agent: "mock", cwd });
  const begun = Date.now();
  const turn = session.prompt(text("[[say farewell]] [[crash code=3]]")).then(
    () => assert.fail("the prompt was answered"),
    (error) => error,
  );
  const told = await turn;
  assert.ok(Date.now() - begun < 10_000);
  const problem = told.data;
  assert.equal(problem?.type, "urn:sandbox-agent:error:agent_process_exited", String(told));
  assert.equal(problem.exitCode, 3);
  // The connection lives: what the agent said before it died has come too.
  const { items } = await client.getEvents({ sessionId: session.id, limit: 500 });
  const said = items.filter((event) => event.payload.params?.update?.sessionUpdate === "agent_message_chunk");
  assert.match(said.map((event) => event.payload.params.update.content.text).join(""), /farewell/);
});

const other = await connect();
assert.deepEqual(
  (await other.listAcpServers()).servers.filter((server) => server.serverId.startsWith("sdk-mock")),
  [],
);
await other.dispose();

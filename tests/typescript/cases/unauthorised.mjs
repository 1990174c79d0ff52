// A client without the token, or with another, is told so by a problem document on every call.
import assert from "node:assert/strict";
import { connect } from "./_client.mjs";

for (const token of [undefined, "wrong"]) {
  const client = await connect({ token, skipHealthCheck: true });
  for (const call of [() => client.getHealth(), () => client.listAgents(), () => client.listAcpServers()]) {
    await assert.rejects(call(), (error) => {
      assert.equal(error.status, 401);
      assert.equal(error.problem.type, "urn:sandbox-agent:error:token_invalid");
      return true;
    });
  }
  await client.dispose();
}

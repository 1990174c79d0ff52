// The server lists a client's agent process while it lives, and no more once the client is disposed.
import assert from "node:assert/strict";
import { connect, cwd } from "./_client.mjs";

const watcher = await connect();
const before = (await watcher.listAcpServers()).servers.map((server) => server.serverId);
const client = await connect();
await client.createSession({ agent: "mock", cwd });
const added = (await watcher.listAcpServers()).servers.filter((server) => !before.includes(server.serverId));
assert.equal(added.length, 1);
assert.equal(added[0].agent, "mock");
assert.ok(Math.abs(Date.now() - added[0].createdAtMs) < 60_000);
await client.dispose();
const after = (await watcher.listAcpServers()).servers.map((server) => server.serverId);
assert.deepEqual(after, before);
await watcher.dispose();

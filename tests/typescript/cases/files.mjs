// The file helpers list, read, write, move, stat and delete, and their errors are problem documents.
import assert from "node:assert/strict";
import { SandboxAgentError } from "sandbox-agent";
import { cwd, withClient } from "./_client.mjs";

const refused = (status) => (error) =>
  error instanceof SandboxAgentError && error.status === status && error.problem.detail.length > 0;

await withClient(async (client) => {
  const path = `${cwd}/notes/today.bin`;
  const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) % 256);
  assert.deepEqual((await client.mkdirFs({ path: `${cwd}/notes` })).path, `${cwd}/notes`);
  const written = await client.writeFsFile({ path }, bytes);
  assert.equal(written.path, path);
  assert.equal(written.bytesWritten, bytes.length);
  assert.deepEqual(await client.readFsFile({ path }), bytes);

  await client.writeFsFile({ path: `${cwd}/notes/text.md` }, "# grün");
  assert.equal(new TextDecoder().decode(await client.readFsFile({ path: `${cwd}/notes/text.md` })), "# grün");

  const entries = await client.listFsEntries({ path: `${cwd}/notes` });
  assert.deepEqual(entries.map((entry) => [entry.name, entry.entryType, entry.size]).sort(), [
    ["text.md", "file", 7],
    ["today.bin", "file", bytes.length],
  ]);
  const stat = await client.statFs({ path: `${cwd}/notes` });
  assert.equal(stat.entryType, "directory");
  assert.ok(Date.now() - Date.parse((await client.statFs({ path })).modified) < 600_000);

  const moved = await client.moveFs({ from: path, to: `${cwd}/moved.bin` });
  assert.deepEqual(moved, { from: path, to: `${cwd}/moved.bin` });
  await assert.rejects(client.moveFs({ from: `${cwd}/moved.bin`, to: `${cwd}/notes/text.md` }), refused(400));
  await client.moveFs({ from: `${cwd}/moved.bin`, to: `${cwd}/notes/text.md`, overwrite: true });
  assert.deepEqual(await client.readFsFile({ path: `${cwd}/notes/text.md` }), bytes);

  await assert.rejects(client.readFsFile({ path }), refused(404));
  await assert.rejects(client.deleteFsEntry({ path: `${cwd}/notes` }), refused(400));
  await client.deleteFsEntry({ path: `${cwd}/notes`, recursive: true });
  assert.deepEqual(await client.listFsEntries({ path: cwd }), []);
});

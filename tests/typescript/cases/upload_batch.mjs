// A tar archive is extracted as a batch of files, and one with a link in it is refused as a whole.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { SandboxAgentError } from "sandbox-agent";
import { cwd, withClient } from "./_client.mjs";

mkdirSync(`${cwd}/src/deep`, { recursive: true });
for (let number = 0; number < 1500; number += 1) writeFileSync(`${cwd}/src/deep/${number}.txt`, `file ${number}`);
const archive = () => execFileSync("tar", ["-C", `${cwd}/src`, "-c", "."], { maxBuffer: 1 << 28 });

await withClient(async (client) => {
  const done = await client.uploadFsBatch(archive(), { path: `${cwd}/out` });
  assert.equal(done.truncated, true);
  assert.equal(done.paths.length, 1024);
  const names = (await client.listFsEntries({ path: `${cwd}/out/deep` })).map((entry) => entry.name);
  assert.equal(names.length, 1500);
  assert.equal(new TextDecoder().decode(await client.readFsFile({ path: `${cwd}/out/deep/77.txt` })), "file 77");

  symlinkSync("/etc", `${cwd}/src/link`);
  await assert.rejects(
    client.uploadFsBatch(archive(), { path: `${cwd}/other` }),
    (error) => error instanceof SandboxAgentError && error.status === 400 && /link/.test(JSON.stringify(error.problem)),
  );
  await assert.rejects(client.statFs({ path: `${cwd}/other` }), (error) => error.status === 404);
});

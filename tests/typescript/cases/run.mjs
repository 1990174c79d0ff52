// A command is run to its end or to its time-out, with its output, its exit code and its limits.
import assert from "node:assert/strict";
import { cwd, withClient } from "./_client.mjs";

await withClient(async (client) => {
  const done = await client.runProcess({
    command: "sh",
    args: ["-c", "pwd; echo \"$COLOUR\"; echo oops >&2; exit 3"],
    cwd,
    env: { COLOUR: "green" },
  });
  assert.deepEqual([done.exitCode, done.timedOut, done.stdoutTruncated], [3, false, false]);
  assert.match(done.stdout, /\ngreen\n$/);
  assert.equal(done.stderr, "oops\n");
  assert.ok(done.durationMs >= 0);

  const late = await client.runProcess({ command: "sh", args: ["-c", "echo begun; sleep 600"], timeoutMs: 3000 });
  assert.equal(late.timedOut, true);
  assert.equal(late.exitCode ?? null, null);
  assert.equal(late.stdout, "begun\n");

  const cut = await client.runProcess({ command: "printf", args: ["1234567890"], maxOutputBytes: 4 });
  assert.deepEqual([cut.stdout, cut.stdoutTruncated], ["1234", true]);
  await assert.rejects(client.runProcess({ command: "/no/such/program" }), (error) => error.status === 400);
});

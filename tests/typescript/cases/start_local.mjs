// The SDK's local provider starts our program as its binary, drives a session, and leaves no process behind.
import assert from "node:assert/strict";
import { SandboxAgent } from "sandbox-agent";
import { local } from "sandbox-agent/local";
import { cwd, record, text } from "./_client.mjs";

const client = await SandboxAgent.start({ sandbox: local({ log: "silent" }) });
const [, address] = client.sandboxId.split("/");
const session = await client.createSession({ agent: "mock", cwd });
const log = record(session);
await session.prompt(text("[[say hello from a child]]"));
await log.hears(/hello from a child/);
await client.destroySandbox();
await assert.rejects(fetch(`http://${address}/v1/health`));

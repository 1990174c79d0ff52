// What cases of the desktop need: a desktop that is stopped in the end, and a program that tells what is done to it.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { SandboxAgentError } from "sandbox-agent";
import { cwd, withClient } from "./_client.mjs";

const DEADLINE = 60_000;

export const WIDTH = 640;
export const HEIGHT = 480;

/** The first true value of an asynchronous condition. */
export async function eventually(condition, what) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `not come true: ${what()}`);
    await pause(20);
  }
}

export const refused = (status, code) => (error) =>
  error instanceof SandboxAgentError && error.status === status && error.problem.code === code;

/** Runs with a client of a server whose desktop is active, on a display that no other case starts from. */
export async function withDesktop(run) {
  await withClient(async (client) => {
    const displayNum = 1000 + 20 * Math.floor(Math.random() * 2900);
    const status = await client.startDesktop({ width: WIDTH, height: HEIGHT, dpi: 100, displayNum });
    try {
      await run(client, status);
    } finally {
      await client.stopDesktop();
    }
  });
}

// Where its widgets are; see tests/support/desktop_app.py.
export const BUTTON = { x: 20, y: 70 };
export const AREA = { x: 20, y: 130 };

/** The Tk program, once it has the keyboard: `told` are the lines it wrote, `at` a place within one of its widgets. */
export async function startApp(client, title) {
  const file = `${cwd}/${title}.jsonl`;
  const launched = await client.launchDesktopApp({
    app: process.env.CASE_PYTHON,
    args: [process.env.CASE_APP, file, title],
    wait: true,
  });
  const told = () => {
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").slice(0, -1);
    return lines.map((line) => JSON.stringify(JSON.parse(line)));
  };
  const tells = (times, ...line) =>
    eventually(
      () => told().filter((one) => one === JSON.stringify(line)).length >= times,
      () => `${times} times ${JSON.stringify(line)} in ${told().join(" ")}`,
    );
  await tells(1, "ready");
  const { windows } = await client.listDesktopWindows();
  const window = windows.find((one) => one.title === title);
  const at = (box, x, y) => ({ x: window.x + box.x + x, y: window.y + box.y + y });
  return { launched, window, told, tells, at };
}

// What every case needs: a client of the server under test, and a way to wait for an event.
import { InMemorySessionPersistDriver, SandboxAgent } from "sandbox-agent";

export const cwd = process.env.CASE_CWD;

export function connect(options = {}) {
  return SandboxAgent.connect({ baseUrl: process.env.CASE_URL, token: process.env.CASE_TOKEN, ...options });
}

export function sharedHistory() {
  return new InMemorySessionPersistDriver({ maxEventsPerSession: 10_000 });
}

export async function withClient(run) {
  const client = await connect({ persist: sharedHistory() });
  try {
    await run(client);
  } finally {
    await client.dispose();
  }
}

/** Keeps a session's events from now on; `until` resolves with the first, old or new, that the test accepts. */
export function record(session) {
  const events = [];
  const waiting = [];
  session.onEvent((event) => {
    events.push(event);
    for (const waiter of waiting.filter((w) => w.accepts(event))) {
      waiting.splice(waiting.indexOf(waiter), 1);
      waiter.resolve(event);
    }
  });
  const until = (accepts) => {
    const old = events.find(accepts);
    return old ? Promise.resolve(old) : new Promise((resolve) => waiting.push({ accepts, resolve }));
  };
  // The answer to a prompt and its events come over two connections, so either may be first.
  return { events, until, hears: (pattern) => until(() => pattern.test(said(events))) };
}
export const text = (value) => [{ type: "text", text: value }];

export const update = (event) =>
  event.payload.method === "session/update" ? event.payload.params.update : undefined;

export const updates = (events, kind) =>
  events.map(update).filter((u) => u !== undefined && u.sessionUpdate === kind);

/** All that the agent said in these events. */
export const said = (events) =>
  updates(events, "agent_message_chunk")
    .map((u) => u.content.text ?? "")
    .join("");

// The address and the socket of the desktop's stream: they carry the token, and the server greets with its screen.
import assert from "node:assert/strict";
import { HEIGHT, refused, WIDTH, withDesktop } from "./_desktop.mjs";

const { CASE_TOKEN: token, CASE_URL: url } = process.env;

/** The first message of a socket, or how it was closed. */
const first = (socket) =>
  new Promise((resolve, reject) => {
    socket.addEventListener("message", ({ data }) => resolve(JSON.parse(data)));
    socket.addEventListener("close", reject);
    socket.addEventListener("error", reject);
  });

await withDesktop(async (client) => {
  const address = new URL(client.buildDesktopStreamWebSocketUrl());
  assert.equal(address.origin, new URL(url.replace("http", "ws")).origin);
  assert.equal(address.pathname, "/v1/desktop/stream/signaling");
  assert.equal(address.searchParams.get("access_token"), token);

  await assert.rejects(first(client.connectDesktopStreamWebSocket())); // it has not been started
  assert.deepEqual(await client.startDesktopStream(), { active: true });
  const socket = client.connectDesktopStreamWebSocket();
  const greeting = await first(socket);
  assert.equal(greeting.event, "system/init");
  assert.deepEqual(greeting.payload.screen_size, { width: WIDTH, height: HEIGHT, rate: 30 });
  socket.close();
  await assert.rejects(first(client.connectDesktopStreamWebSocket({ accessToken: "wrong" })));

  const session = client.connectDesktopStream();
  const status = await new Promise((resolve) => session.onReady(resolve));
  assert.deepEqual(status, { type: "ready", width: WIDTH, height: HEIGHT });
  assert.equal(session.getMediaStream(), null);
  session.close();
  await session.closed;
  assert.deepEqual(await client.stopDesktopStream(), { active: false });
  assert.deepEqual(await client.getDesktopStreamStatus(), { active: false });
  await client.stopDesktop();
  await assert.rejects(client.startDesktopStream(), refused(409, "desktop_runtime_inactive"));
});

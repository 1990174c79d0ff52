// A recording is started, stopped, listed, downloaded and deleted; the stream is started, told about and stopped.
import assert from "node:assert/strict";
import { eventually, startApp, withDesktop } from "./_desktop.mjs";

await withDesktop(async (client) => {
  const started = await client.startDesktopRecording({ fps: 10 });
  assert.equal(started.status, "recording");
  await assert.rejects(client.startDesktopRecording(), (error) => error.status === 409);
  await startApp(client, "recorded");
  const stopped = await client.stopDesktopRecording();
  assert.equal(stopped.id, started.id);
  const done = await eventually(
    async () => {
      const info = await client.getDesktopRecording(started.id);
      return info.status === "recording" ? undefined : info;
    },
    () => "the end of the recording",
  );
  assert.equal(done.status, "completed");
  assert.deepEqual((await client.listDesktopRecordings()).recordings.map((one) => one.id), [started.id]);
  const film = await client.downloadDesktopRecording(started.id);
  assert.equal(film.length, done.bytes);
  assert.equal(String.fromCharCode(...film.slice(4, 8)), "ftyp"); // ISO/IEC 14496-12, 4.3
  await client.deleteDesktopRecording(started.id);
  await assert.rejects(client.getDesktopRecording(started.id), (error) => error.status === 404);

  assert.equal((await client.getDesktopStreamStatus()).active, false);
  assert.equal((await client.startDesktopStream()).active, true);
  assert.equal((await client.getDesktopStreamStatus()).active, true);
  assert.equal((await client.stopDesktopStream()).active, false);
});

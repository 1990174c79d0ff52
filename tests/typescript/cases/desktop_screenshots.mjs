// Screenshots come in each format, scaled, and of a region, and what makes no sense is refused.
import assert from "node:assert/strict";
import { HEIGHT, refused, WIDTH, withDesktop } from "./_desktop.mjs";

const ascii = (bytes, from, to) => String.fromCharCode(...bytes.slice(from, to));

/** Width and height of a PNG (its IHDR is first: PNG, 11.2.1). */
const size = (png) => {
  assert.equal(ascii(png, 1, 4), "PNG");
  const view = new DataView(png.buffer, png.byteOffset);
  return [view.getUint32(16), view.getUint32(20)];
};

await withDesktop(async (client) => {
  assert.deepEqual(size(await client.takeDesktopScreenshot()), [WIDTH, HEIGHT]);
  assert.deepEqual(size(await client.takeDesktopScreenshot({ scale: 0.5, showCursor: true })), [WIDTH / 2, HEIGHT / 2]);
  const jpeg = await client.takeDesktopScreenshot({ format: "jpeg", quality: 50 });
  assert.deepEqual([...jpeg.slice(0, 3)], [0xff, 0xd8, 0xff]);
  const webp = await client.takeDesktopScreenshot({ format: "webp" });
  assert.deepEqual([ascii(webp, 0, 4), ascii(webp, 8, 12)], ["RIFF", "WEBP"]);
  const region = { x: 10, y: 20, width: 30, height: 40 };
  assert.deepEqual(size(await client.takeDesktopRegionScreenshot(region)), [30, 40]);

  const invalid = refused(400, "desktop_invalid_action");
  await assert.rejects(client.takeDesktopScreenshot({ format: "gif" }), invalid);
  await assert.rejects(client.takeDesktopScreenshot({ scale: 3 }), invalid);
  await assert.rejects(client.takeDesktopRegionScreenshot({ ...region, width: 0 }), invalid);
  await assert.rejects(client.takeDesktopRegionScreenshot({ ...region, x: WIDTH }), invalid);
});

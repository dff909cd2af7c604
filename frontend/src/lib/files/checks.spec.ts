import { afterEach, describe, expect, it, vi } from "vitest";
import { checkFile, LIMITS, selectNew, sniffFormat, taken } from "./checks";

const bytes = (...parts: (string | number[])[]) =>
  new Uint8Array(
    parts.flatMap((part) => (typeof part === "string" ? [...part].map((c) => c.charCodeAt(0)) : part)),
  );
const uint32 = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const uint24LE = (n: number) => [n & 255, (n >>> 8) & 255, n >>> 16];

const png = (w: number, h: number) => bytes("\x89PNG\r\n\x1a\n", uint32(13), "IHDR", uint32(w), uint32(h));
const jpeg = (w: number, h: number, exifBytes = 10) =>
  bytes(
    [0xff, 0xd8, 0xff, 0xe1, (exifBytes + 2) >> 8, (exifBytes + 2) & 255],
    new Array<number>(exifBytes).fill(0),
    [0xff, 0xc0, 0, 17, 8, h >> 8, h & 255, w >> 8, w & 255, 3],
  );
const webp = (w: number, h: number) =>
  bytes("RIFF", [0, 0, 0, 0], "WEBPVP8X", [10, 0, 0, 0, 0, 0, 0, 0], uint24LE(w - 1), uint24LE(h - 1));
const file = (content: Uint8Array<ArrayBuffer>, name = "a.jpg") =>
  new File([content], name, { lastModified: 1 });

const heic = (brand: string) =>
  file(bytes([0, 0, 0, 24], `ftyp${brand}`, new Array<number>(12).fill(0)), "IMG_1.HEIC");
const serverTakes = (content: string) => vi.stubGlobal("document", { querySelector: () => ({ content }) });

afterEach(() => vi.unstubAllGlobals());

describe("checkFile", () => {
  it.each([
    ["png", png(640, 480)],
    ["jpeg", jpeg(640, 480)],
    ["webp", webp(640, 480)],
  ] as const)("reads the size of a %s from its header", async (format, content) => {
    const checked = await checkFile(file(content));
    expect(checked).toMatchObject({ format, size: { width: 640, height: 480 }, problem: null });
  });

  it.each([
    [1, 640, 480],
    [3, 640, 480],
    [6, 480, 640],
    [8, 480, 640],
  ])("tells the size as shown of a JPEG with EXIF orientation %i", async (orientation, width, height) => {
    const [SOI, ...rest] = [jpeg(640, 480).slice(0, 2), jpeg(640, 480).slice(2)];
    for (const isLittle of [true, false]) {
      const short = (n: number) => (isLittle ? [n & 255, n >> 8] : [n >> 8, n & 255]);
      const long = (n: number) => (isLittle ? [...short(n), 0, 0] : [0, 0, ...short(n)]);
      const entries = [
        [0x0110, 3],
        [0x0112, orientation],
      ].flatMap(([tag, value]) => [...[...short(tag!), ...short(3), ...long(1), ...short(value!), 0, 0]]);
      const exif = bytes(
        "Exif",
        [0, 0],
        isLittle ? "II" : "MM",
        short(42),
        long(8),
        short(2),
        entries,
        long(0),
      );
      const app1 = [0xff, 0xe1, 0, exif.length + 2];
      const content = bytes([...SOI!, ...app1, ...exif, ...rest.flatMap((part) => [...part])]);
      expect((await checkFile(file(content))).size).toEqual({ width, height });
    }
  });

  it.each(["heic", "heix", "mif1", "hevc"])("says both ways out for a HEIC picture (%s)", async (brand) => {
    expect((await checkFile(heic(brand))).problem).toBe(
      "HEIC is not read here: export it as JPEG, or have pillow-heif installed where Tally runs.",
    );
    expect(taken().accept).not.toMatch(/hei/);
  });

  it("takes HEIC where the server says that it reads it", async () => {
    serverTakes("jpeg png tiff webp heic");
    expect(await checkFile(heic("heic"))).toMatchObject({ format: "heic", size: null, problem: null });
    expect(taken().accept).toContain(".heic,");
    expect((await checkFile(heic("avif"))).problem).toBe(
      "Not a picture we can read: JPEG, PNG, TIFF, WebP or HEIC is accepted.",
    );
  });

  it("leaves the size of a TIFF to the server", async () => {
    expect(await checkFile(file(bytes("II*\0", [8, 0, 0, 0])))).toMatchObject({
      format: "tiff",
      size: null,
      problem: null,
    });
  });

  it("leaves a size that lies behind a long header to the server", async () => {
    const checked = await checkFile(file(jpeg(640, 480).slice(0, 12)));
    expect(checked).toMatchObject({ format: "jpeg", size: null, problem: null });
  });

  it("goes by content, not by name", async () => {
    expect((await checkFile(file(bytes("%PDF-1.7 and more"), "photo.jpg"))).problem).toMatch(/Not a picture/);
  });

  it.each([
    [63, 200, /too small/],
    [200, 8193, /too large/],
  ])("refuses %i × %i px", async (w, h, message) => {
    expect((await checkFile(file(png(w, h)))).problem).toMatch(message);
  });

  it.each([
    [64, 64],
    [8192, 8192],
  ])("accepts the limits, %i × %i px", async (w, h) => {
    expect((await checkFile(file(png(w, h)))).problem).toBeNull();
  });

  it("refuses files that are empty or too heavy", async () => {
    expect((await checkFile(file(bytes("")))).problem).toMatch(/empty/);
    const heavy = { size: LIMITS.bytes + 2 ** 20, name: "big.png" } as File;
    expect((await checkFile(heavy)).problem).toBe("51 MB; at most 50 MB is accepted.");
  });
});

it("needs the whole signature of a format", () => {
  expect(sniffFormat(bytes("RIFF", [0, 0, 0, 0], "WAVE"))).toBeNull();
  expect(sniffFormat(bytes("MM\0*"))).toBe("tiff");
});

describe("selectNew", () => {
  const named = (name: string) => file(png(64, 64), name);

  it("leaves out files that are there already, or come twice", () => {
    expect(selectNew([named("a")], [named("a"), named("b"), named("b")]).accepted.map((f) => f.name)).toEqual(
      ["b"],
    );
  });

  it("takes as many as one job may have, and says how many are left", () => {
    const many = Array.from({ length: LIMITS.files + 3 }, (_, k) => named(`${k}`));
    const { accepted, left } = selectNew([named("first")], many);
    expect([accepted.length, left]).toEqual([LIMITS.files - 1, 4]);
  });
});

/** Width and height from the first bytes of a picture, without decoding it. */
import type { Size } from "../overlay/viewport";
import type { Format } from "./checks";

/** Return the size in pixels, as it is shown, or null when these bytes do not hold it (TIFF and HEIC keep it anywhere). */
export function readSize(head: Uint8Array, format: Format): Size | null {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  try {
    if (format === "png") return { width: view.getUint32(16), height: view.getUint32(20) };
    if (format === "webp") return readWebP(view);
    if (format === "jpeg") return readJPEG(view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // ran off the end of the bytes we have
  }
  return null;
}

function readWebP(view: DataView): Size | null {
  const chunk = String.fromCharCode(
    view.getUint8(12),
    view.getUint8(13),
    view.getUint8(14),
    view.getUint8(15),
  );
  const uint24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (chunk === "VP8X") return { width: uint24(24) + 1, height: uint24(27) + 1 };
  if (chunk === "VP8 ") {
    return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  }
  if (chunk !== "VP8L") return null;
  const bits = view.getUint32(21, true);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}

function readJPEG(view: DataView): Size | null {
  let at = 2;
  let isTurned = false;
  for (;;) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) {
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      return isTurned ? { width: height, height: width } : { width, height };
    }
    if (marker === 0xe1 && view.getUint32(at + 4) === EXIF) isTurned ||= isTurnedBy(view, at + 10);
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
}

const EXIF = 0x45786966;
const ORIENTATION = 0x0112;
const SIDEWAYS = new Set([5, 6, 7, 8]);

/** Return whether EXIF data, from its byte order at `start`, lays the picture on its side. */
function isTurnedBy(view: DataView, start: number): boolean {
  const isLittle = view.getUint16(start) === 0x4949;
  const entries = start + view.getUint32(start + 4, isLittle);
  for (let k = 0; k < view.getUint16(entries, isLittle); k++) {
    const entry = entries + 2 + 12 * k;
    if (view.getUint16(entry, isLittle) === ORIENTATION)
      return SIDEWAYS.has(view.getUint16(entry + 8, isLittle));
  }
  return false;
}

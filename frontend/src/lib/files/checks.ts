/** Upload rules that the browser can check before a byte is sent; the server checks all of them again. */
import type { Size } from "../overlay/viewport";
import { readSize } from "./imageHeader";

export const LIMITS = { files: 100, bytes: 50 * 2 ** 20, minPx: 64, maxPx: 8192 };
export const ACCEPT = ".jpg,.jpeg,.png,.tif,.tiff,.webp,image/jpeg,image/png,image/tiff,image/webp";

export type Format = "jpeg" | "png" | "tiff" | "webp";

export interface CheckedFile {
  file: File;
  format: Format | null;
  /** Pixels, or null where the header does not say it soon enough. */
  size: Size | null;
  /** What is wrong, for people; null when the file may be sent. */
  problem: string | null;
}

const HEADER_BYTES = 256 * 1024;

/** Return the format that the first bytes announce, whatever the name says. */
export function sniffFormat(head: Uint8Array): Format | null {
  const text = String.fromCharCode(...head.subarray(0, 12));
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (text.startsWith("RIFF") && text.slice(8) === "WEBP") return "webp";
  if (/^(II[*+]\0|MM\0[*+])/.test(text)) return "tiff";
  return null;
}

/** Return whether the first bytes are of HEIC, as iPhones write it. */
const isHEIC = (head: Uint8Array): boolean =>
  /^ftyp(hei|hev|mif1|msf1)/.test(String.fromCharCode(...head.subarray(4, 12)));

/** Return the file with its format, its size in pixels and what is wrong with it. */
export async function checkFile(file: File): Promise<CheckedFile> {
  const checked: CheckedFile = { file, format: null, size: null, problem: null };
  if (file.size === 0) return { ...checked, problem: "This file is empty." };
  if (file.size > LIMITS.bytes) {
    return {
      ...checked,
      problem: `${megabytes(file.size)} MB; at most ${megabytes(LIMITS.bytes)} MB is accepted.`,
    };
  }
  const head = new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer());
  const format = sniffFormat(head);
  if (!format) {
    const problem = isHEIC(head)
      ? "HEIC is not read: export it as JPEG."
      : "Not a picture we can read: JPEG, PNG, TIFF or WebP is accepted.";
    return { ...checked, problem };
  }
  const size = readSize(head, format);
  return { ...checked, format, size, problem: size && problemOfSize(size) };
}

function problemOfSize({ width, height }: Size): string | null {
  if (Math.min(width, height) < LIMITS.minPx) {
    return `${width} × ${height} px is too small; each side needs at least ${LIMITS.minPx} px.`;
  }
  if (Math.max(width, height) > LIMITS.maxPx) {
    return `${width} × ${height} px is too large; each side may have at most ${LIMITS.maxPx} px.`;
  }
  return null;
}

/** Return which of `incoming` are new (name, size and date), and how many of them still fit. */
export function selectNew(present: File[], incoming: File[]): { accepted: File[]; left: number } {
  const keyOf = (file: File) => `${file.name}/${file.size}/${file.lastModified}`;
  const known = new Set(present.map(keyOf));
  const fresh = incoming.filter((file) => !known.has(keyOf(file)) && known.add(keyOf(file)));
  const room = Math.max(0, LIMITS.files - present.length);
  return { accepted: fresh.slice(0, room), left: Math.max(0, fresh.length - room) };
}

const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(bytes % 2 ** 20 ? 1 : 0);

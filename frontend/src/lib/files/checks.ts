/** Upload rules that the browser can check before a byte is sent; the server checks all of them again. */
import type { Size } from "../overlay/viewport";
import { readSize } from "./imageHeader";

export const LIMITS = { files: 100, bytes: 50 * 2 ** 20, minPx: 64, maxPx: 8192 };

export type Format = "jpeg" | "png" | "tiff" | "webp" | "heic";

/** What most browsers cannot show: no preview before the upload. */
export const UNSEEN: readonly Format[] = ["tiff", "heic"];

/** What the server takes as a list for people and as an `accept` attribute: HEIC where pillow-heif is installed. */
export function taken(): { names: string; accept: string; isHEICRead: boolean } {
  const meta = globalThis.document?.querySelector<HTMLMetaElement>('meta[name="tally-formats"]');
  const isHEICRead = meta?.content.split(" ").includes("heic") ?? false;
  const accept = ".jpg,.jpeg,.png,.tif,.tiff,.webp,image/jpeg,image/png,image/tiff,image/webp";
  return isHEICRead
    ? {
        names: "JPEG, PNG, TIFF, WebP or HEIC",
        accept: `${accept},.heic,.heif,.hif,image/heic,image/heif`,
        isHEICRead,
      }
    : { names: "JPEG, PNG, TIFF or WebP", accept, isHEICRead };
}

export interface CheckedFile {
  file: File;
  format: Format | null;
  /** Pixels, or null where the header does not say it soon enough. */
  size: Size | null;
  /** What is wrong, for people; null when the file may be sent. */
  problem: string | null;
}

const HEADER_BYTES = 256 * 1024;
const HEIC_HELP = "HEIC is not read here: export it as JPEG, or have pillow-heif installed where Tally runs.";

/** Return the format that the first bytes announce, whatever the name says. */
export function sniffFormat(head: Uint8Array): Format | null {
  const text = String.fromCharCode(...head.subarray(0, 12));
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (text.startsWith("RIFF") && text.slice(8) === "WEBP") return "webp";
  if (/^(II[*+]\0|MM\0[*+])/.test(text)) return "tiff";
  if (/^ftyp(hei[cxms]|hev[cxms]|mif1|msf1)/.test(text.slice(4))) return "heic";
  return null;
}

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
  const { names, isHEICRead } = taken();
  if (!format) return { ...checked, problem: `Not a picture we can read: ${names} is accepted.` };
  if (format === "heic" && !isHEICRead) return { ...checked, problem: HEIC_HELP };
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

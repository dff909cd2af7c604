/** The counts of a job as a table that spreadsheets open. Pure. */
import type { Job, JobImage } from "../api/types";

const COLUMNS = ["photo", "count", "low", "high", "source", "needs_review", "note"];

/**
 * Return one line a photo, with a column for each kind; a photo without a count has an empty one, and the reason
 * beside it.
 */
export function totalsCsv({ images }: Pick<Job, "images">): string {
  const kinds = [...new Set(images.flatMap((image) => Object.keys(image.by_type ?? {})))].sort();
  const rows = images.map((image) => [
    image.filename,
    image.count ?? "",
    ...(image.count_interval ?? ["", ""]),
    image.count === null ? "" : image.count_source,
    image.needs_review,
    image.error?.message ?? image.review_reason ?? (image.count === null ? image.status : ""),
    ...kinds.map((kind) => countOf(kind, image, kinds.length === 1) ?? ""),
  ]);
  const header = [...COLUMNS, ...kinds.map((kind) => `count:${kind}`)];
  return [header, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Return how many of a kind a photo holds; null where a person's bare number leaves that open. */
function countOf(kind: string, { count, by_type }: JobImage, isOnly: boolean): number | null {
  if (count === null || isOnly) return count;
  const outlined = Object.values(by_type ?? {}).reduce((a, b) => a + b, 0);
  return outlined === count ? (by_type?.[kind] ?? 0) : null;
}

/** Quote what needs it; a name that a spreadsheet would take for a formula becomes text. */
function cell(value: string | number | boolean): string {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

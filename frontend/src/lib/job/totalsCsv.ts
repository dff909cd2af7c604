/** The counts of a job as a table that spreadsheets open. Pure. */
import type { Job } from "../api/types";

const COLUMNS = ["photo", "count", "low", "high", "source", "needs_review", "note"];

/** Return one line a photo; a photo without a count has an empty one, and the reason beside it. */
export function totalsCsv({ images }: Pick<Job, "images">): string {
  const rows = images.map((image) => [
    image.filename,
    image.count ?? "",
    ...(image.count_interval ?? ["", ""]),
    image.count === null ? "" : image.count_source,
    image.needs_review,
    image.error?.message ?? image.review_reason ?? (image.count === null ? image.status : ""),
  ]);
  return [COLUMNS, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Quote what needs it; a name that a spreadsheet would take for a formula becomes text. */
function cell(value: string | number | boolean): string {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

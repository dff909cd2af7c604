/** How far the count of a job reaches, in words. Pure. */
import type { Job } from "../api/types";
import { formatCount, formatDay, plural } from "../ui/format";

export const partOf = (n: number, total: number) => `${formatCount(n)} of ${plural(total, "photo")}`;

/** Return in which photos the objects of a job were counted: "all photos", or "1 of 4 photos". */
export function photosCounted({ images }: Pick<Job, "images">): string {
  const counted = images.filter((image) => image.status === "completed").length;
  return counted === images.length ? "all photos" : partOf(counted, images.length);
}

/** Return how many photos of a job somebody should look at; "" for none. */
export function reviewNote({ images }: Pick<Job, "images">): string {
  const n = images.filter((image) => image.needs_review).length;
  return n ? `${plural(n, "photo")} ${n === 1 ? "needs" : "need"} review` : "";
}

/** Return how long a job's photos are kept, which its counts outlive. */
export function keptNote(expiresAt: string, now = Date.now()): string {
  return Date.parse(expiresAt) > now
    ? `photos kept until ${formatDay(expiresAt)}, counts for good`
    : "photos are no longer kept";
}

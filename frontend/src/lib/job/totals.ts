/** How far the count of a job reaches, in words. Pure. */
import type { Interval, Job } from "../api/types";
import { formatCount, formatDay, plural } from "../ui/format";
import { certaintyNote } from "./countNotes";

export const partOf = (n: number, total: number) => `${formatCount(n)} of ${plural(total, "photo")}`;

/** Return in which photos the objects of a job were counted: "all photos", or "1 of 4 photos". */
export function photosCounted({ images }: Pick<Job, "images">): string {
  const counted = images.filter((image) => image.status === "completed").length;
  return counted === images.length ? "all photos" : partOf(counted, images.length);
}

/** Return the interval of a sum as the server adds it up: the lows and the highs; null of no count. */
export function totalInterval(intervals: (Interval | null)[]): Interval | null {
  const known = intervals.filter((one) => one !== null);
  const sum = (end: 0 | 1) => known.reduce((total, one) => total + one[end], 0);
  return known.length ? [sum(0), sum(1)] : null;
}

/** Return how sure the total of a job is, by the words and the rule for one photo; "" where they say nothing. */
export function totalCertainty({ count_interval, images }: Pick<Job, "count_interval" | "images">): string {
  const counted = images.filter((image) => image.status === "completed");
  const byHand = counted.filter((image) => image.count_source === "human").length;
  const isPlain = byHand === counted.length || counted.some((image) => image.needs_review);
  return certaintyNote(count_interval, isPlain, byHand > 0);
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

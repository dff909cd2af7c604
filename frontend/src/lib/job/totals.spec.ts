import { expect, it } from "vitest";
import type { JobImage, JobStatus } from "../api/types";
import { keptNote, photosCounted, reviewNote } from "./totals";

const images = (...states: JobStatus[]) => states.map((status) => ({ status }) as JobImage);

it("says of how many photos a count is where some were left out", () => {
  expect(photosCounted({ images: images("completed", "completed") })).toBe("all photos");
  expect(photosCounted({ images: images("completed", "cancelled", "failed", "cancelled") })).toBe(
    "1 of 4 photos",
  );
});

it("says how many photos ask for a look", () => {
  const asking = (...asks: boolean[]) => ({ images: asks.map((a) => ({ needs_review: a }) as JobImage) });
  expect([asking(false), asking(true, false), asking(true, true)].map(reviewNote)).toEqual([
    "",
    "1 photo needs review",
    "2 photos need review",
  ]);
});

it("says how long photos are kept, and that counts are", () => {
  const [before, at] = [Date.UTC(2026, 10, 23), "2026-11-30T12:00:00Z"];
  expect(keptNote(at, before)).toMatch(/^photos kept until .*30.*2026.*, counts for good$/);
  expect(keptNote(at, Date.parse(at))).toBe("photos are no longer kept");
});

import { expect, it } from "vitest";
import type { JobImage, JobStatus } from "../api/types";
import { photosCounted, reviewNote } from "./totals";

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

import { expect, it } from "vitest";
import type { JobImage, JobStatus } from "../api/types";
import { keptNote, photosCounted, reviewNote, totalCertainty, totalInterval } from "./totals";

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

it("adds up lows and highs of the photos that are counted", () => {
  expect(totalInterval([[3, 5], null, [7, 7], [0, 4]])).toEqual([10, 16]);
  expect([totalInterval([null]), totalInterval([])]).toEqual([null, null]);
});

it("says how sure a total is by the rule for one photo", () => {
  const machine = { status: "completed", count_source: "model", needs_review: false } as JobImage;
  const person: JobImage = { ...machine, count_source: "human" };
  const unsure: JobImage = { ...machine, needs_review: true };
  const failed = { ...machine, status: "failed", count: null } as JobImage;
  const note = (count_interval: [number, number] | null, ...photos: JobImage[]) =>
    totalCertainty({ count_interval, images: photos });
  const rest = ", as the machine sees the rest";
  expect(note([20, 30], machine, unsure)).toBe("20–30 with 90 % certainty");
  expect(note([20, 30], machine, person)).toBe(`20–30 with 90 % certainty${rest}`);
  expect(note([24, 24], machine, failed)).toBe("exactly 24 with 90 % certainty");
  expect(note([24, 24], machine, person)).toBe(`exactly 24 with 90 % certainty${rest}`);
  const silent = [
    note([24, 24], person, person, failed),
    note([24, 24], machine, unsure),
    note(null, failed),
  ];
  expect(silent).toEqual(["", "", ""]);
});

it("says how long photos are kept, and that counts are", () => {
  const [before, at] = [Date.UTC(2026, 10, 23), "2026-11-30T12:00:00Z"];
  expect(keptNote(at, before)).toMatch(/^photos kept until .*30.*2026.*, counts for good$/);
  expect(keptNote(at, Date.parse(at))).toBe("photos are no longer kept");
});

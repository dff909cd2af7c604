import { expect, it } from "vitest";
import type { JobImage, JobStatus } from "../api/types";
import { photosCounted } from "./totals";

const images = (...states: JobStatus[]) => states.map((status) => ({ status }) as JobImage);

it("says of how many photos a count is where some were left out", () => {
  expect(photosCounted({ images: images("completed", "completed") })).toBe("all photos");
  expect(photosCounted({ images: images("completed", "cancelled", "failed", "cancelled") })).toBe(
    "1 of 4 photos",
  );
});

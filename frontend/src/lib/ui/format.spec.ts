import { expect, it } from "vitest";
import {
  canTellRemaining,
  formatBytes,
  formatChange,
  formatCount,
  formatInterval,
  formatRemaining,
  nounFor,
  plural,
} from "./format";

it("writes numbers for people", () => {
  expect(formatCount(null)).toBe("–");
  expect(formatBytes(300)).toBe("1 kB");
  expect(formatBytes(3 * 2 ** 20)).toBe("3.0 MB");
  expect(plural(1, "photo")).toBe("1 photo");
  expect(plural(3, "photo")).toBe("3 photos");
});

it("writes a difference with its sign", () => {
  expect([3, -2, 0].map(formatChange)).toEqual(["+3", "−2", ""]);
});

it("writes an interval of one number as one number", () => {
  expect(formatInterval([24, 24])).toBe("exactly 24");
  expect(formatInterval([22, 26])).toBe("22–26");
  expect([formatInterval([0, 0], true), formatInterval([0, 4], true)]).toEqual(["0", "0–4"]);
  expect(formatInterval(null)).toBe("");
});

it("says how long is left, and nothing when that has passed", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(formatRemaining("2026-01-01T00:00:30Z", now)).toBe("about 30 s left");
  expect(formatRemaining("2026-01-01T00:05:00Z", now)).toBe("about 5 min left");
  expect(formatRemaining("2025-12-31T23:59:00Z", now)).toBe("");
  expect(formatRemaining(null, now)).toBe("");
});

it("tells no time before a tenth of the work or two photos are done", () => {
  expect([canTellRemaining(1, 0), canTellRemaining(9, 1)]).toEqual([false, false]);
  expect([canTellRemaining(10, 0), canTellRemaining(3, 2)]).toEqual([true, true]);
});

it("names so many things as a person called them", () => {
  expect([1, 21, 0].map((n) => nounFor(n, "object"))).toEqual(["object", "objects", "objects"]);
  const many = [
    "hex nut",
    "box",
    "potato",
    "glass",
    "berry",
    "key",
    "bus",
    "person",
    "coins",
    "screws (M4)",
    "ナット",
    "bag of rice",
    "round things on a table",
  ];
  expect(many.map((words) => nounFor(3, words))).toEqual([
    ...["hex nuts", "boxes", "potatoes", "glasses", "berries", "keys", "buses", "people"],
    ...["coins", "screws (M4)", "ナット", "bags of rice", "round things on a table"],
  ]);
});

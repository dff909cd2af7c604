import { expect, it } from "vitest";
import type { RecountedImage } from "../api/types";
import { discShape } from "../overlay/shapes";
import { previewScene } from "./scenes";

it("numbers a preview as it will be once applied", () => {
  const shape = (id: string, number: number | null) => ({ ...discShape(id, { x: 0, y: 0 }, 9), number });
  const scene = { counted: [shape("c0", 1), shape("c1", 2), shape("c2", 3)], rejected: [shape("c3", null)] };
  const preview = { counted: ["c3", "c1", "c2"], rejected: { c0: "too_small" }, group_of: {} };
  const { counted, rejected } = previewScene(scene, preview as unknown as RecountedImage);
  expect(Object.fromEntries(counted.map(({ id, number }) => [id, number]))).toEqual({ c3: 1, c1: 2, c2: 3 });
  expect(rejected.map(({ id, number }) => [id, number])).toEqual([["c0", null]]);
});

import { expect, it } from "vitest";
import { pathOf, pathsOf } from "./paths";
import { discShape } from "./shapes";

const box = { x1: 1, y1: 2, x2: 4, y2: 6 };
const shape = { ...discShape("a", { x: 2, y: 4 }, 12), polygon: [1, 2, 4, 2, 4, 6], bounds: box };

it("draws outlines as closed paths", () => {
  expect(pathOf([shape, shape])).toBe("M1 2 4 2 4 6ZM1 2 4 2 4 6Z");
});

it("draws the box of an object without an outline", () => {
  expect(pathOf([{ ...shape, polygon: [] }])).toBe("M1 2H4V6H1Z");
});

it("puts neighbours together and loses none", () => {
  const shapes = Array.from({ length: 1000 }, (_, k) =>
    discShape(`${k}`, { x: 5 + 10 * (k % 40), y: 5 + 10 * Math.floor(k / 40) }, 20),
  );
  const paths = pathsOf(shapes, { width: 400, height: 250 });
  const sizes = paths.map((path) => path.split("Z").length - 1);
  expect(sizes.reduce((a, b) => a + b)).toBe(1000);
  expect(Math.max(...sizes)).toBeLessThan(60);
});

it("needs no grid for a few, and no element for none", () => {
  expect(pathsOf([shape], { width: 10, height: 10 })).toHaveLength(1);
  expect(pathsOf([], { width: 10, height: 10 })).toEqual([]);
});

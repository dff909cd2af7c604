import { expect, it } from "vitest";
import { discShape } from "../overlay/shapes";
import { exemplarOfBox, exemplarOfPoint } from "./exemplars";
import { meansCandidate } from "./matching";

const disc = (id: string, x: number) => discShape(id, { x, y: 50 }, Math.PI * 100); // radius 10 px
const SHAPES = [disc("c0", 50), disc("h1_0", 150)];
const box = (x: number, half: number) =>
  exemplarOfBox({ x1: x - half, y1: 50 - half, x2: x + half, y2: 50 + half }, "img_1", true)!;

it("means the candidate that a box meets well enough", () => {
  expect(meansCandidate(box(50, 12), SHAPES)).toBe(true);
  expect(meansCandidate(box(58, 10), SHAPES)).toBe(true);
  expect(meansCandidate(box(50, 40), SHAPES)).toBe(false);
  expect(meansCandidate(box(90, 12), SHAPES)).toBe(false);
});

it("means the only candidate that a loose box holds", () => {
  expect(meansCandidate(box(50, 28), SHAPES)).toBe(true);
  expect(meansCandidate(box(50, 28), [...SHAPES, disc("c1", 65)])).toBe(false);
  expect(meansCandidate(box(25, 28), SHAPES)).toBe(false);
});

it("means the candidate under a point", () => {
  expect(meansCandidate(exemplarOfPoint({ x: 55, y: 50 }, "img_1", true), SHAPES)).toBe(true);
  expect(meansCandidate(exemplarOfPoint({ x: 65, y: 50 }, "img_1", true), SHAPES)).toBe(false);
});

it("knows nothing of what a person added where the engine saw nothing", () => {
  expect(meansCandidate(box(150, 12), SHAPES)).toBe(false);
});

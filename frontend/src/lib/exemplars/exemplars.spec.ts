import { expect, it } from "vitest";
import {
  boundsOf,
  cropAround,
  describeExemplars,
  exemplarOfBox,
  exemplarOfPoint,
  withExemplar,
} from "./exemplars";

const PHOTO = { width: 200, height: 100 };

it("keeps a drawn box as x, y, width, height of its photo", () => {
  const exemplar = exemplarOfBox({ x1: 10, y1: 20, x2: 40, y2: 60 }, "img_1", true);
  expect(exemplar).toEqual({ file_id: "img_1", positive: true, box: [10, 20, 30, 40] });
  expect(boundsOf(exemplar!)).toEqual({ x1: 10, y1: 20, x2: 40, y2: 60 });
});

it("takes no box that has no pixel in it", () => {
  expect(exemplarOfBox({ x1: 200, y1: 5, x2: 200, y2: 50 }, "img_1", true)).toBeNull();
});

it("lets a place change sides instead of being both", () => {
  const at = { x: 5, y: 6 };
  const list = [exemplarOfPoint(at, "img_1", true), exemplarOfPoint(at, "img_2", true)];
  expect(withExemplar(list, exemplarOfPoint(at, "img_1", false)).map((one) => one.positive)).toEqual([
    true,
    false,
  ]);
});

it("shows the surroundings of a box, and of a point", () => {
  const around = cropAround({ x1: 50, y1: 40, x2: 70, y2: 60 }, PHOTO);
  expect(around).toEqual({ x1: 47, y1: 37, x2: 73, y2: 63 });
  expect(cropAround({ x1: 100, y1: 50, x2: 100, y2: 50 }, PHOTO)).toEqual({
    ...{ x1: 92, y1: 42 },
    ...{ x2: 108, y2: 58 },
  });
});

it("says how many of which kind there are", () => {
  const [yes, no] = [true, false].map((positive) => exemplarOfPoint({ x: 1, y: 1 }, "img_1", positive));
  expect(describeExemplars([yes!, yes!, no!])).toBe("2 like this, 1 not like this");
  expect(describeExemplars([no!])).toBe("1 not like this");
  expect(describeExemplars([])).toBe("");
});

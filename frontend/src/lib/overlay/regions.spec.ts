import { expect, it } from "vitest";
import type { Region } from "../api/types";
import { isRegionOf, pointsOf, regionOfBox, reshaped, shapeOf } from "./regions";

const BOX = { x1: 10, y1: 20.04, x2: 110, y2: 80 };
const HERE = { file_id: "img_1", include: true };

it("makes a box of a drag, and nothing of one without a pixel in it", () => {
  const region = regionOfBox(BOX, HERE);
  expect(region && pointsOf(region)).toBe("10,20 110,20 110,80 10,80");
  expect(region).toMatchObject(HERE);
  expect(regionOfBox({ ...BOX, x2: 10.4 }, HERE)).toBeNull();
});

it("changes the shape to and fro", () => {
  const box = regionOfBox(BOX, HERE) as Region;
  const round = reshaped(box, "round");
  expect([shapeOf(box), shapeOf(round), shapeOf(reshaped(round, "box"))]).toEqual(["box", "round", "box"]);
  expect(reshaped(round, "box")).toEqual(box);
  const outside = round.polygon.filter(([x, y]) => ((x - 60) / 50) ** 2 + ((y - 50) / 30) ** 2 > 1.01);
  expect(outside, "on the ellipse in the box").toEqual([]);
  expect(shapeOf({ polygon: [[0, 0], [9, 0], [9, 9]] }), "sent by a script").toBeNull(); // prettier-ignore
});

it("holds in its own photo, or in all", () => {
  const polygon: Region["polygon"] = [[0, 0], [9, 0], [9, 9]]; // prettier-ignore
  expect(isRegionOf({ polygon }, "img_1")).toBe(true);
  expect(isRegionOf({ polygon, file_id: "img_1" }, "img_1")).toBe(true);
  expect(isRegionOf({ polygon, file_id: "img_2" }, "img_1")).toBe(false);
});

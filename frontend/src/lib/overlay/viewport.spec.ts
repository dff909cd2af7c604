import { describe, expect, it } from "vitest";
import { boxBetween, centreOn, fit, MAX_SCALE, panBy, pinch, toImage, toScreen, zoomAt } from "./viewport";

const image = { width: 1000, height: 500 };
const stage = { width: 500, height: 500 };

describe("viewport", () => {
  it("shows the whole image in the middle", () => {
    expect(fit(image, stage)).toEqual({ scale: 0.5, x: 0, y: 125 });
  });

  it("makes a box of two corners in any order, cut at the edges", () => {
    const box = { x1: 0, y1: 20, x2: 50.3, y2: 500 };
    expect(boxBetween({ x: 50.26, y: 20 }, { x: -9, y: 640 }, image)).toEqual(box);
    expect(boxBetween({ x: -9, y: 640 }, { x: 50.26, y: 20 }, image)).toEqual(box);
  });

  it("has some scale before the stage has a size", () => {
    expect(fit(image, { width: 0, height: 0 }).scale).toBe(1);
  });

  it("keeps the pixel under the pointer in place while zooming", () => {
    const at = { x: 123, y: 260 };
    const before = zoomAt(fit(image, stage), { x: 250, y: 250 }, 4, image, stage);
    const pixel = toImage(before, at);
    const after = zoomAt(before, at, 1.7, image, stage);
    expect(after.scale).toBeCloseTo(before.scale * 1.7);
    expect(toScreen(after, pixel).x).toBeCloseTo(at.x);
    expect(toScreen(after, pixel).y).toBeCloseTo(at.y);
  });

  it("zooms between the whole image and a bound", () => {
    const view = fit(image, stage);
    expect(zoomAt(view, { x: 0, y: 0 }, 1e9, image, stage).scale).toBe(MAX_SCALE);
    expect(zoomAt(view, { x: 0, y: 0 }, 1e-9, image, stage)).toEqual(view);
  });

  it("never loses the image when it is dragged away", () => {
    const view = zoomAt(fit(image, stage), { x: 250, y: 250 }, 8, image, stage);
    const gone = panBy(view, 1e6, -1e6, image, stage);
    expect(gone.x).toBeLessThan(stage.width);
    expect(gone.y + image.height * gone.scale).toBeGreaterThan(0);
  });

  it("moves and zooms with two fingers", () => {
    const view = zoomAt(fit(image, stage), { x: 250, y: 250 }, 4, image, stage);
    const before = [
      { x: 200, y: 250 },
      { x: 300, y: 250 },
    ] as [{ x: number; y: number }, { x: number; y: number }];
    const after = [
      { x: 160, y: 260 },
      { x: 360, y: 260 },
    ] as typeof before;
    const next = pinch(view, before, after, image, stage);
    expect(next.scale).toBeCloseTo(view.scale * 2);
    for (const k of [0, 1] as const) {
      const pixel = toImage(view, before[k]);
      expect(toScreen(next, pixel).x).toBeCloseTo(after[k].x);
    }
  });

  it("brings an object into the middle", () => {
    const view = zoomAt(fit(image, stage), { x: 250, y: 250 }, 8, image, stage);
    const next = centreOn(view, { x: 400, y: 250 }, image, stage);
    expect(toScreen(next, { x: 400, y: 250 })).toEqual({ x: 250, y: 250 });
  });
});

/** Regions that are counted, or left out: polygons in image pixels. Pure. */
import type { Region } from "../api/types";
import { tenth, type Bounds } from "./viewport";

export type RegionShape = "box" | "round";

const ROUND_CORNERS = 64;

/** Return the region that a drawn box is; null for one without a pixel in it. */
export function regionOfBox(box: Bounds, more: Omit<Region, "polygon">): Region | null {
  if (tenth(box.x2 - box.x1) < 1 || tenth(box.y2 - box.y1) < 1) return null;
  return { ...more, polygon: polygonOf(box, "box") };
}

/** Return the region in another shape, as wide and high as it is. */
export const reshaped = (region: Region, shape: RegionShape): Region => ({
  ...region,
  polygon: polygonOf(boundsOfRegion(region), shape),
});

/** Return a region's shape; null for one that was not drawn here. */
export function shapeOf(region: Region): RegionShape | null {
  const shapes: RegionShape[] = ["box", "round"];
  const own = JSON.stringify(region.polygon);
  return shapes.find((shape) => JSON.stringify(reshaped(region, shape).polygon) === own) ?? null;
}

/** Return whether a region says something of a photo: those of no photo hold in all. */
export const isRegionOf = (region: Region, fileId: string): boolean =>
  !region.file_id || region.file_id === fileId;

/** Return the corners as SVG takes them. */
export const pointsOf = ({ polygon }: Region): string => polygon.map(([x, y]) => `${x},${y}`).join(" ");

function boundsOfRegion({ polygon }: Region): Bounds {
  const [xs, ys] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)];
  return { x1: Math.min(...xs), y1: Math.min(...ys), x2: Math.max(...xs), y2: Math.max(...ys) };
}

function polygonOf({ x1, y1, x2, y2 }: Bounds, shape: RegionShape): [number, number][] {
  const corners: [number, number][] =
    shape === "box"
      ? [
          [x1, y1],
          [x2, y1],
          [x2, y2],
          [x1, y2],
        ]
      : Array.from({ length: ROUND_CORNERS }, (_, k) => {
          const angle = (2 * Math.PI * k) / ROUND_CORNERS;
          return [(x1 + x2 + (x2 - x1) * Math.cos(angle)) / 2, (y1 + y2 + (y2 - y1) * Math.sin(angle)) / 2];
        });
  return corners.map(([x, y]) => [tenth(x), tenth(y)]);
}

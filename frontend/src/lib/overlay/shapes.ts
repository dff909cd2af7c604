/** Outlines in image pixels: what is drawn, and what lies under a point. */
import type { Detection, FaintThing, RejectedCandidate } from "../api/types";
import type { Bounds, Point } from "./viewport";

export interface Shape {
  id: string;
  /** Reading order among the counted; null for what is not counted or not saved yet. */
  number: number | null;
  label: string;
  /** The engine's score. */
  confidence: number;
  /** Chance that it is an object; null where nobody measured what the engine's scores are worth. */
  probability: number | null;
  /** "" when counted, else why not. */
  rejection: string;
  source: "model" | "human";
  /** Id of the group of things that look alike; null for none. */
  group: number | null;
  /** x, y, x, y, … in image pixels. */
  polygon: number[];
  bounds: Bounds;
  area: number;
}

export const shapeOfDetection = (found: Detection): Shape => ({
  id: found.object_id,
  number: found.number,
  label: found.class_name,
  confidence: found.confidence,
  probability: found.probability,
  rejection: "",
  source: found.source,
  group: found.group,
  polygon: found.segmentation,
  bounds: found.bbox,
  area: found.area,
});

export const shapeOfRejected = (candidate: RejectedCandidate): Shape => ({
  id: candidate.object_id,
  number: null,
  label: "",
  confidence: candidate.confidence,
  probability: candidate.probability,
  rejection: candidate.reason,
  source: "model",
  group: candidate.group,
  polygon: candidate.segmentation,
  bounds: candidate.bbox,
  area: polygonArea(candidate.segmentation),
});

/** Return a 16-sided disc of `area` px around a point. */
export function discShape(id: string, at: Point, area: number): Shape {
  const radius = Math.sqrt(area / Math.PI);
  const polygon = Array.from({ length: 16 }, (_, k) => (k * Math.PI) / 8).flatMap((angle) => [
    at.x + radius * Math.cos(angle),
    at.y + radius * Math.sin(angle),
  ]);
  const bounds = { x1: at.x - radius, y1: at.y - radius, x2: at.x + radius, y2: at.y + radius };
  return {
    id,
    number: null,
    label: "",
    confidence: 1,
    probability: 1,
    rejection: "",
    source: "human",
    group: null,
    polygon,
    bounds,
    area,
  };
}

/** Return circles around what was seen too faintly to be a candidate; none where something is counted. */
export function shapesOfFaint(faint: FaintThing[], counted: Shape[]): Shape[] {
  const shapes = faint.map(({ x, y, radius, confidence }, k): Shape => {
    const disc = discShape(`faint:${k}`, { x, y }, Math.PI * radius ** 2);
    return { ...disc, confidence, probability: null, rejection: "faint", source: "model" };
  });
  return shapes.filter((shape) => !shapesUnder(counted, centreOf(shape)).length);
}

/** Return the engine's score of a shape in words. */
export const describeScore = ({ confidence }: Shape): string => `score ${Math.round(100 * confidence)} %`;

/** Return how sure it is that a counted shape is an object, in words; nothing a machine says is certain. */
export function describeSureness(shape: Shape): string {
  const { source, probability } = shape;
  if (source === "human") return "added by a person";
  if (probability === null) return describeScore(shape);
  return probability > 0.99 ? "over 99 % sure" : `${Math.round(100 * probability)} % sure`;
}

/** Return the area in px inside an outline (shoelace formula). */
export function polygonArea(polygon: number[]): number {
  let twice = 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const j = (i + 2) % polygon.length;
    twice += polygon[i]! * polygon[j + 1]! - polygon[j]! * polygon[i + 1]!;
  }
  return Math.abs(twice) / 2;
}

export const centreOf = ({ bounds }: Shape): Point => ({
  x: (bounds.x1 + bounds.x2) / 2,
  y: (bounds.y1 + bounds.y2) / 2,
});

/**
 * Return the smallest shape under a point. One smaller than `tolerance` px is met beside it, too, where its
 * middle is nearer than that of what is under the point.
 */
export function shapeAt(shapes: Shape[], at: Point, tolerance = 0): Shape | null {
  const under = least(shapesUnder(shapes, at), (shape) => shape.area);
  const near = shapesUnder(shapes, at, tolerance).filter((shape) => !liesIn(shape, at));
  const off = (shape: Shape) => Math.hypot(centreOf(shape).x - at.x, centreOf(shape).y - at.y);
  return least(under ? [under, ...near] : near, off);
}

function least(shapes: Shape[], of: (shape: Shape) => number): Shape | null {
  return shapes.reduce<Shape | null>((best, s) => (!best || of(s) < of(best) ? s : best), null);
}

function shapesUnder(shapes: Shape[], at: Point, tolerance = 0): Shape[] {
  return shapes.filter((shape) => {
    const { x1, x2, y1, y2 } = shape.bounds;
    const isSmall = Math.min(x2 - x1, y2 - y1) < 2 * tolerance;
    return isSmall ? isNearBox(shape, at, tolerance) : liesIn(shape, at);
  });
}

const liesIn = (shape: Shape, at: Point) => isNearBox(shape, at, 0) && isInside(shape.polygon, at);

// The rules of app/results/edits.py, so that a click shows at once what the server will make of it.
const LIKELY_AREA_FACTOR = 4;
const SINGLE_AREA_FACTOR = 1.5;

/** Return the counted object that makes an addition here pointless: of single size, under the point. */
export function countedAlready(counted: Shape[], at: Point): Shape | null {
  const limit = SINGLE_AREA_FACTOR * typicalArea(counted);
  return shapesUnder(counted, at).find((shape) => shape.area <= limit) ?? null;
}

/** Return the rejected candidate that a click means: of a likely size, the one nearest the typical. */
export function meantCandidate(rejected: Shape[], at: Point, typical: number): Shape | null {
  const off = (shape: Shape) => Math.abs(Math.log(Math.max(shape.area, 1) / Math.max(typical, 1)));
  const likely = shapesUnder(rejected, at).filter((shape) => off(shape) <= Math.log(LIKELY_AREA_FACTOR));
  return least(likely, off);
}

/** Return the median area in px of the counted objects; 0 without any. */
export function typicalArea(counted: Shape[]): number {
  const areas = counted.map((shape) => shape.area).sort((a, b) => a - b);
  const [low, high] = [areas[(areas.length - 1) >> 1], areas[areas.length >> 1]];
  return low === undefined || high === undefined ? 0 : (low + high) / 2;
}

function isNearBox({ bounds: { x1, y1, x2, y2 } }: Shape, { x, y }: Point, tolerance: number): boolean {
  return x >= x1 - tolerance && x <= x2 + tolerance && y >= y1 - tolerance && y <= y2 + tolerance;
}

/** Even-odd rule; fewer than three corners mean that the box is the shape. */
function isInside(polygon: number[], { x, y }: Point): boolean {
  if (polygon.length < 6) return true;
  let inside = false;
  let [px, py] = polygon.slice(-2) as [number, number];
  for (let i = 0; i < polygon.length; i += 2) {
    const [qx, qy] = [polygon[i]!, polygon[i + 1]!];
    if (qy > y !== py > y && x < ((px - qx) * (y - qy)) / (py - qy) + qx) inside = !inside;
    [px, py] = [qx, qy];
  }
  return inside;
}

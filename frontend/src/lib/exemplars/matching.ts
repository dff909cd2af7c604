/** Which candidate an example means: the rules of pipeline/ops/exemplars.py. Pure. */
import type { Exemplar } from "../api/types";
import { shapeAt, type Shape } from "../overlay/shapes";
import type { Bounds } from "../overlay/viewport";
import { boundsOf } from "./exemplars";

const MIN_MATCH_IOU = 0.3;
/** A looser box means the only candidate that it holds. */
const LOOSE_IOU = 0.1;
const WHOLLY = 0.9;

/** Return whether the engine had found something there: if not, the example says nothing to a recount. */
export function meansCandidate(exemplar: Exemplar, shapes: Shape[]): boolean {
  const candidates = shapes.filter((shape) => shape.id.startsWith("c"));
  if (exemplar.point) return shapeAt(candidates, { x: exemplar.point[0], y: exemplar.point[1] }) !== null;
  const drawn = boundsOf(exemplar);
  if (candidates.some((shape) => boxIoU(shape.bounds, drawn) >= MIN_MATCH_IOU)) return true;
  const held = candidates.filter(({ bounds }) => shared(bounds, drawn) >= WHOLLY * area(bounds));
  return held.length === 1 && boxIoU(held[0]!.bounds, drawn) >= LOOSE_IOU;
}

const area = ({ x1, y1, x2, y2 }: Bounds) => (x2 - x1) * (y2 - y1);

function shared(a: Bounds, b: Bounds): number {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  return Math.max(0, width) * Math.max(0, height);
}

function boxIoU(a: Bounds, b: Bounds): number {
  return shared(a, b) / (area(a) + area(b) - shared(a, b) || 1);
}

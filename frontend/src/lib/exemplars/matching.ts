/** Which candidate an example means: the rules of pipeline/ops/exemplars.py. Pure. */
import type { Exemplar } from "../api/types";
import { shapeAt, type Shape } from "../overlay/shapes";
import type { Bounds } from "../overlay/viewport";
import { boundsOf } from "./exemplars";

const MIN_MATCH_IOU = 0.3;

/** Return whether the engine had found something there: if not, the example says nothing to a recount. */
export function meansCandidate(exemplar: Exemplar, shapes: Shape[]): boolean {
  const candidates = shapes.filter((shape) => shape.id.startsWith("c"));
  if (exemplar.point) return shapeAt(candidates, { x: exemplar.point[0], y: exemplar.point[1] }) !== null;
  const drawn = boundsOf(exemplar);
  return candidates.some((shape) => boxIoU(shape.bounds, drawn) >= MIN_MATCH_IOU);
}

function boxIoU(a: Bounds, b: Bounds): number {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  const shared = Math.max(0, width) * Math.max(0, height);
  const area = ({ x1, y1, x2, y2 }: Bounds) => (x2 - x1) * (y2 - y1);
  return shared / (area(a) + area(b) - shared || 1);
}

/** Shows edits before the server has answered: the same rules as the server's, on the shapes in view. */
import type { Entry } from "./history";
import { centreOf, discShape, meantCandidate, shapeAt, typicalArea, type Shape } from "../overlay/shapes";

export interface Scene {
  counted: Shape[];
  rejected: Shape[];
}

/** Area of an object added where nothing is counted yet, as a share of the image. */
const DEFAULT_AREA_SHARE = 0.0025;

/** Return the scene with the unsaved entries applied in order; `imageArea` is in px. */
export function applyEntries(scene: Scene, entries: Entry[], imageArea: number): Scene {
  let { counted, rejected } = scene;
  for (const { edits, addedIds } of entries) {
    let nAdded = 0;
    for (const edit of edits) {
      if (edit.op === "remove") {
        const gone = counted.filter((shape) => shape.id === edit.object_id);
        counted = counted.filter((shape) => shape.id !== edit.object_id);
        rejected = [...rejected, ...gone.map((shape) => ({ ...shape, number: null, rejection: "human" }))];
      } else {
        const at = { x: edit.point[0], y: edit.point[1] };
        const id = addedIds[nAdded++] ?? "";
        const typical = typicalArea(counted) || DEFAULT_AREA_SHARE * imageArea;
        const real = meantCandidate(rejected, at, typical);
        rejected = rejected.filter((shape) => shape !== real);
        const added = real
          ? { ...real, id, number: null, rejection: "", source: "human" as const }
          : discShape(id, at, typical);
        counted = [...counted, added];
      }
    }
  }
  return { counted, rejected };
}

/** Return the ids the server gave to the objects that `entries` added, in the order of the adds. */
export function idsOfAdded(before: Shape[], after: Shape[], entries: Entry[]): string[] {
  const known = new Set(before.map((shape) => shape.id));
  let fresh = after.filter((shape) => !known.has(shape.id));
  const adds = entries.flatMap((entry) => entry.edits).filter((edit) => edit.op === "add");
  return adds.map(({ point: [x, y] }) => {
    const found = shapeAt(fresh, { x, y }) ?? nearest(fresh, x, y);
    fresh = fresh.filter((shape) => shape !== found);
    return found?.id ?? "";
  });
}

function nearest(shapes: Shape[], x: number, y: number): Shape | null {
  const distance = (shape: Shape) => Math.hypot(centreOf(shape).x - x, centreOf(shape).y - y);
  return shapes.reduce<Shape | null>((best, s) => (!best || distance(s) < distance(best) ? s : best), null);
}

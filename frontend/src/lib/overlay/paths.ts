/** Outlines as SVG paths, in as few elements as the browser draws fast. */
import { groupBy } from "./groupBy";
import { centreOf, type Shape } from "./shapes";
import type { Size } from "./viewport";

const SHAPES_A_CELL = 24;

/**
 * Return one path for each cell of a grid over the image, empty cells left out.
 *
 * One path for each of thousands of objects is slow to lay out; one for all is slow to draw, because each
 * tile of the screen strokes all of it. Neighbours together are fast at both.
 */
export function pathsOf(shapes: Shape[], { width, height }: Size): string[] {
  const cells = Math.max(1, Math.round(Math.sqrt(shapes.length / SHAPES_A_CELL)));
  const byCell = groupBy(shapes, (shape) => {
    const { x, y } = centreOf(shape);
    return Math.floor((x / width) * cells) + cells * Math.floor((y / height) * cells);
  });
  return [...byCell.values()].map(pathOf);
}

/** Return one SVG path for some outlines. */
export function pathOf(shapes: Shape[]): string {
  return shapes.map((shape) => subpath(shape)).join("");
}

function subpath({ polygon, bounds: { x1, y1, x2, y2 } }: Shape): string {
  if (polygon.length < 6) return `M${x1} ${y1}H${x2}V${y2}H${x1}Z`;
  return `M${polygon.join(" ")}Z`;
}

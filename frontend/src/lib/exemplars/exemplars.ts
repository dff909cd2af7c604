/** Examples of what to count, and of what not: boxes and points in the pixels of one photo. Pure. */
import type { Exemplar } from "../api/types";
import { tenth, type Bounds, type Point, type Size } from "../overlay/viewport";

/** Return the example that a drawn box is; null for one without a pixel in it. */
export function exemplarOfBox(
  { x1, y1, x2, y2 }: Bounds,
  fileId: string,
  positive: boolean,
): Exemplar | null {
  const [width, height] = [tenth(x2 - x1), tenth(y2 - y1)];
  if (width < 1 || height < 1) return null;
  return { file_id: fileId, positive, box: [tenth(x1), tenth(y1), width, height] };
}

/** Return the example that a click is. */
export const exemplarOfPoint = ({ x, y }: Point, fileId: string, positive: boolean): Exemplar => ({
  file_id: fileId,
  positive,
  point: [tenth(x), tenth(y)],
});

/** Return the box around an example; a point has one of no size. */
export function boundsOf({ box, point }: Exemplar): Bounds {
  const [x, y, width = 0, height = 0] = box ?? point ?? [0, 0];
  return { x1: x, y1: y, x2: x + width, y2: y + height };
}

export const isSamePlace = (a: Exemplar, b: Exemplar) =>
  a.file_id === b.file_id && JSON.stringify([a.box, a.point]) === JSON.stringify([b.box, b.point]);

/** Append an example; the same place shown before is replaced, so that it can change sides. */
export const withExemplar = (list: Exemplar[], added: Exemplar): Exemplar[] => [
  ...list.filter((one) => !isSamePlace(one, added)),
  added,
];

/** Return what to look at of a photo to recognise an example: the box, or the surroundings of the point. */
export function cropAround({ x1, y1, x2, y2 }: Bounds, { width, height }: Size): Bounds {
  const side = Math.max(1.3 * Math.max(x2 - x1, y2 - y1), x2 - x1 ? 8 : 0.08 * Math.max(width, height));
  const [x, y] = [(x1 + x2 - side) / 2, (y1 + y2 - side) / 2];
  return { x1: x, y1: y, x2: x + side, y2: y + side };
}

/** Return the words for a list of examples: `2 like this, 1 not`. */
export function describeExemplars(list: Exemplar[]): string {
  const liked = list.filter((one) => one.positive).length;
  const parts = [
    liked && `${liked} like this`,
    list.length - liked && `${list.length - liked} not like this`,
  ];
  return parts.filter(Boolean).join(", ");
}

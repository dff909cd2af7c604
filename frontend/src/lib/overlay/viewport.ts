/** Where an image lies on the stage: screen = image × scale + offset. All functions are pure. */

export interface Point {
  x: number;
  y: number;
}
export interface Size {
  width: number;
  height: number;
}
/** Corners in image pixels. */
export interface Bounds {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}
export interface Viewport extends Point {
  /** Screen pixels an image pixel takes. */
  scale: number;
}

/** Round image pixels as precisely as places are sent. */
export const tenth = (px: number) => Math.round(px * 10) / 10;

export const MAX_SCALE = 32;
const MARGIN_PX = 64;

/** Return the viewport that shows the whole image in the middle of the stage. */
export function fit(image: Size, stage: Size): Viewport {
  const scale = Math.min(stage.width / image.width, stage.height / image.height) || 1;
  return {
    scale,
    x: (stage.width - image.width * scale) / 2,
    y: (stage.height - image.height * scale) / 2,
  };
}

/** Return the image pixel under a point of the stage. */
export function toImage(view: Viewport, at: Point): Point {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale };
}

/** Return the point of the stage where an image pixel is drawn. */
export function toScreen(view: Viewport, at: Point): Point {
  return { x: at.x * view.scale + view.x, y: at.y * view.scale + view.y };
}

/** Return the box between two corners in any order, in tenths of a pixel, cut at the image's edges. */
export function boxBetween(a: Point, b: Point, { width, height }: Size): Bounds {
  const within = (value: number, most: number) => Math.round(10 * Math.min(most, Math.max(0, value))) / 10;
  return {
    x1: within(Math.min(a.x, b.x), width),
    y1: within(Math.min(a.y, b.y), height),
    x2: within(Math.max(a.x, b.x), width),
    y2: within(Math.max(a.y, b.y), height),
  };
}

/** Zoom by `factor` so that the image pixel under `at` stays where it is. */
export function zoomAt(view: Viewport, at: Point, factor: number, image: Size, stage: Size): Viewport {
  const least = Math.min(fit(image, stage).scale, 1);
  const scale = Math.min(MAX_SCALE, Math.max(least, view.scale * factor));
  const ratio = scale / view.scale;
  const moved = { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
  return keepInSight(moved, image, stage);
}

/** Move the image by screen pixels. */
export function panBy(view: Viewport, dx: number, dy: number, image: Size, stage: Size): Viewport {
  return keepInSight({ ...view, x: view.x + dx, y: view.y + dy }, image, stage);
}

/** Follow two fingers: the image pixels under them stay under them. */
export function pinch(
  view: Viewport,
  before: [Point, Point],
  after: [Point, Point],
  image: Size,
  stage: Size,
): Viewport {
  const [from, to] = [middle(before), middle(after)];
  const factor = distance(after) / Math.max(1, distance(before));
  const moved = { ...view, x: view.x + to.x - from.x, y: view.y + to.y - from.y };
  return zoomAt(moved, to, factor, image, stage);
}

/** Put an image pixel in the middle of the stage. */
export function centreOn(view: Viewport, at: Point, image: Size, stage: Size): Viewport {
  const x = stage.width / 2 - at.x * view.scale;
  const y = stage.height / 2 - at.y * view.scale;
  return keepInSight({ ...view, x, y }, image, stage);
}

/** An image smaller than the stage is centred; a larger one may leave at most a margin empty. */
function keepInSight(view: Viewport, image: Size, stage: Size): Viewport {
  const along = (offset: number, length: number, room: number) => {
    if (length <= room) return (room - length) / 2;
    return Math.min(MARGIN_PX, Math.max(room - length - MARGIN_PX, offset));
  };
  return {
    scale: view.scale,
    x: along(view.x, image.width * view.scale, stage.width),
    y: along(view.y, image.height * view.scale, stage.height),
  };
}

const middle = ([a, b]: [Point, Point]): Point => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
const distance = ([a, b]: [Point, Point]): number => Math.hypot(a.x - b.x, a.y - b.y);

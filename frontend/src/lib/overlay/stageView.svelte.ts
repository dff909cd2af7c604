/** State of the stage: its size, and where the photo lies on it. */
import * as viewport from "./viewport";
import type { Bounds, Point, Size, Viewport } from "./viewport";

const KEY_STEP_PX = 60;
const KEY_ZOOM = 1.4;

export class StageView {
  stage = $state<Size>({ width: 0, height: 0 });
  /** Where a person moved the photo; null shows all of it, however large the stage is. */
  private moved = $state.raw<Viewport | null>(null);
  view = $derived.by<Viewport>(() => this.moved ?? viewport.fit(this.image(), this.stage));
  /** Whether all of the photo is shown: then there is nothing to move. */
  isWhole = $derived.by<boolean>(() => this.view.scale <= viewport.fit(this.image(), this.stage).scale);
  middle = $derived<Point>({ x: this.stage.width / 2, y: this.stage.height / 2 });

  /** Where the stage is on the page, while it is. */
  element: HTMLElement | null = null;

  constructor(private readonly image: () => Size) {}

  /** Give the stage the focus, when what had it goes away. */
  focus(): void {
    this.element?.focus({ preventScroll: true });
  }

  get hasFocus(): boolean {
    return this.element !== null && document.activeElement === this.element;
  }

  fit(): void {
    this.moved = null;
  }

  zoom(factor: number, at: Point = this.middle): void {
    this.moved = viewport.zoomAt(this.view, at, factor, this.image(), this.stage);
  }

  pan(dx: number, dy: number): void {
    this.moved = viewport.panBy(this.view, dx, dy, this.image(), this.stage);
  }

  pinch(before: [Point, Point], after: [Point, Point]): void {
    this.moved = viewport.pinch(this.view, before, after, this.image(), this.stage);
  }

  /** Bring an image pixel into the middle, unless the whole photo is in view. */
  show(at: Point): void {
    if (this.moved) this.moved = viewport.centreOn(this.view, at, this.image(), this.stage);
  }

  /** Return the box between two image points, cut at the photo's edges. */
  boxBetween(a: Point, b: Point): Bounds {
    return viewport.boxBetween(a, b, this.image());
  }

  /** Return the image point under a point of the stage, also beside the photo. */
  imagePoint(at: Point): Point {
    return viewport.toImage(this.view, at);
  }

  /** Return the image pixel under a point of the stage, null beside the photo. */
  pixelAt(at: Point): Point | null {
    const { x, y } = this.imagePoint(at);
    const { width, height } = this.image();
    return x >= 0 && y >= 0 && x < width && y < height ? { x, y } : null;
  }

  /** Move or zoom as a key says; returns whether it was one of these keys. */
  press(key: string): boolean {
    const keys: Record<string, () => void> = {
      "+": () => this.zoom(KEY_ZOOM),
      "=": () => this.zoom(KEY_ZOOM),
      "-": () => this.zoom(1 / KEY_ZOOM),
      "0": () => this.fit(),
      ArrowLeft: () => this.pan(KEY_STEP_PX, 0),
      ArrowRight: () => this.pan(-KEY_STEP_PX, 0),
      ArrowUp: () => this.pan(0, KEY_STEP_PX),
      ArrowDown: () => this.pan(0, -KEY_STEP_PX),
    };
    keys[key]?.();
    return key in keys;
  }
}

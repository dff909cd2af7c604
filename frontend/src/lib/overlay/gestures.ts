/** Wheel, drag, pinch and click on the stage, told as what they mean. */
import type { Attachment } from "svelte/attachments";
import type { Point } from "./viewport";

interface Gestures {
  click: (at: Point) => void;
  pan: (dx: number, dy: number) => void;
  zoom: (factor: number, at: Point) => void;
  hover: (at: Point | null) => void;
  pinch: (before: [Point, Point], after: [Point, Point]) => void;
  /** Whether a drag draws now; otherwise it pans. */
  isDrawing: () => boolean;
  /** A drag from one point to another; `to` is null when it became something else. */
  draw: (from: Point, to: Point | null, isDone: boolean) => void;
}

const CLICK_SLOP_PX = 5;
const WHEEL_SPEED = 0.0016;

/** Return an attachment that listens on the stage; points are in stage pixels. */
export function stageGestures(on: Gestures): Attachment<HTMLElement> {
  return (stage) => {
    const fingers = new Map<number, Point>();
    let start: Point | null = null;
    let drawn: { from: Point; to: Point } | null = null;
    let hasDrawn = false;
    const place = (event: MouseEvent): Point => {
      const { left, top } = stage.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    const isControl = (event: Event) => (event.target as Element).closest("button") !== null;

    function down(event: PointerEvent) {
      hasDrawn = false;
      if (event.button !== 0 || isControl(event)) return;
      stage.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, place(event));
      start = fingers.size === 1 ? place(event) : null;
      endDrawing(false);
    }

    function endDrawing(isDone: boolean) {
      if (drawn) on.draw(drawn.from, isDone ? drawn.to : null, isDone);
      hasDrawn ||= drawn !== null;
      drawn = null;
    }

    function move(event: PointerEvent) {
      const before = fingers.get(event.pointerId);
      const at = place(event);
      if (!before) return on.hover(isControl(event) ? null : at);
      if (start && Math.hypot(at.x - start.x, at.y - start.y) <= CLICK_SLOP_PX) return;
      if (start && on.isDrawing()) drawn = { from: start, to: at };
      start = null;
      if (drawn) {
        drawn.to = at;
        on.draw(drawn.from, at, false);
        return;
      }
      if (fingers.size === 2) {
        const from = [...fingers.values()] as [Point, Point];
        fingers.set(event.pointerId, at);
        on.pinch(from, [...fingers.values()] as [Point, Point]);
        return;
      }
      fingers.set(event.pointerId, at);
      if (fingers.size === 1) on.pan(at.x - before.x, at.y - before.y);
    }

    function up(event: PointerEvent) {
      if (!fingers.delete(event.pointerId)) return;
      if (start && event.type === "pointerup") on.click(start);
      endDrawing(event.type === "pointerup");
      start = null;
    }

    function wheel(event: WheelEvent) {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      on.zoom(Math.exp(-event.deltaY * lines * WHEEL_SPEED * (event.ctrlKey ? 5 : 1)), place(event));
    }

    /** Two fingers zoom; without this the page may scroll under them instead. */
    function touch(event: TouchEvent) {
      if (event.touches.length > 1 && event.cancelable) event.preventDefault();
    }

    /** What a finger drew within a few px is a tap to the browser, too: on the button of what was drawn. */
    function lift(event: TouchEvent) {
      if (hasDrawn && event.cancelable) event.preventDefault();
    }

    const stop = new AbortController();
    const { signal } = stop;
    stage.addEventListener("pointerdown", down, { signal });
    stage.addEventListener("pointermove", move, { signal });
    stage.addEventListener("pointerup", up, { signal });
    stage.addEventListener("pointercancel", up, { signal });
    stage.addEventListener("pointerleave", () => on.hover(null), { signal });
    stage.addEventListener("wheel", wheel, { signal, passive: false });
    stage.addEventListener("touchstart", touch, { signal, passive: false });
    stage.addEventListener("touchmove", touch, { signal, passive: false });
    stage.addEventListener("touchend", lift, { signal, passive: false });
    return () => stop.abort();
  };
}

/** The box a person is drawing: by a drag, or from the keyboard by one corner and then the other. */
import type { StageView } from "./stageView.svelte";
import type { Bounds, Point } from "./viewport";

export class Band {
  private from = $state.raw<Point | null>(null);
  /** The moving corner; null while the middle of the stage is it. */
  private to = $state.raw<Point | null>(null);
  box = $derived<Bounds | null>(this.between());

  constructor(private readonly stage: StageView) {}

  /** Follow a drag between points of the stage, null when it was given up; returns the finished box. */
  drag(from: Point, to: Point | null, isDone: boolean): Bounds | null {
    this.from ??= this.stage.imagePoint(from);
    this.to = to && this.stage.imagePoint(to);
    return this.finish(isDone || to === null, isDone);
  }

  /** Put the first corner in the middle of the stage, or the second one; returns the finished box. */
  corner(): Bounds | null {
    if (this.from) return this.finish(true, true);
    this.from = this.stage.imagePoint(this.stage.middle);
    return null;
  }

  /** Give up; returns whether there was something to give up. */
  cancel(): boolean {
    const wasDrawing = this.from !== null;
    [this.from, this.to] = [null, null];
    return wasDrawing;
  }

  private finish(isOver: boolean, isDone: boolean): Bounds | null {
    const box = isDone ? this.box : null;
    if (isOver) this.cancel();
    return box;
  }

  private between(): Bounds | null {
    const { stage, from, to } = this;
    return from && stage.boxBetween(from, to ?? stage.imagePoint(stage.middle));
  }
}

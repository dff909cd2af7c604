/** State of one counted image under correction: what the server knows, unsaved edits, and a preview. */
import { correct, getImageResult, revertCorrection } from "../api/jobs";
import { ApiError } from "../api/client";
import type { CorrectionAnswer, ImageResult, JobImage, RecountedImage } from "../api/types";
import { applyEntries, idsOfAdded, type Scene } from "../edits/applyEdits";
import * as history from "../edits/history";
import { countedAlready, shapeAt, shapeOfDetection, shapeOfRejected, type Shape } from "../overlay/shapes";
import type { Point } from "../overlay/viewport";

/** Long enough that even steady clicking stays below the server's rate limit. */
const SAVE_AFTER_MS = 800;
const MAX_CONFLICTS = 3;

export class ImageSession {
  result = $state.raw<ImageResult | null>(null);
  edits = $state.raw(history.emptyHistory);
  preview = $state.raw<RecountedImage | null>(null);
  selectedId = $state<string | null>(null);
  isSaving = $state(false);
  error = $state.raw<unknown>(null);
  message = $state("");

  unsaved = $derived(this.edits.done.filter((entry) => entry.correctionId === null));
  scene = $derived.by<Scene>(() => this.currentScene());
  selected = $derived(this.allShapes().find((shape) => shape.id === this.selectedId) ?? null);
  canUndo = $derived(this.edits.done.length > 0);
  canRedo = $derived(this.edits.undone.length > 0);
  count = $derived(this.countInView());

  private nextLocal = 0;
  private conflicts = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private work: Promise<void> = Promise.resolve();

  constructor(
    readonly jobId: string,
    readonly fileId: string,
    private readonly onSaved: (values: Partial<JobImage>) => void,
  ) {}

  async load(signal?: AbortSignal): Promise<void> {
    try {
      this.result = await getImageResult(this.jobId, this.fileId, signal);
      this.error = null;
    } catch (error) {
      if (!signal?.aborted) this.error = error;
    }
  }

  /** Do again what failed: load, or save what is not saved. */
  retry(): Promise<void> {
    return this.result ? this.flush() : this.load();
  }

  /** Count an object at an image pixel; on a rejected candidate that one is counted. */
  add({ x, y }: Point): void {
    const id = `local:${this.nextLocal++}`;
    const point: [number, number] = [Math.round(x * 10) / 10, Math.round(y * 10) / 10];
    this.change(history.record(this.edits, [{ op: "add", point }], [id]));
    this.selectedId = null;
    this.message = "Added one object.";
  }

  remove(objectId: string): void {
    this.change(history.record(this.edits, [{ op: "remove", object_id: objectId }]));
    if (this.selectedId === objectId) this.selectedId = null;
    this.message = "Removed one object.";
  }

  /** Add at a click, unless what lies there is counted already: that one is shown instead. */
  addAt(point: Point): void {
    const there = countedAlready(this.scene.counted, point);
    if (!there) return this.add(point);
    this.selectedId = there.id;
    this.message = "This one is counted already.";
  }

  /** Remove what a click meets; `tolerance` in image px helps with small objects. */
  removeAt(point: Point, tolerance: number): void {
    const hit = shapeAt(this.scene.counted, point, tolerance);
    if (hit) this.remove(hit.id);
    else this.message = "Nothing is counted there.";
  }

  /** Select the next or previous counted object and return it. */
  walk(step: 1 | -1): Shape | null {
    const { counted } = this.scene;
    const at = counted.findIndex((shape) => shape.id === this.selectedId);
    const next = at < 0 ? (step > 0 ? 0 : counted.length - 1) : (at + step + counted.length) % counted.length;
    this.selectedId = counted[next]?.id ?? null;
    return counted[next] ?? null;
  }

  redo(): void {
    this.change(history.redo(this.edits));
    this.message = "Repeated.";
  }

  /** Take back the last step; one that is saved already is reverted on the server. */
  undo(): Promise<void> {
    return this.enqueue(async () => {
      const step = history.undo(this.edits);
      if (step.revert) await revertCorrection(step.revert);
      this.edits = step.history;
      this.message = "Undone.";
      if (step.revert) await this.refresh();
      this.saveSoon();
    });
  }

  /** Save now what is not saved yet. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    return this.enqueue(() => this.saveAll());
  }

  private change(next: history.History): void {
    this.edits = next;
    this.saveSoon();
  }

  private saveSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), SAVE_AFTER_MS);
  }

  /** Run one task after the other, so that versions follow each other. */
  private enqueue(task: () => Promise<void>): Promise<void> {
    const run = async () => {
      this.isSaving = true;
      try {
        await task();
        this.error = null;
      } catch (error) {
        this.error = error;
      } finally {
        this.isSaving = false;
      }
    };
    this.work = this.work.then(run);
    return this.work;
  }

  private async saveAll(): Promise<void> {
    this.conflicts = 0;
    for (let batch = history.nextBatch(this.edits); batch.length; batch = history.nextBatch(this.edits)) {
      await this.saveBatch(batch);
    }
  }

  private async saveBatch(batch: history.Entry[]): Promise<void> {
    const before = this.result;
    if (!before) return;
    const edits = batch.flatMap((entry) => entry.edits);
    try {
      const place = { job_id: this.jobId, file_id: this.fileId, version: before.version };
      const answer = await correct({ ...place, edits });
      const ids = idsOfAdded(
        before.detections.map(shapeOfDetection),
        answer.detections.map(shapeOfDetection),
        batch,
      );
      this.edits = history.saved(this.edits, batch, answer.correction_id, ids);
      this.result = afterCorrection(before, answer);
      this.message = `Saved: ${answer.count}.`;
      this.tell();
    } catch (error) {
      await this.recover(error);
    }
  }

  /** After a conflict look at the newer count and try again; other refusals drop the unsaved edits. */
  private async recover(error: unknown): Promise<void> {
    if (!(error instanceof ApiError) || error.status === 0 || error.status >= 429) throw error;
    this.result = await getImageResult(this.jobId, this.fileId);
    if (error.code === "VERSION_CONFLICT" && ++this.conflicts < MAX_CONFLICTS) {
      this.message = "This image was changed elsewhere; your edits were applied to the newer count.";
      return;
    }
    this.edits = history.dropped(this.edits);
    throw error;
  }

  private async refresh(): Promise<void> {
    this.result = await getImageResult(this.jobId, this.fileId);
    this.tell();
  }

  private tell(): void {
    if (!this.result) return;
    const { count, count_source, version } = this.result;
    this.onSaved({ count, count_source, version });
  }

  private allShapes(): Shape[] {
    return [...this.scene.counted, ...this.scene.rejected];
  }

  private currentScene(): Scene {
    if (!this.result) return { counted: [], rejected: [] };
    const { detections, rejected, width, height } = this.result;
    const scene = { counted: detections.map(shapeOfDetection), rejected: rejected.map(shapeOfRejected) };
    if (this.preview) return previewScene(scene, this.preview);
    return applyEntries(scene, this.unsaved, width * height);
  }

  private countInView(): number {
    if (this.preview) return this.preview.count;
    if (this.unsaved.length) return this.scene.counted.length;
    return this.result?.count ?? 0;
  }
}

/** Return the result with a correction's answer in it; what it took out joins the rejected. */
function afterCorrection(before: ImageResult, answer: CorrectionAnswer): ImageResult {
  const { version, count, count_source, detections } = answer;
  const counted = new Set(detections.map((found) => found.object_id));
  const takenOut = before.detections
    .filter((found) => !counted.has(found.object_id))
    .map(({ object_id, confidence, bbox, segmentation }) => ({
      ...{ object_id, confidence, bbox, segmentation },
      reason: "human",
    }));
  const rejected = [...before.rejected, ...takenOut].filter(({ object_id }) => !counted.has(object_id));
  return { ...before, version, count, count_source, detections, rejected };
}

function previewScene(scene: Scene, preview: RecountedImage): Scene {
  const counted = new Set(preview.counted);
  const all = [...scene.counted, ...scene.rejected];
  return {
    counted: all.filter((s) => counted.has(s.id)).map((s) => ({ ...s, rejection: "" })),
    rejected: all
      .filter((s) => !counted.has(s.id))
      .map((s) => ({ ...s, number: null, rejection: preview.rejected[s.id] ?? (s.rejection || "human") })),
  };
}

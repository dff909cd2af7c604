/** State of one counted image under correction: what the server knows, unsaved edits, and a preview. */
import { correct, getImageResult, listCorrections, revertCorrection } from "../api/jobs";
import { ApiError } from "../api/client";
import type { CorrectionAnswer, ImageResult, JobImage, RecountedImage } from "../api/types";
import { applyEntries, idsOfAdded, type Scene } from "../edits/applyEdits";
import * as history from "../edits/history";
import { countedAlready, shapeAt, shapeOfDetection, shapesOfFaint, type Shape } from "../overlay/shapes";
import type { Point } from "../overlay/viewport";
import { afterCorrection, previewScene, sceneOf } from "./scenes";

/** Long enough that even steady clicking stays below the server's rate limit. */
const SAVE_AFTER_MS = 800;
const MAX_CONFLICTS = 3;

/** Whether the same request may succeed later. */
const isPassing = ({ status }: ApiError) => status === 0 || status >= 429;

export class ImageSession {
  result = $state.raw<ImageResult | null>(null);
  edits = $state.raw(history.emptyHistory);
  selectedId = $state<string | null>(null);
  isSaving = $state(false);
  error = $state.raw<unknown>(null);
  message = $state("");

  unsaved = $derived(this.edits.done.filter((entry) => entry.correctionId === null));
  scene = $derived.by<Scene>(() => this.currentScene());
  /** What was seen too faintly to be a candidate, where nothing is counted now. */
  faint = $derived(shapesOfFaint(this.result?.faint ?? [], this.scene.counted));
  notCounted = $derived([...this.scene.rejected, ...this.faint]);
  selected = $derived(this.allShapes().find((shape) => shape.id === this.selectedId) ?? null);
  canUndo = $derived(this.edits.done.length > 0);
  /** Whether a person said how many there are: that number holds whatever is marked. */
  isNumber = $derived(this.edits.done.some((entry) => entry.isNumber));
  canRedo = $derived(this.edits.undone.length > 0);
  /** How other settings would count the image; while there is one it is shown, and nothing is edited. */
  preview = $derived.by(() => this.readPreview());
  /** Of what is alike, as the count in view has them. */
  groups = $derived((this.preview ?? this.result)?.groups ?? []);
  count = $derived(this.countInView());
  /** Of the count in view; nobody knows it before unsaved edits are saved. */
  interval = $derived(
    this.preview?.count_interval ?? (this.unsaved.length ? null : (this.result?.count_interval ?? null)),
  );

  private nextLocal = 0;
  private conflicts = 0;
  /** What the server refused of the edits that are being saved. */
  private refused: string[] = [];
  private nUndoing = 0;
  private hasFailedUndo = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private work: Promise<void> = Promise.resolve();

  constructor(
    readonly jobId: string,
    readonly fileId: string,
    private readonly onSaved: (values: Partial<JobImage>) => void,
    private readonly readPreview: () => RecountedImage | null = () => null,
  ) {}

  async load(signal?: AbortSignal): Promise<void> {
    try {
      const [result, corrections] = await Promise.all([
        getImageResult(this.jobId, this.fileId, signal),
        listCorrections(this.jobId, this.fileId, signal),
      ]);
      this.result = result;
      this.edits = history.historyOf(corrections);
      this.error = null;
    } catch (error) {
      if (!signal?.aborted) this.error = error;
    }
  }

  /** Do again what failed: load, take back, or save what is not saved. */
  retry(): Promise<void> {
    if (this.hasFailedUndo) return this.undo();
    return this.result ? this.flush() : this.load();
  }

  /** Count an object at an image pixel; on a rejected candidate that one is counted. */
  add({ x, y }: Point): void {
    const id = `local:${this.nextLocal++}`;
    const point: [number, number] = [Math.round(x * 10) / 10, Math.round(y * 10) / 10];
    this.change((edits) => history.record(edits, [{ op: "add", point }], [id]));
    this.selectedId = null;
    this.message = "Added one object.";
  }

  remove(objectId: string): void {
    this.change((edits) => history.record(edits, [{ op: "remove", object_id: objectId }]));
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

  /** Select the next or previous of the shapes in view and return it. */
  walk(step: 1 | -1, shapes: Shape[]): Shape | null {
    const at = shapes.findIndex((shape) => shape.id === this.selectedId);
    const next = at < 0 ? (step > 0 ? 0 : shapes.length - 1) : (at + step + shapes.length) % shapes.length;
    this.selectedId = shapes[next]?.id ?? null;
    return shapes[next] ?? null;
  }

  redo(): void {
    this.change(history.redo);
    this.message = "Repeated.";
  }

  /** Take back the last step; one that is saved already is reverted on the server. */
  async undo(): Promise<void> {
    this.nUndoing++;
    this.hasFailedUndo = false;
    await this.enqueue(() => this.undoLast().finally(() => this.nUndoing--));
  }

  private async undoLast(): Promise<void> {
    const step = history.undo(this.edits);
    if (step.revert) await this.revert(step.revert);
    this.edits = step.history;
    this.message = `Undone: ${this.count}.`;
    this.saveSoon();
  }

  /** State the number of objects, whatever the outlines say. */
  setCount(count: number): Promise<void> {
    this.change((edits) => history.recordNumber(edits, count));
    return this.flush();
  }

  /** Save now what is not saved yet. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    return this.enqueue(() => this.saveAll());
  }

  /** Do one step more; while another is taken back it waits, so that neither is lost. */
  private change(step: (edits: history.History) => history.History): void {
    if (this.nUndoing) return void this.work.then(() => this.change(step));
    this.hasFailedUndo = false;
    this.edits = step(this.edits);
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
    const refused = this.refused.splice(0);
    if (refused.length) throw new Error(`Not saved: ${refused.join("; ")}.`);
  }

  private async saveBatch(batch: history.Entry[]): Promise<void> {
    const before = this.result;
    if (!before) return;
    const edits = batch.flatMap((entry) => entry.edits);
    try {
      const place = { job_id: this.jobId, file_id: this.fileId, version: before.version };
      const count = batch[0]?.count;
      const answer = await correct({ ...place, ...(count === undefined ? { edits } : { count }) });
      const ids = idsOfAdded(
        before.detections.map(shapeOfDetection),
        answer.detections.map(shapeOfDetection),
        batch,
      );
      this.edits = history.saved(this.edits, batch, answer.correction_id, ids);
      this.takeOver(answer);
    } catch (error) {
      await this.recover(error, batch);
    }
  }

  /** After a conflict look at the newer count and try again; drop the edits that the server names, and no other. */
  private async recover(error: unknown, batch: history.Entry[]): Promise<void> {
    if (!(error instanceof ApiError) || isPassing(error)) throw error;
    this.result = await getImageResult(this.jobId, this.fileId);
    if (error.code === "VERSION_CONFLICT" && ++this.conflicts < MAX_CONFLICTS) {
      this.message = "This image was changed elsewhere; your edits were applied to the newer count.";
      return;
    }
    this.message = "Not saved.";
    const refused = history.refusedOf(batch, error.details);
    if (!refused.size) throw error;
    this.refused.push(...refused.values());
    this.edits = history.dropped(this.edits, [...refused.keys()]);
  }

  private async revert(correctionId: string): Promise<void> {
    try {
      await revertCorrection(correctionId);
    } catch (error) {
      this.hasFailedUndo = error instanceof ApiError && isPassing(error);
      await this.load(); // somebody else may have taken it back: start again from what holds now
      throw error;
    }
    this.result = await getImageResult(this.jobId, this.fileId);
    this.tell();
  }

  private takeOver(answer: CorrectionAnswer): void {
    if (this.result) this.result = afterCorrection(this.result, answer);
    this.message = `Saved: ${answer.count}.`;
    this.tell();
  }

  private tell(): void {
    if (!this.result) return;
    const { count, count_interval, count_source, by_type, needs_review, review_reason, version } =
      this.result;
    this.onSaved({ count, count_interval, count_source, by_type, needs_review, review_reason, version });
  }

  private allShapes(): Shape[] {
    return [...this.scene.counted, ...this.notCounted];
  }

  private currentScene(): Scene {
    if (!this.result) return { counted: [], rejected: [] };
    const { width, height } = this.result;
    const scene = sceneOf(this.result);
    if (this.preview) return previewScene(scene, this.preview);
    return applyEntries(scene, this.unsaved, width * height);
  }

  private countInView(): number {
    if (this.preview) return this.preview.count;
    const { count = 0, detections = [], width = 0, height = 0 } = this.result ?? {};
    const said = this.unsaved.findLastIndex((entry) => entry.count !== undefined);
    if (!this.result || said < 0) return Math.max(0, count + this.scene.counted.length - detections.length);
    const marked = applyEntries(sceneOf(this.result), this.unsaved.slice(0, said), width * height).counted;
    return Math.max(0, (this.unsaved[said]?.count ?? 0) + this.scene.counted.length - marked.length);
  }
}

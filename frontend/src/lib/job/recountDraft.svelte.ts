/** Other ways to count a job that a person tries out: previewed on the photo in view, then applied. */
import { applyRecount, recount, versionsOf, type RecountRequest } from "../api/jobs";
import type { CountConfig, Exemplar, JobImage, RecountedImage } from "../api/types";
import { withExemplar } from "../exemplars/exemplars";
import { changeOfExemplars, mergedConfig, onlyPhotoOf, valuesOf, withChange } from "./changes";
import * as drafts from "./drafts";
import { PreviewRunner } from "./previewRunner";

export class RecountDraft {
  changes = $state.raw<CountConfig>({});
  previews = $state.raw<RecountedImage[]>([]);
  isBusy = $state(false);
  error = $state.raw<unknown>(null);
  config = $derived.by(() => mergedConfig(this.base(), this.changes));
  exemplars = $derived(this.config.exemplars ?? []);
  /** Those that a person drew, and how many come from corrections. */
  drawn = $derived(this.exemplars.filter((one) => !one.corrected));
  nLearned = $derived(this.exemplars.length - this.drawn.length);
  /** Whether single photos lose what they alone learned from corrections: a recount that names examples does that. */
  forgetsLessons = $derived.by(
    () => this.changes.exemplars !== undefined && !this.base().exemplars?.some((one) => one.corrected),
  );
  isDirty = $derived(Object.keys(this.changes).length > 0);
  /** The photo that it is applied to, where it is about one alone; null for all. */
  only = $derived.by(() => onlyPhotoOf(this.base(), this.changes));

  canUndo = $derived.by(() => this.past.length > 0);
  /** Whether Undo is about these changes, not about the corrections below them. */
  takesUndo = $derived(this.isDirty || this.canUndo);

  private past = $state.raw<CountConfig[]>([]);
  /** The changes that bring back the settings before those applied last; put away once, they stay away. */
  private former: CountConfig = {};
  private fileId = "";
  private readonly runner = new PreviewRunner(
    (signal) => this.previewInView(signal),
    (failure) => (this.error = failure),
  );

  /**
   * @param jobId of the job that is counted again.
   * @param base returns the config that its count was made with.
   */
  constructor(
    private readonly jobId: string,
    private readonly base: () => CountConfig,
  ) {
    this.changes = drafts.read(jobId);
  }

  /** Return how the photo would be counted, null without changes. */
  previewOf(fileId: string): RecountedImage | null {
    return this.previews.find((image) => image.file_id === fileId) ?? null;
  }

  /** Say which photo is in view, so that it is the one that is previewed. */
  look(fileId: string): void {
    this.fileId = fileId;
    if (this.isDirty && !this.previewOf(fileId)) this.runner.request();
  }

  /** Change more; drawn examples and regions and said groups are steps that can be taken back. */
  set(more: CountConfig): void {
    if (more.exemplars || more.groups || more.roi) this.past = [...this.past, this.changes];
    this.change(withChange(this.base(), this.changes, more));
    this.refresh();
  }

  /** Show the preview anew: the changes, or the saved count below them, are others now. */
  refresh(): void {
    if (!this.isDirty) return this.clear();
    this.previews = this.previews.filter((image) => image.file_id === this.fileId);
    this.runner.request();
  }

  undo(): void {
    const before = this.past.at(-1);
    if (!before) return;
    this.past = this.past.slice(0, -1);
    this.change(before);
    this.refresh();
  }

  /** Put all changes away; undo brings them back. */
  discard(): void {
    if (this.isDirty && this.changes !== this.former) this.past = [...this.past, this.changes];
    this.clear();
  }

  /** Undo goes no further back: something else was done since. */
  settle(): void {
    this.past = [];
  }

  private clear(): void {
    this.runner.stop();
    this.change({});
    [this.previews, this.error] = [[], null];
  }

  private change(changes: CountConfig): void {
    this.changes = changes;
    drafts.keep(this.jobId, changes);
  }

  add(exemplar: Exemplar): void {
    this.set(changeOfExemplars(this.base(), withExemplar(this.exemplars, exemplar)));
  }

  removeExemplar(gone: Exemplar): void {
    this.keepExemplars((one) => one !== gone);
  }

  /** Leave out the examples that come from corrections. */
  unlearn(): void {
    this.keepExemplars((one) => !one.corrected);
  }

  private keepExemplars(isKept: (exemplar: Exemplar) => boolean): void {
    this.set(changeOfExemplars(this.base(), this.exemplars.filter(isKept)));
  }

  /** Find out what changes in every photo; that of the photo in view, if it is still to come, is among it. */
  previewAll(): Promise<void> {
    this.runner.stop();
    return this.run(() => this.preview({}));
  }

  /**
   * Count all photos, or the only one that this is about, like this from now on, unless somebody changed what
   * is in view; `reload` fetches what holds then. Undo tries the former settings.
   */
  apply(images: JobImage[], reload: () => Promise<unknown>): Promise<void> {
    this.runner.stop();
    return this.run(async () => {
      const before = valuesOf(this.base(), this.changes);
      const versions = versionsOf(...images, ...this.previews);
      const which = this.only ? { file_id: this.only, from_job_config: true } : {};
      await applyRecount(this.jobId, { config: this.changes, versions, ...which }, async () => {
        await reload();
        await this.previewInView();
      });
      await reload();
      this.clear();
      this.former = withChange(this.base(), {}, before);
      this.past = Object.keys(this.former).length ? [this.former] : [];
    });
  }

  private previewInView(signal?: AbortSignal): Promise<void> {
    return this.preview({ file_id: this.fileId, from_job_config: true }, signal);
  }

  private async preview(which: Partial<RecountRequest>, signal?: AbortSignal): Promise<void> {
    const asked = this.changes;
    const answer = await recount(this.jobId, { config: asked, dry_run: true, ...which }, signal);
    if (asked !== this.changes) return;
    [this.previews, this.error] = [answer.images, null];
  }

  private async run(task: () => Promise<void>): Promise<void> {
    this.isBusy = true;
    try {
      await task();
    } catch (failure) {
      this.error = failure;
    } finally {
      this.isBusy = false;
    }
  }
}

/** State of the job page: the job, its live progress, and what went wrong. */
import { ApiError } from "../api/client";
import { getJob } from "../api/jobs";
import type { Job, JobImage } from "../api/types";
import { isTerminal, jobStream, type JobEvent } from "../events/jobStream";
import { totalInterval } from "./totals";

export interface Progress {
  percentage: number;
  stage: string | null;
  estimatedEnd: string | null;
}

const RELOAD_AFTER_MS = 2000;

export class JobView {
  job = $state.raw<Job | null>(null);
  progress = $state.raw<Progress>({ percentage: 0, stage: null, estimatedEnd: null });
  error = $state.raw<unknown>(null);
  isMissing = $derived(this.error instanceof ApiError && this.error.code === "JOB_NOT_FOUND");
  isLive = $derived(this.job !== null && !isTerminal(this.job.status));

  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly id: string) {}

  /** Load the job, then follow it to its end; returns when there is nothing more to follow. */
  async follow(signal: AbortSignal): Promise<void> {
    try {
      await this.reload(signal);
      if (!this.isLive) return;
      for await (const event of jobStream(this.id, { signal })) this.apply(event);
      if (!signal.aborted) await this.reload(signal);
    } catch (error) {
      if (!signal.aborted) this.error = error;
    }
  }

  async reload(signal?: AbortSignal): Promise<void> {
    this.job = await getJob(this.id, signal);
    this.error = null;
  }

  private apply(event: JobEvent): void {
    if (!this.job) return;
    const { status, processed_images, count, percentage } = event.data;
    // A replayed event is older than the job we loaded: progress never goes back.
    if (processed_images >= this.job.processed_images) {
      const total = count === null || count === this.job.count ? {} : { count, count_interval: null };
      this.job = { ...this.job, status, processed_images, ...total };
      this.progress = { ...this.progress, percentage: Math.max(this.progress.percentage, percentage) };
    }
    switch (event.type) {
      case "stage.progress": {
        const { current_stage, estimated_completion } = event.data;
        this.progress = { ...this.progress, stage: current_stage, estimatedEnd: estimated_completion };
        break;
      }
      case "image.completed": {
        const { file_id, image_count, count_interval, needs_review, annotated_url, thumbnail_url } =
          event.data;
        if (this.isCounted(file_id)) break; // replayed: a person may have corrected it since
        const known = { status: "completed", count: image_count, count_interval, needs_review } as const;
        this.updateImage(file_id, known, { annotated: annotated_url, thumbnail: thumbnail_url });
        break;
      }
      case "image.failed":
        this.updateImage(event.data.file_id, { status: "failed", error: event.data.error });
        break;
      case "job.queued":
      case "job.processing":
      case "job.completed":
      case "job.failed":
      case "job.cancelled":
        break;
      default:
        throw new ApiError(0, "UNKNOWN", `unknown event ${JSON.stringify(event satisfies never)}`);
    }
  }

  /** Take over what a correction changed now, and what follows from it (pictures, review) a little later. */
  corrected(fileId: string, values: Partial<JobImage>): void {
    this.updateImage(fileId, values);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.reload().catch((error) => (this.error = error)), RELOAD_AFTER_MS);
  }

  private isCounted(fileId: string): boolean {
    return this.job?.images.some((i) => i.file_id === fileId && i.status === "completed") ?? false;
  }

  /** Take over new facts about one image, and add up the job's count and its interval again. */
  private updateImage(fileId: string, values: Partial<JobImage>, urls: Partial<JobImage["urls"]> = {}): void {
    if (!this.job) return;
    const images = this.job.images.map((image) =>
      image.file_id === fileId ? { ...image, ...values, urls: { ...image.urls, ...urls } } : image,
    );
    const count = images.reduce((sum, i) => sum + (i.count ?? 0), 0);
    const count_interval = totalInterval(images.map((i) => i.count_interval));
    this.job = { ...this.job, images, count, count_interval };
  }
}

/** The offer to count the other photos of a job by what was corrected in one. */
import { applyRecount, recount, versionsOf } from "../api/jobs";
import type { JobImage, RecountAnswer } from "../api/types";

export class CorrectionsOffer {
  /** What it would change, once a person asked. */
  answer = $state.raw<RecountAnswer | null>(null);
  isBusy = $state(false);
  error = $state.raw<unknown>(null);
  /** Corrected states of photos, as `file/version`, for which the offer was taken or turned down. */
  private settled = $state.raw<string[]>([]);

  constructor(private readonly jobId: string) {}

  /** Return whether this state of a photo is still worth an offer. */
  isOpen(fileId: string, version: number): boolean {
    return !this.settled.includes(`${fileId}/${version}`);
  }

  /** Find out what would change in the photos that no human touched. */
  preview(): Promise<void> {
    return this.run(() => this.look());
  }

  /** Change them, unless somebody changed what is in view; `reload` fetches what holds then. */
  apply(image: JobImage, images: JobImage[], reload: () => Promise<unknown>): Promise<void> {
    return this.run(async () => {
      const versions = versionsOf(...images, ...(this.answer?.images ?? []));
      await applyRecount(this.jobId, { from_corrections: true, versions }, async () => {
        await reload();
        await this.look();
      });
      await reload();
      this.dismiss(image.file_id, image.version);
    });
  }

  private async look(): Promise<void> {
    this.answer = await recount(this.jobId, { from_corrections: true, dry_run: true });
  }

  dismiss(fileId: string, version: number): void {
    this.settled = [...this.settled, `${fileId}/${version}`];
    [this.answer, this.error] = [null, null];
  }

  private async run(task: () => Promise<void>): Promise<void> {
    this.isBusy = true;
    this.error = null;
    try {
      await task();
    } catch (failure) {
      this.error = failure;
    } finally {
      this.isBusy = false;
    }
  }
}

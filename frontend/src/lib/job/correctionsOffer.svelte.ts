/** The offer to count the other photos of a job by what was corrected in one. */
import { applyRecount, recount, versionsOf } from "../api/jobs";
import type { JobImage, RecountAnswer } from "../api/types";

export class CorrectionsOffer {
  /** What it would change, once a person asked. */
  answer = $state.raw<RecountAnswer | null>(null);
  /** Photos of the answer that it is applied to; at first those whose new count nothing speaks against. */
  chosen = $state.raw<string[]>([]);
  isBusy = $state(false);
  error = $state.raw<unknown>(null);
  /** Corrected states of photos, as `file/version`, for which the offer was taken or turned down. */
  private settled = $state.raw<string[]>([]);
  private isChecked = $state(false);
  private checking: Promise<void> | null = null;

  constructor(private readonly jobId: string) {}

  /** Return whether this state of a photo is worth an offer. */
  isOpen(fileId: string, version: number): boolean {
    return this.isChecked && !this.settled.includes(`${fileId}/${version}`);
  }

  /**
   * Before anything is offered, find out once whether there is more to learn where photos learned before. Doubtful
   * ones that are left were left out.
   */
  check(images: JobImage[]): Promise<void> {
    return (this.checking ??= this.checkOnce(images));
  }

  private async checkOnce(images: JobImage[]): Promise<void> {
    try {
      const hasLearned = images.some((image) => image.from_corrections);
      if (hasLearned && (await this.ask()).images.every((image) => image.doubt)) this.settle(images);
    } catch {
      // whoever takes the offer is told
    }
    this.isChecked = true;
  }

  /** Find out what would change in the photos that no human touched. */
  preview(): Promise<void> {
    return this.run(() => this.look());
  }

  /** Say whether a photo of the answer is changed, too. */
  choose(fileId: string, isChosen: boolean): void {
    const others = this.chosen.filter((one) => one !== fileId);
    this.chosen = isChosen ? [...others, fileId] : others;
  }

  /** Change the chosen photos, unless somebody changed what is in view; `reload` fetches what holds then. */
  apply(images: JobImage[], reload: () => Promise<unknown>): Promise<void> {
    return this.run(async () => {
      const shown = this.answer?.images ?? [];
      const some = this.chosen.length < shown.length ? { file_ids: this.chosen } : {};
      const versions = versionsOf(...images, ...shown);
      await applyRecount(this.jobId, { from_corrections: true, ...some, versions }, async () => {
        await reload();
        await this.look();
      });
      await reload();
      this.settle(images);
    });
  }

  /** Offer no more for these states of photos. */
  settle(images: Pick<JobImage, "file_id" | "version">[]): void {
    this.settled = [...this.settled, ...images.map((image) => `${image.file_id}/${image.version}`)];
    [this.answer, this.chosen, this.error] = [null, [], null];
  }

  private async look(): Promise<void> {
    this.answer = await this.ask();
    this.chosen = this.answer.images.filter((image) => !image.doubt).map((image) => image.file_id);
  }

  private ask(): Promise<RecountAnswer> {
    return recount(this.jobId, { from_corrections: true, dry_run: true });
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

/** The photos a person has chosen, checked as they come. */
import type { ErrorDetail } from "../api/client";
import { checkFile, LIMITS, selectNew, UNSEEN, type CheckedFile } from "./checks";
import { plural } from "../ui/format";

export interface SelectedFile extends CheckedFile {
  key: number;
  /** Address of the local file for its thumbnail; null where browsers cannot show the format. */
  preview: string | null;
}

export class FileSelection {
  items = $state.raw<SelectedFile[]>([]);
  note = $state("");
  isChecking = $state(false);
  valid = $derived(this.items.filter((item) => item.problem === null));
  summary = $derived(this.describe());

  private nextKey = 0;
  private work: Promise<void> = Promise.resolve();

  /** Check and add files; those that are there already are left out. */
  add(files: File[]): Promise<void> {
    this.work = this.work.then(() => this.addNow(files));
    return this.work;
  }

  remove(key: number): void {
    const gone = this.items.find((item) => item.key === key);
    if (gone?.preview) URL.revokeObjectURL(gone.preview);
    this.items = this.items.filter((item) => item.key !== key);
    this.note = "";
  }

  /** Mark the files of these names with what the server found wrong with them, and return them. */
  refuse(problems: ErrorDetail[]): SelectedFile[] {
    const problemOf = (item: SelectedFile) => problems.find(({ filename }) => filename === item.file.name);
    const refused = this.valid.filter(problemOf);
    this.items = this.items.map((item) =>
      refused.includes(item) ? { ...item, problem: `Refused: ${problemOf(item)?.message}.` } : item,
    );
    return refused;
  }

  clear(): void {
    for (const { key } of this.items) this.remove(key);
  }

  private async addNow(files: File[]): Promise<void> {
    if (!files.length) return;
    const { accepted, left } = selectNew(
      this.items.map((item) => item.file),
      files,
    );
    this.isChecking = true;
    const checked = await Promise.all(accepted.map(checkFile));
    this.items = [...this.items, ...checked.map((item) => this.numbered(item))];
    this.isChecking = false;
    this.note = left ? `${plural(left, "file")} left out: one job takes at most ${LIMITS.files} photos.` : "";
  }

  private numbered(item: CheckedFile): SelectedFile {
    const canShow = item.problem === null && item.format !== null && !UNSEEN.includes(item.format);
    return { ...item, key: this.nextKey++, preview: canShow ? URL.createObjectURL(item.file) : null };
  }

  private describe(): string {
    if (!this.items.length) return "";
    const bad = this.items.length - this.valid.length;
    return plural(this.valid.length, "photo") + " ready" + (bad ? `, ${bad} cannot be used` : "");
  }
}

/** What is about to be counted, and its way to the server. */
import { ApiError, idempotencyKey } from "../api/client";
import type { Template } from "../api/types";
import { ChosenExamples, localId } from "../exemplars/chosenExamples.svelte";
import { plural } from "../ui/format";
import { FileSelection } from "./selection.svelte";
import { defaultSettings, toConfig, withTemplate } from "./settings";
import { submit, type Order } from "./submit";

export class NewJob {
  readonly selection = new FileSelection();
  examples = $state.raw(new ChosenExamples());
  template = $state.raw<Template | null>(null);
  settings = $state(defaultSettings());
  type = $state("");
  /** How much is sent, null while nothing is. */
  sentBytes = $state<number | null>(null);
  error = $state.raw<unknown>(null);

  private controller: AbortController | null = null;
  /** What was sent and may have arrived unanswered, with the key that makes it once. */
  private tried = { order: "", key: "" };

  /** Use a template, or none: its settings are shown, and can be changed. */
  choose(template: Template | null): void {
    this.settings = withTemplate(this.settings, this.template, template);
    this.template = template;
  }

  leaveOut(key: number): void {
    this.selection.remove(key);
    this.examples.forget(localId({ key }));
  }

  /** Return the id of the job that was started, and start anew; null when none was. */
  async send(): Promise<string | null> {
    const { selection, template, examples } = this;
    if (!selection.valid.length || this.sentBytes !== null) return null;
    const { signal } = (this.controller = new AbortController());
    [this.error, this.sentBytes] = [null, 0];
    try {
      const order = {
        photos: selection.valid,
        type: this.type.trim() || template?.type || "object",
        config: toConfig(this.settings, this.type, template),
        exemplars: examples.list,
      };
      const jobId = await submit(order, this.keyOf(order), (bytes) => (this.sentBytes = bytes), signal);
      this.clear();
      return jobId;
    } catch (failure) {
      if (!signal.aborted) this.error = this.markRefused(failure);
      return null;
    } finally {
      this.sentBytes = null;
    }
  }

  /** Return a key that is the same where the same is sent again. */
  private keyOf({ photos, ...rest }: Order): string {
    const order = JSON.stringify([photos.map(localId), rest]);
    if (order !== this.tried.order) this.tried = { order, key: idempotencyKey() };
    return this.tried.key;
  }

  stop(): void {
    this.controller?.abort();
  }

  /** Mark the photos that the server names in an error, and return what is left to say of it. */
  private markRefused(failure: unknown): unknown {
    if (!(failure instanceof ApiError)) return failure;
    const refused = this.selection.refuse(failure.details);
    if (!refused.length) return failure;
    for (const { key } of refused) this.examples.forget(localId({ key }));
    const message = `${plural(refused.length, "photo")} cannot be counted, as marked above. The others are not sent yet.`;
    return new ApiError(failure.status, failure.code, message, failure.requestId);
  }

  private clear(): void {
    this.selection.clear();
    this.examples = new ChosenExamples();
    this.tried = { order: "", key: "" };
    [this.template, this.settings, this.type] = [null, defaultSettings(), ""];
  }
}

/** Kept while the tab is open: other pages can be looked at before it is sent. */
export const newJob = new NewJob();

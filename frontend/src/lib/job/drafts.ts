/** Changes that were tried and not applied, kept while the tab is open: a reload must not lose what was drawn. */
import type { CountConfig } from "../api/types";

const keyOf = (jobId: string) => `tally.draft.${jobId}`;

export function read(jobId: string): CountConfig {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(jobId)) ?? "{}") as CountConfig;
  } catch {
    return {}; // private windows may refuse storage
  }
}

/** Keep the changes of a job; none are forgotten. */
export function keep(jobId: string, changes: CountConfig): void {
  try {
    if (Object.keys(changes).length) sessionStorage.setItem(keyOf(jobId), JSON.stringify(changes));
    else sessionStorage.removeItem(keyOf(jobId));
  } catch {
    // as above: they then last for this page
  }
}

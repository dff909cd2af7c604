/** Sends files with progress: fetch cannot report how much of a body has been sent, XMLHttpRequest can. */
import { API, ApiError, errorFromBody } from "./client";
import type { AcceptedJob, CountConfig, Upload } from "./types";

export interface NewJob {
  files: File[];
  type: string;
  config: CountConfig;
}

type OnProgress = (sentBytes: number) => void;

/**
 * Return the job the server accepted; `onProgress` hears the bytes of the body sent so far. Sent again with the same
 * `key` it is made once.
 */
export function createJob(
  job: NewJob,
  key: string,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<AcceptedJob> {
  const form = new FormData();
  form.append("type", job.type);
  form.append("config", JSON.stringify(job.config));
  for (const file of job.files) form.append("images", file, file.name);
  return sendForm("/jobs", form, key, onProgress, signal);
}

/** Store files without counting them yet; returns their ids, in order. `key` as above. */
export function uploadFiles(
  files: File[],
  key: string,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<Upload> {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  return sendForm("/inference/upload", form, key, onProgress, signal);
}

function sendForm<T>(
  path: string,
  form: FormData,
  key: string,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", API + path);
    request.setRequestHeader("Idempotency-Key", key);
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      if (request.status >= 400) return reject(errorFromBody(request.status, request.responseText));
      resolve((JSON.parse(request.responseText) as { data: T }).data);
    };
    request.onerror = () =>
      reject(
        new ApiError(0, "UNREACHABLE", "The upload was interrupted. Try again: no photo is counted twice."),
      );
    request.onabort = () => reject(new DOMException("The upload was stopped.", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

/** Return each file's share in [0, 1] when `sentBytes` of the files, sent in order, have left. */
export function shareOfEach(sizes: number[], sentBytes: number): number[] {
  let before = 0;
  return sizes.map((size) => {
    const share = size === 0 ? 1 : Math.min(1, Math.max(0, (sentBytes - before) / size));
    before += size;
    return share;
  });
}

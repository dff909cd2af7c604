/** A job's events as an async iterator: server-sent events, resumed where they broke, else polling. */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { API, ApiError, errorFromBody, get } from "../api/client";
import type { Failure, JobStatus, StatusAnswer } from "../api/types";

interface Facts {
  job_id: string;
  status: JobStatus;
  total_images: number;
  processed_images: number;
  percentage: number;
  count: number | null;
}
interface StageFacts extends Facts {
  file_id?: string | null;
  current_stage: string | null;
  estimated_completion: string | null;
}
interface ImageFacts extends Facts {
  file_id: string;
  filename: string;
  image_count: number;
  count_interval: [number, number] | null;
  needs_review: boolean;
  annotated_url: string | null;
  thumbnail_url: string | null;
}
export type JobEvent =
  | { type: "job.queued" | "job.processing" | "job.cancelled"; data: Facts }
  | { type: "stage.progress"; data: StageFacts }
  | { type: "image.completed"; data: ImageFacts }
  | { type: "image.failed"; data: Facts & { file_id: string; filename: string; error: Failure } }
  | { type: "job.completed"; data: Facts & { partial?: boolean; failed_images?: number } }
  | { type: "job.failed"; data: Facts & { error: Failure } };

const KNOWN: ReadonlySet<string> = new Set<JobEvent["type"]>([
  "job.queued",
  "job.processing",
  "job.cancelled",
  "stage.progress",
  "image.completed",
  "image.failed",
  "job.completed",
  "job.failed",
]);

export const isTerminal = (status: JobStatus) =>
  status === "completed" || status === "failed" || status === "cancelled";

interface StreamOptions {
  signal: AbortSignal;
  /** Wait before a broken stream is opened again; the server's `retry:` overrides it. */
  retryMs?: number;
  /** Time between two looks at /status while the stream does not work. */
  pollMs?: number;
  /** Silence after which a stream counts as broken; the server sends a heartbeat every 15 s. */
  stallMs?: number;
}

const POLLS_BEFORE_NEXT_TRY = 5;
const FAILURES_BEFORE_POLLING = 2;

/**
 * Yield the events of one job until its end.
 *
 * The last event is a terminal one, unless `signal` aborts first. Events may repeat facts already
 * known (replay), so whoever applies them must not add up.
 *
 * Throws ApiError when the server says that there is no such job.
 */
export async function* jobStream(jobId: string, options: StreamOptions): AsyncGenerator<JobEvent> {
  const { signal, pollMs = 2000, stallMs = 45_000 } = options;
  const cursor: Cursor = { lastId: "", retryMs: options.retryMs ?? 2000 };
  let failures = 0;
  while (!signal.aborted) {
    try {
      for await (const event of openStream(jobId, cursor, signal, stallMs)) {
        failures = 0;
        yield event;
        if (isTerminal(event.data.status) && event.type.startsWith("job.")) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 404) throw error;
    }
    failures += 1;
    if (failures < FAILURES_BEFORE_POLLING) await sleep(cursor.retryMs, signal);
    else if (yield* poll(jobId, pollMs, signal)) return;
  }
}

interface Cursor {
  lastId: string;
  retryMs: number;
}

async function* openStream(
  jobId: string,
  cursor: Cursor,
  signal: AbortSignal,
  stallMs: number,
): AsyncGenerator<JobEvent> {
  const stall = new AbortController();
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (cursor.lastId) headers["Last-Event-ID"] = cursor.lastId;
  const response = await fetch(`${API}/jobs/${jobId}/events`, {
    headers,
    signal: AbortSignal.any([signal, stall.signal]),
  });
  if (!response.ok || !response.body) throw errorFromBody(response.status, await response.text());
  const messages: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: (message) => messages.push(message),
    onRetry: (ms) => (cursor.retryMs = ms),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const timer = setTimeout(() => stall.abort(), stallMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      parser.feed(value);
      for (const message of messages.splice(0)) {
        if (message.id) cursor.lastId = message.id;
        if (message.event && KNOWN.has(message.event)) {
          yield { type: message.event, data: JSON.parse(message.data) } as JobEvent;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** Look at /status a few times; return true when the job has ended. */
async function* poll(jobId: string, pollMs: number, signal: AbortSignal): AsyncGenerator<JobEvent, boolean> {
  for (let n = 0; n < POLLS_BEFORE_NEXT_TRY && !signal.aborted; n++) {
    try {
      const event = eventOfStatus(await get<StatusAnswer>(`/jobs/${jobId}/status`, signal));
      yield event;
      if (isTerminal(event.data.status)) return true;
    } catch (error) {
      if (signal.aborted) return true;
      if (error instanceof ApiError && error.status === 404) throw error;
    }
    await sleep(pollMs, signal);
  }
  return signal.aborted;
}

/** Return the event that says what a /status answer says. */
export function eventOfStatus(answer: StatusAnswer): JobEvent {
  const { job_id, status, progress, summary, error } = answer;
  const { total_images, processed_images, percentage, current_stage, estimated_completion } = progress;
  const count = summary?.total_detections ?? null;
  const facts = { job_id, status, total_images, processed_images, percentage, count };
  switch (status) {
    case "queued":
    case "cancelled":
      return { type: `job.${status}`, data: facts };
    case "processing":
      return { type: "stage.progress", data: { ...facts, current_stage, estimated_completion } };
    case "completed":
      return { type: "job.completed", data: facts };
    case "failed":
      return {
        type: "job.failed",
        data: { ...facts, error: error ?? { code: "UNKNOWN", message: "The job failed." } },
      };
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

import { getEventListeners } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { StatusAnswer } from "../api/types";
import { serve } from "../testServer";
import { eventOfStatus, jobStream, type JobEvent } from "./jobStream";

// A real HTTP server that speaks the real stream; only the origin of relative addresses is added.
let endServer: () => void;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let requests: { url: string; lastId: string | undefined }[];

beforeEach(async () => {
  requests = [];
  endServer = await serve((request, response) => {
    requests.push({ url: request.url ?? "", lastId: request.headers["last-event-id"] as string | undefined });
    answer(request, response);
  });
});

afterEach(() => endServer());

const facts = {
  job_id: "job_1",
  status: "processing",
  total_images: 2,
  processed_images: 0,
  percentage: 0,
  count: 0,
};
const message = (id: number | null, event: string, more: object = {}) =>
  `${id === null ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify({ ...facts, ...more })}\n\n`;
const done = (id: number) => message(id, "job.completed", { status: "completed", processed_images: 2 });
const stream = (response: ServerResponse, text: string) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write(text);
};
const isStream = (request: IncomingMessage) => request.url?.endsWith("/events");

async function collect(options: Partial<Parameters<typeof jobStream>[1]> = {}): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  const signal = AbortSignal.timeout(5000);
  for await (const event of jobStream("job_1", { signal, retryMs: 5, pollMs: 5, ...options }))
    events.push(event);
  return events;
}
const typesOf = (events: JobEvent[]) => events.map((event) => event.type);

describe("jobStream", () => {
  it("leaves nothing behind of the waits that are over", async () => {
    const controller = new AbortController();
    const listening: number[] = [];
    vi.stubGlobal("fetch", () => {
      listening.push(getEventListeners(controller.signal, "abort").length);
      if (listening.length === 9) controller.abort();
      return Promise.resolve(new Response("", { status: 503 }));
    });
    await collect({ signal: controller.signal });
    expect(listening).toEqual(Array(9).fill(0));
  });
  it("yields the events of a job and ends after the terminal one", async () => {
    answer = (_, response) => {
      stream(response, message(1, "job.queued", { status: "queued" }) + ": heartbeat\n\n");
      response.write(
        message(null, "stage.progress", { current_stage: "segment" }) + done(2) + message(3, "job.queued"),
      );
    };
    expect(typesOf(await collect())).toEqual(["job.queued", "stage.progress", "job.completed"]);
  });

  it("resumes after the last event when the connection breaks", async () => {
    answer = (_, response) => {
      if (requests.length > 1) return stream(response, done(3));
      stream(response, "retry: 5\n" + message(2, "job.processing"));
      setTimeout(() => response.destroy(), 20);
    };
    expect(typesOf(await collect())).toEqual(["job.processing", "job.completed"]);
    expect(requests.map(({ lastId }) => lastId)).toEqual([undefined, "2"]);
  });

  it("reads an event that arrives in two pieces", async () => {
    answer = (_, response) => {
      const text = done(1);
      stream(response, text.slice(0, 31));
      setTimeout(() => response.write(text.slice(31)), 10);
    };
    expect(typesOf(await collect())).toEqual(["job.completed"]);
  });

  it("ignores events it does not know", async () => {
    answer = (_, response) => stream(response, message(1, "job.renamed") + done(2));
    expect(typesOf(await collect())).toEqual(["job.completed"]);
  });

  it("polls the status when no stream can be opened", async () => {
    answer = (request, response) => {
      if (isStream(request)) return response.writeHead(503).end();
      const polls = requests.filter(({ url }) => url.endsWith("/status")).length;
      response.end(JSON.stringify({ data: status(polls < 3 ? "processing" : "completed") }));
    };
    const events = await collect();
    expect(typesOf(events)).toEqual(["stage.progress", "stage.progress", "job.completed"]);
    expect(events.at(-1)?.data.count).toBe(24);
  });

  it("leaves a stream that has gone silent", async () => {
    answer = (_, response) => stream(response, requests.length > 1 ? done(1) : ": connected\n\n");
    expect(typesOf(await collect({ stallMs: 40 }))).toEqual(["job.completed"]);
    expect(requests).toHaveLength(2);
  });

  it("gives up on a job that does not exist", async () => {
    answer = (_, response) =>
      response
        .writeHead(404)
        .end(JSON.stringify({ error: { code: "JOB_NOT_FOUND", message: "no such job" } }));
    await expect(collect()).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  });

  it("ends quietly when nobody listens any more", async () => {
    answer = (_, response) => stream(response, message(1, "job.processing"));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 40);
    expect(typesOf(await collect({ signal: controller.signal }))).toEqual(["job.processing"]);
  });
});

const status = (state: StatusAnswer["status"]): StatusAnswer => ({
  ...{
    job_id: "job_1",
    status: state,
    partial: false,
    error: null,
    results_url: null,
    visualization_url: null,
  },
  ...{ created_at: "2026-01-01T00:00:00Z", started_at: null, completed_at: null },
  progress: {
    ...{ total_images: 2, processed_images: 1, percentage: 50 },
    ...{ current_stage: "segment", estimated_completion: null },
  },
  summary: {
    total_detections: 24,
    count_interval: [23, 25],
    average_confidence: 0.9,
    processing_time_seconds: 1,
  },
});

it("says with a polled status what a stream would say", () => {
  expect(eventOfStatus(status("queued")).type).toBe("job.queued");
  expect(eventOfStatus(status("processing"))).toMatchObject({
    type: "stage.progress",
    data: { current_stage: "segment" },
  });
  expect(eventOfStatus(status("failed"))).toMatchObject({
    type: "job.failed",
    data: { error: { code: "UNKNOWN" } },
  });
});

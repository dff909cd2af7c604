import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { JobView } from "./jobView.svelte";

// A real HTTP server with one live job: its first photo is counted and corrected, its second is not done yet.
const image = (file_id: string, status: string, count: number | null) => ({
  file_id,
  status,
  count,
  urls: {},
});
const JOB = { job_id: "job_1", status: "processing", total_images: 2, processed_images: 1, count: 5 };
const IMAGES = [image("img_1", "completed", 5), image("img_2", "processing", null)];
const realFetch = globalThis.fetch;
let server: Server;
let events: ServerResponse;
let follower: AbortController;
let view: JobView;

const send = (type: string, more: object) =>
  events.write(`event: ${type}\ndata: ${JSON.stringify({ ...JOB, percentage: 50, ...more })}\n\n`);
const completed = (file_id: string, image_count: number) =>
  send("image.completed", { ...{ file_id, image_count, count_interval: [1, 9], needs_review: true } });
const counts = () => view.job?.images.map((one) => one.count);

beforeEach(async () => {
  let opened: () => void;
  const isOpen = new Promise<void>((resolve) => (opened = resolve));
  server = createServer((request, response) => {
    if (!request.url?.endsWith("/events")) {
      return void response.end(JSON.stringify({ data: { ...JOB, images: IMAGES } }));
    }
    events = response.writeHead(200, { "Content-Type": "text/event-stream" });
    opened();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  vi.stubGlobal("fetch", (path: string, init?: RequestInit) => realFetch(origin + path, init));
  follower = new AbortController();
  view = new JobView("job_1");
  void view.follow(follower.signal);
  await isOpen;
});

afterEach(() => {
  follower.abort();
  vi.unstubAllGlobals();
  server.closeAllConnections();
  server.close();
});

it("takes over the count of a photo that is done", async () => {
  completed("img_2", 3);
  await vi.waitFor(() => expect(counts()).toEqual([5, 3]));
  expect(view.job?.count).toBe(8);
});

it("keeps what a person corrected when the events of before are told again", async () => {
  completed("img_1", 9);
  completed("img_2", 3);
  await vi.waitFor(() => expect(counts()?.[1]).toBe(3));
  expect(counts()).toEqual([5, 3]);
});

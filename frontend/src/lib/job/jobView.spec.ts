import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { serve } from "../testServer";
import { JobView } from "./jobView.svelte";

// A real HTTP server with one live job: its first photo is counted and corrected, its second is not done yet.
const image = (file_id: string, status: string, count: number | null) => ({
  file_id,
  status,
  count,
  count_interval: count === null ? null : [count - 1, count + 2],
  urls: {},
});
const JOB = {
  job_id: "job_1",
  status: "processing",
  total_images: 2,
  processed_images: 1,
  count: 5,
  count_interval: [4, 7],
};
const IMAGES = [image("img_1", "completed", 5), image("img_2", "processing", null)];
let endServer: () => void;
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
  endServer = await serve((request, response) => {
    if (!request.url?.endsWith("/events")) {
      return void response.end(JSON.stringify({ data: { ...JOB, images: IMAGES } }));
    }
    events = response.writeHead(200, { "Content-Type": "text/event-stream" });
    opened();
  });
  follower = new AbortController();
  view = new JobView("job_1");
  void view.follow(follower.signal);
  await isOpen;
});

afterEach(() => {
  follower.abort();
  endServer();
});

it("takes over the count of a photo that is done", async () => {
  completed("img_2", 3);
  await vi.waitFor(() => expect(counts()).toEqual([5, 3]));
  expect([view.job?.count, view.job?.count_interval]).toEqual([8, [5, 16]]);
});

it("adds up how sure the total is again when a photo is corrected", () => {
  view.corrected("img_1", { count: 6, count_interval: [6, 6] });
  expect([view.job?.count, view.job?.count_interval]).toEqual([6, [6, 6]]);
});

it("says of no count how sure another one was", async () => {
  send("stage.progress", { percentage: 60 });
  await vi.waitFor(() => expect(view.progress.percentage).toBe(60));
  expect(view.job?.count_interval).toEqual([4, 7]);
  send("stage.progress", { processed_images: 2, count: 9, percentage: 80 });
  await vi.waitFor(() => expect(view.job?.count).toBe(9));
  expect(view.job?.count_interval).toBeNull();
});

it("keeps what a person corrected when the events of before are told again", async () => {
  completed("img_1", 9);
  completed("img_2", 3);
  await vi.waitFor(() => expect(counts()?.[1]).toBe(3));
  expect(counts()).toEqual([5, 3]);
});

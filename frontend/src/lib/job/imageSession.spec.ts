import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Detection, ImageResult } from "../api/types";
import type { JobImage, RecountedImage } from "../api/types";
import { Layers } from "../overlay/layers.svelte";
import { serve } from "../testServer";
import { ImageSession } from "./imageSession.svelte";

// A real HTTP server with the rules of /correct that matter here: versions, ids, reverts.
type Body = {
  version: number;
  count?: number;
  edits: { op: string; point?: [number, number]; object_id?: string }[];
};
let endServer: () => void;
let corrections: { id: string; edits: Body["edits"]; count?: number }[];
let version: number;
let posts: string[];
let told: Partial<JobImage>[];
let session: ImageSession;

const detection = (object_id: string, x: number): Detection => ({
  ...{
    object_id,
    number: 1,
    class_id: 0,
    class_name: "coin",
    confidence: 0.9,
    probability: 0.95,
    area: 100,
    group: null,
    source: "model",
  },
  bbox: { format: "xyxy", x1: x, y1: 0, x2: x + 10, y2: 10 },
  bbox_normalized: { format: "yolo", x_center: 0, y_center: 0, width: 0, height: 0 },
  segmentation: [x, 0, x + 10, 0, x + 10, 10, x, 10],
});

function detections(): Detection[] {
  let found = [detection("c0", 0), detection("c1", 20), detection("c2", 40)];
  for (const { id, edits } of corrections) {
    edits.forEach((edit, n) => {
      if (edit.op === "remove") found = found.filter((d) => d.object_id !== edit.object_id);
      else found = [...found, detection(`h${id}_${n}`, edit.point![0] - 5)];
    });
  }
  return found;
}

function respond(url: string, body: string): [number, unknown] {
  if (url.includes("/corrections?")) return [200, pageOf(corrections.map(recordOf).reverse(), url)];
  if (url.includes("/results")) return [200, { images: [{ ...RESULT, ...state() }] }];
  posts.push(url.replace("/api/v1", ""));
  const revert = /corrections\/(\w+)\/revert/.exec(url)?.[1];
  if (revert) {
    corrections = corrections.filter(({ id }) => id !== revert);
    version += 1;
    return [200, { ...state(), correction_id: revert }];
  }
  const { version: seen, edits = [], count } = JSON.parse(body) as Body;
  if (seen !== version) return [409, { code: "VERSION_CONFLICT", message: "stale" }];
  const details = edits.flatMap(({ op, object_id, point }, n) => {
    if (op === "remove" && !detections().some((d) => d.object_id === object_id))
      return [{ field: `edits[${n}].object_id`, message: `no object ${object_id}` }];
    return point && point[0] > 100 ? [{ field: `edits[${n}].point`, message: "outside" }] : [];
  });
  if (details.length) return [400, { code: "INVALID_REQUEST", message: "not so", details }];
  corrections.push({ id: `k${posts.length}`, edits, count });
  version += 1;
  return [200, { ...state(), correction_id: `k${posts.length}` }];
}

function pageOf<T>(all: T[], url: string): T[] {
  const query = new URLSearchParams(url.split("?")[1]);
  const [page, size] = [Number(query.get("page") ?? 1), Number(query.get("page_size"))];
  return all.slice((page - 1) * size, page * size);
}

const recordOf = ({ id, edits, count }: (typeof corrections)[number]) => ({
  ...{ correction_id: id, human_count: count ?? null, reverted_at: null },
  edits: edits.map((edit, n) =>
    edit.op === "add" ? { ...edit, object_id: `h${id}_${n}`, polygon: [] } : edit,
  ),
});
const stated = () => corrections.findLast(({ count }) => count !== undefined)?.count;
const state = () => ({
  ...{ version, detections: detections(), count_source: "human" },
  count: stated() ?? detections().length,
  count_interval:
    stated() === undefined ? [detections().length - 1, detections().length + 1] : [stated(), stated()],
});
const RESULT = {
  file_id: "img_1",
  width: 100,
  height: 50,
  model_count: 3,
  rejected: [],
  faint: [{ x: 70, y: 5, radius: 5, confidence: 0.3 }],
  needs_review: true,
  review_reason: "some touch",
} as unknown as ImageResult;

beforeEach(async () => {
  [corrections, version, posts, told] = [[], 1, [], []];
  endServer = await serve((request, response, body) => {
    const [code, data] = respond(request.url ?? "", body);
    response.writeHead(code).end(JSON.stringify(code < 400 ? { data } : { error: data }));
  });
  session = new ImageSession("job_1", "img_1", (values) => told.push(values));
  await session.load();
});

afterEach(() => endServer());

const counted = () => session.scene.counted.map((shape) => shape.id);

it("shows an edit at once, and saves it later as one correction with others", async () => {
  session.remove("c0");
  expect(session.notCounted.map((shape) => shape.rejection)).toEqual(["human", "faint"]);
  session.add({ x: 70, y: 5 });
  expect([session.count, session.faint]).toEqual([3, []]);
  expect(counted()).toEqual(["c1", "c2", "local:0"]);
  expect(posts).toEqual([]);
  await session.flush();
  expect(posts).toEqual(["/correct"]);
  expect(counted()).toEqual(["c1", "c2", "hk1_1"]);
  expect(session.scene.rejected[0]).toMatchObject({ id: "c0", rejection: "human" });
  const known = { count_interval: [2, 4], by_type: { coin: 3 }, needs_review: false, review_reason: null };
  expect(told).toEqual([{ count: 3, count_source: "human", version: 2, ...known }]);
});

it("tells the interval of the count that it shows, and none of one that is not saved", async () => {
  expect(session.interval).toEqual([2, 4]);
  session.remove("c0");
  expect([session.count, session.interval]).toEqual([2, null]);
  await session.flush();
  expect([session.count, session.interval]).toEqual([2, [1, 3]]);
  expect(session.result).toMatchObject({ needs_review: false, review_reason: null });
  await session.setCount(7);
  expect([session.count, session.interval]).toEqual([7, [7, 7]]);
  await session.undo();
  expect([session.count, session.interval]).toEqual([2, [1, 3]]);
  expect(session.message).toBe("Undone: 2.");
});

it("saves by itself a moment after the last edit", async () => {
  session.remove("c0");
  await vi.waitFor(() => expect(session.unsaved).toEqual([]), { timeout: 3000 });
  expect(posts).toEqual(["/correct"]);
});

it("removes an object that was added a moment before", async () => {
  session.add({ x: 70, y: 5 });
  session.remove("local:0");
  await session.flush();
  expect(corrections.map(({ edits }) => edits.map((e) => e.op))).toEqual([["add"], ["remove"]]);
  expect(counted()).toEqual(["c0", "c1", "c2"]);
});

it("undoes one of two edits saved together, and redoes it", async () => {
  session.remove("c0");
  session.remove("c1");
  await session.flush();
  await session.undo();
  await session.flush();
  expect(counted()).toEqual(["c1", "c2"]);
  expect(corrections).toHaveLength(1);
  session.redo();
  await session.flush();
  expect(counted()).toEqual(["c2"]);
});

it("applies its edits to the newer count when somebody else was faster", async () => {
  corrections.push({ id: "other", edits: [{ op: "remove", object_id: "c2" }] });
  version = 5;
  session.remove("c0");
  await session.flush();
  expect(counted()).toEqual(["c1"]);
  expect(version).toBe(6);
  expect(session.error).toBeNull();
});

it("drops the edit that the server refuses, names it, and saves the others", async () => {
  corrections.push({ id: "other", edits: [{ op: "remove", object_id: "c0" }] });
  session.add({ x: 70, y: 5 });
  session.remove("c0");
  session.remove("c1");
  await session.flush();
  expect(session.error).toMatchObject({ message: "Not saved: removing c0 (no object c0)." });
  expect(session.unsaved).toEqual([]);
  expect(counted()).toEqual(["c2", "hk2_0"]);
  expect(session.edits.done).toHaveLength(2);
});

it("drops with a refused addition what was done to the added object", async () => {
  session.add({ x: 170, y: 5 });
  session.remove("local:0");
  session.remove("c1");
  await session.flush();
  expect(session.error).toMatchObject({ message: "Not saved: adding at 170, 5 (outside)." });
  expect([session.unsaved, counted()]).toEqual([[], ["c0", "c2"]]);
});

it("keeps what the server refuses without naming an edit, and takes it back on Undo", async () => {
  session.remove("c0");
  vi.stubGlobal("fetch", failOnce(globalThis.fetch, 413, "FILE_TOO_LARGE"));
  await session.flush();
  expect(session.error).toMatchObject({ code: "FILE_TOO_LARGE" });
  expect(counted()).toEqual(["c1", "c2"]);
  await session.undo();
  expect([session.unsaved, counted()]).toEqual([[], ["c0", "c1", "c2"]]);
});

it("keeps unsaved edits while the server cannot be reached", async () => {
  session.remove("c0");
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("offline")));
  await session.flush();
  expect(session.error).toMatchObject({ code: "UNREACHABLE" });
  expect(session.unsaved).toHaveLength(1);
  expect(counted()).toEqual(["c1", "c2"]);
});

it("does not add twice where an object is counted already", () => {
  session.addAt({ x: 5, y: 5 });
  expect(session.unsaved).toEqual([]);
  expect(session.selectedId).toBe("c0");
});

it("walks over what is in view and around the end", () => {
  const layers = new Layers();
  const walk = (step: 1 | -1) => session.walk(step, layers.shown(session.scene.counted, session.notCounted));
  expect([1, 1, -1, -1].map((step) => walk(step as 1 | -1)?.id)).toEqual(["c0", "c1", "c0", "c2"]);
  layers.rejected = true;
  session.remove("c1");
  expect([walk(-1)?.id, walk(-1)?.id, walk(-1)?.id, walk(-1)?.id]).toEqual(["c0", "faint:0", "c1", "c2"]);
});

it("shows a preview instead of the saved count", async () => {
  const preview: RecountedImage = {
    ...{ file_id: "img_1", count: 1, count_interval: [1, 1], version: 1 },
    ...{ count_before: 3, count_interval_before: [2, 4], density_estimate: null },
    ...{ needs_review: false, review_reason: null },
    counted: ["c1"],
    rejected: { c0: "too_small" },
    groups: [],
    group_of: { c1: 3 },
    stats: {} as RecountedImage["stats"],
  };
  session = new ImageSession(
    "job_1",
    "img_1",
    () => undefined,
    () => preview,
  );
  await session.load();
  expect(session.count).toBe(1);
  expect(session.scene.counted.map(({ id, group }) => [id, group])).toEqual([["c1", 3]]);
  expect(session.scene.rejected.map((shape) => shape.rejection)).toEqual(["too_small", "human"]);
});

it("takes back what was done before the page was opened", async () => {
  session.remove("c0");
  session.add({ x: 70, y: 5 });
  await session.flush();
  const later = new ImageSession("job_1", "img_1", () => undefined);
  await later.load();
  await later.undo();
  expect(later.scene.counted.map((shape) => shape.id)).toEqual(["c0", "c1", "c2"]);
  later.redo();
  await later.flush();
  expect(later.count).toBe(3);
  expect(later.scene.counted.at(-1)?.source).toBe("model");
});

it("knows all corrections of earlier visits, however many there are", async () => {
  corrections = Array.from({ length: 250 }, (_, k) => ({ id: `k${k}`, edits: [], count: k ? undefined : 9 }));
  await session.load();
  expect(session.edits.done.map((entry) => entry.correctionId)).toEqual(corrections.map(({ id }) => id));
  expect(session.isNumber).toBe(true);
});

it("states a number, and takes it back", async () => {
  await session.setCount(40);
  expect([session.count, session.isNumber]).toEqual([40, true]);
  expect(counted()).toHaveLength(3);
  session.remove("c0");
  await session.flush();
  await session.load();
  expect(session.isNumber).toBe(true);
  await session.undo();
  await session.undo();
  expect([session.count, session.isNumber]).toEqual([3, false]);
  expect(session.canRedo).toBe(false);
});

it("keeps what is done while a step is being taken back", async () => {
  session.remove("c0");
  await session.flush();
  const undone = session.undo();
  session.remove("c1");
  await undone;
  await session.flush();
  expect(counted()).toEqual(["c0", "c2"]);
  expect(corrections.map(({ edits }) => edits)).toEqual([[{ op: "remove", object_id: "c1" }]]);
});

it("takes back the step that was last when Undo was pressed", async () => {
  session.remove("c0");
  const saved = session.flush();
  const undone = session.undo();
  session.remove("c1");
  await Promise.all([saved, undone]);
  await session.flush();
  expect(counted()).toEqual(["c0", "c2"]);
});

it("keeps a number while the server cannot be reached, and saves it later", async () => {
  const online = globalThis.fetch;
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("offline")));
  await session.setCount(40);
  session.remove("c0");
  expect([session.count, session.isNumber, session.unsaved.length]).toEqual([39, true, 2]);
  vi.stubGlobal("fetch", online);
  await session.retry();
  expect(corrections.map(({ count, edits }) => count ?? edits.length)).toEqual([40, 1]);
  expect([session.error, session.unsaved.length]).toEqual([null, 0]);
});

it("saves a number to the newer count when somebody else was faster", async () => {
  corrections.push({ id: "other", edits: [{ op: "remove", object_id: "c2" }] });
  version = 5;
  await session.setCount(40);
  expect([session.count, session.error, version]).toEqual([40, null, 6]);
  expect(counted()).toEqual(["c0", "c1"]);
});

it("takes a step back at the second try", async () => {
  session.remove("c0");
  await session.flush();
  const online = globalThis.fetch;
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("offline")));
  await session.undo();
  expect([session.count, session.error]).toMatchObject([2, { code: "UNREACHABLE" }]);
  vi.stubGlobal("fetch", online);
  await session.retry();
  expect([session.count, session.error]).toEqual([3, null]);
});

it("does not say that edits were applied which the server refused", async () => {
  corrections.push({ id: "other", edits: [{ op: "remove", object_id: "c0" }] });
  version = 5;
  session.remove("c0");
  await session.flush();
  expect([session.message, session.count]).toEqual(["Not saved.", 2]);
});

it("starts again from what holds when a step was taken back elsewhere", async () => {
  session.remove("c0");
  await session.flush();
  corrections = [];
  version = 9;
  vi.stubGlobal("fetch", failOnce(globalThis.fetch, 409, "INVALID_STATE"));
  await session.undo();
  expect(session.error).toMatchObject({ code: "INVALID_STATE" });
  expect(session.canUndo).toBe(false);
  expect(counted()).toEqual(["c0", "c1", "c2"]);
});

it("keeps unsaved edits when the server is too busy for them", async () => {
  session.remove("c0");
  vi.stubGlobal("fetch", failOnce(globalThis.fetch, 429, "RATE_LIMIT_EXCEEDED"));
  await session.flush();
  expect(session.error).toMatchObject({ code: "RATE_LIMIT_EXCEEDED" });
  await session.retry();
  expect(session.error).toBeNull();
  expect(counted()).toEqual(["c1", "c2"]);
  expect(version).toBe(2);
});

/** Refuse the first request; the server answers the others. */
function failOnce(next: typeof fetch, status: number, code: string): typeof fetch {
  let isFirst = true;
  return async (...request) => {
    if (!isFirst) return next(...request);
    isFirst = false;
    return new Response(JSON.stringify({ error: { code, message: "not now" } }), { status });
  };
}

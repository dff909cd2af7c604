import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { CountConfig, Exemplar, JobImage } from "../api/types";
import { serve } from "../testServer";
import { RecountDraft } from "./recountDraft.svelte";

// A real HTTP server that counts 5 with an example, and 9 without.
type Body = {
  config: CountConfig;
  dry_run: boolean;
  file_id?: string;
  from_job_config?: boolean;
  versions?: Record<string, number>;
};
const LIKED: Exemplar = { file_id: "img_1", positive: true, box: [1, 2, 3, 4] };
const LEARNED: Exemplar = { ...LIKED, box: [9, 9, 3, 4], corrected: true };
let endServer: () => void;
let asked: Body[];
let refuses: boolean;
let version: number;
let base: CountConfig;
let draft: RecountDraft;

function respond(body: Body): [number, unknown] {
  asked.push(body);
  if (refuses) return [400, { error: { code: "INVALID_CONFIG", message: "no such photo" } }];
  if (Object.values(body.versions ?? {}).some((seen) => seen !== version))
    return [409, { error: { code: "VERSION_CONFLICT", message: "changed meanwhile" } }];
  const count = body.config.exemplars?.length ? 5 : 9;
  const ids = body.file_id ? [body.file_id] : ["img_1", "img_2"];
  return [200, { data: { count, images: ids.map((file_id) => ({ file_id, count, version })) } }];
}

beforeEach(async () => {
  [asked, refuses, version, base] = [[], false, 1, {}];
  endServer = await serve((_, response, body) => {
    const [status, answer] = respond(JSON.parse(body) as Body);
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
  });
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  draft = new RecountDraft("job_1", () => base);
  draft.look("img_1");
});

afterEach(() => {
  draft.discard();
  endServer();
});

const until = async (isThere: () => boolean) => {
  for (let k = 0; k < 100 && !isThere(); k++) await new Promise((next) => setTimeout(next, 20));
  expect(isThere()).toBe(true);
};

it("keeps the preview of all photos where that of the one in view was still to come", async () => {
  draft.add(LIKED);
  await draft.previewAll();
  await new Promise((later) => setTimeout(later, 400));
  expect(draft.previews.map((image) => image.file_id)).toEqual(["img_1", "img_2"]);
});

it("previews a new example on the photo in view alone, and changes nothing", async () => {
  draft.add(LIKED);
  await until(() => draft.previewOf("img_1")?.count === 5);
  expect(draft.previewOf("img_2")).toBeNull();
  const config = { exemplars: [LIKED], count_what: "exemplars" };
  const what = "as applying it to all photos would count it, whatever this one is counted with";
  expect(asked, what).toEqual([{ config, dry_run: true, file_id: "img_1", from_job_config: true }]);
});

it("previews the photo that a person turns to", async () => {
  draft.add(LIKED);
  draft.look("img_2");
  await until(() => draft.previewOf("img_2")?.count === 5);
});

it("asks nothing when the last change is taken back", async () => {
  draft.add(LIKED);
  draft.removeExemplar(LIKED);
  expect(draft.isDirty).toBe(false);
  await new Promise((next) => setTimeout(next, 250));
  expect(asked).toEqual([]);
});

it("takes back one example after the other", () => {
  const other: Exemplar = { ...LIKED, positive: false, box: [50, 2, 3, 4] };
  draft.add(LIKED);
  draft.add(other);
  draft.set({ exclude_edge: true });
  draft.undo();
  expect(draft.exemplars).toEqual([LIKED]);
  draft.undo();
  expect([draft.isDirty, draft.canUndo]).toEqual([false, false]);
});

it("brings back what was put away, until something else is done", () => {
  draft.set({ groups: [{ file_id: "img_1", id: 1, name: "nuts", counted: true }] });
  draft.add(LIKED);
  draft.discard();
  expect([draft.isDirty, draft.takesUndo]).toEqual([false, true]);
  draft.undo();
  expect([draft.exemplars, draft.config.groups?.[0]?.name]).toEqual([[LIKED], "nuts"]);
  draft.removeExemplar(LIKED);
  draft.discard();
  draft.settle();
  expect(draft.takesUndo).toBe(false);
});

it("brings back the last change that was taken back by hand", () => {
  draft.add(LIKED);
  draft.removeExemplar(LIKED);
  expect([draft.isDirty, draft.takesUndo]).toEqual([false, true]);
  draft.undo();
  expect(draft.exemplars).toEqual([LIKED]);
});

it("applies to all photos, and is clean once they are loaded anew", async () => {
  draft.add(LIKED);
  let isDirtyWhileLoading = false;
  await draft.apply([], async () => void (isDirtyWhileLoading = draft.isDirty));
  expect(asked.at(-1)).toMatchObject({ dry_run: false });
  expect(asked.at(-1)).not.toHaveProperty("file_id");
  expect([isDirtyWhileLoading, draft.isDirty, draft.takesUndo]).toEqual([true, false, false]);
});

it("applies what is said of the groups of one photo to it alone, whichever is in view", async () => {
  draft.set({ groups: [{ file_id: "img_1", id: 1, counted: false }] });
  draft.look("img_2");
  expect(draft.only).toBe("img_1");
  await draft.apply([], async () => undefined);
  expect(asked.at(-1)).toMatchObject({ dry_run: false, file_id: "img_1", from_job_config: true });
  draft.set({ groups: [{ file_id: "img_1", id: 1, counted: false }], groups_scope: "job" });
  expect(draft.only).toBeNull();
});

it("tries the former settings when an applied count is undone, and puts them away for good", async () => {
  base = { template: "lab", exclude_edge: true };
  draft.add(LIKED);
  draft.set({ exclude_edge: false, template: null });
  await draft.apply([], async () => void (base = { ...base, ...draft.changes }));
  expect([draft.isDirty, draft.takesUndo]).toEqual([false, true]);
  draft.undo();
  const former = { exemplars: [], count_what: "type", exclude_edge: true, template: "lab" };
  expect([draft.changes, draft.canUndo]).toEqual([former, false]);
  await until(() => draft.previewOf("img_1")?.count === 9);
  draft.discard();
  expect([draft.takesUndo, draft.exemplars]).toEqual([false, [LIKED]]);
});

it("keeps what was tried when the server refuses it", async () => {
  draft.add(LIKED);
  refuses = true;
  await draft.apply([], async () => undefined);
  expect(String(draft.error)).toContain("no such photo");
  expect(draft.exemplars).toEqual([LIKED]);
});

it("overwrites nothing that somebody changed since it was previewed, and previews it anew", async () => {
  const images = ["img_1", "img_2"].map((file_id) => ({ file_id, version: 1 }) as JobImage);
  draft.add(LIKED);
  await until(() => draft.previewOf("img_1") !== null);
  version = 2;
  const reload = async () => void images.forEach((image) => (image.version = version));
  await draft.apply(images, reload);
  expect(asked.at(-2)).toMatchObject({ dry_run: false, versions: { img_1: 1, img_2: 1 } });
  expect([String(draft.error), draft.isDirty]).toEqual([expect.stringContaining("apply again"), true]);
  expect(draft.previewOf("img_1")?.version).toBe(2);
  await draft.apply(images, reload);
  expect([draft.error, draft.isDirty]).toEqual([null, false]);
});

it("leaves out what was learned from corrections, and keeps what was drawn", () => {
  base = { count_what: "exemplars", exemplars: [LIKED, LEARNED] };
  const own = new RecountDraft("job_1", () => base);
  expect([own.drawn, own.nLearned]).toEqual([[LIKED], 1]);
  own.unlearn();
  expect(own.changes).toEqual({ exemplars: [LIKED] });
  own.discard();
});

it("is there again after a reload, with its preview, until it is applied or discarded", async () => {
  draft.add(LIKED);
  const reloaded = new RecountDraft("job_1", () => base);
  expect(reloaded.exemplars).toEqual([LIKED]);
  reloaded.look("img_1");
  await until(() => reloaded.previewOf("img_1")?.count === 5);
  expect(new RecountDraft("job_2", () => base).isDirty).toBe(false);
  await reloaded.apply([], async () => undefined);
  expect(new RecountDraft("job_1", () => base).isDirty).toBe(false);
});

it("lasts for the page where the browser keeps nothing", () => {
  vi.stubGlobal("sessionStorage", undefined);
  draft.add(LIKED);
  expect(draft.exemplars).toEqual([LIKED]);
  expect(new RecountDraft("job_1", () => base).isDirty).toBe(false);
});

it("knows whether photos lose what they alone learned", () => {
  draft.set({ confidence_threshold: 0.4 });
  expect(draft.forgetsLessons, "a recount keeps it").toBe(false);
  draft.add(LIKED);
  expect(draft.forgetsLessons).toBe(true);
  base = { exemplars: [LEARNED] };
  const own = new RecountDraft("job_2", () => base);
  own.add(LIKED);
  expect(own.forgetsLessons, "the job's own lesson goes along").toBe(false);
});

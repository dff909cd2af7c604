import { expect, it } from "vitest";
import type { CountConfig, ImageResult } from "../api/types";
import { engineFact, settingFacts, sizeFacts } from "./facts";

const found = (scales: number[], median_area_px = 4718) =>
  sizeFacts({ median_area_px, coverage_percent: 12.34 } as ImageResult["stats"], { scales });

it("tells the scales that the engine counted at, and how large things are", () => {
  expect(found([0.354, 0.5])).toEqual([
    ["Typical size", "4,718 px², as a disc of 78 px across"],
    ["Covered", "12.3 % of the photo"],
    ["Scale", "35 % and 50 % of the photo's size"],
  ]);
});

it("tells no scale where the engine has none", () => {
  expect(found([], 0)).toEqual([
    ["Typical size", "–"],
    ["Covered", "12.3 % of the photo"],
  ]);
});

it("tells the engine, its model where that is a choice, and its mode where it has several", () => {
  const by = (engine: string, model: string | null) =>
    engineFact({ engine, model, engine_reason: "", settings: { mode: "exact" } });
  expect([by("sam", "vit_b"), by("mini", "mini"), by("classical", null)]).toEqual([
    ...["sam, vit_b, exact", "mini", "classical"],
  ]);
});

it("tells what showed the engine where to look", () => {
  const sam = { engine: "sam", model: "vit_b", engine_reason: "", settings: { mode: "fast" as const } };
  expect(engineFact({ ...sam, prompt_models: { mini: "1e5…" } })).toBe("sam, vit_b, fast, points by mini");
  expect(engineFact({ ...sam, prompt_models: {} })).toBe("sam, vit_b, fast");
});

it("tells the settings that decided the count", () => {
  const settings = { confidence_threshold: 0.4, max_area_px: 900, count_what: "everything" as const };
  expect(Object.fromEntries(settingFacts(settings))).toEqual({
    Counted: "every object",
    Sensitivity: "60 %",
    Area: "0 to 900 px²",
    "Cut by the edge": "counted",
  });
  expect(settingFacts({ ...settings, template: null })).toEqual(settingFacts(settings));
  expect(settingFacts({ ...settings, template: "M4" })[0]).toEqual(["Template", "M4"]);
  const liked = { file_id: "img_1", positive: true };
  const shown = settingFacts({ exemplars: [liked, { ...liked, positive: false }] });
  expect(shown).toContainEqual(["Examples", "1 like this, 1 not"]);
  expect(shown).toContainEqual(["Area", "automatic limits"]);
});

const usual = {
  iou_threshold: 0.5,
  max_overlap: 0.9,
  granularity: "auto",
  mask_background: false,
  pages: "first",
  roi: [],
  sahi: { enabled: "auto", slice_width: 1024, slice_height: 1024, overlap_ratio: 0.2 },
  symbolic_reasoning: { enabled: false, rules: null },
} as const satisfies CountConfig;

it("tells of what has no field on the page only what differs from its default", () => {
  expect(settingFacts({ ...usual, roi: [] })).toEqual(settingFacts({}));
});

const triangle: [number, number][] = [
  [0, 0],
  [9, 0],
  [0, 9],
];

it.each<[string, CountConfig, string]>([
  ["Pages", { pages: "all" }, "all of the file"],
  ["Regions", { roi: [{ polygon: triangle }, { polygon: triangle, include: true }] }, "counted inside of 2"],
  ["Regions", { roi: [{ polygon: triangle, include: false }] }, "left out inside of 1"],
  [
    "Regions",
    { roi: [{ polygon: triangle }, { polygon: triangle, include: false }] },
    "counted inside of 1, left out inside of 1",
  ],
  ["Taken for one thing", { iou_threshold: 0.7 }, "outlines that share more than 70 %"],
  ["Taken for a part", { max_overlap: 0 }, "what lies in another by more than 0 %"],
  ["Of wholes and parts", { granularity: "part" }, "the parts are counted"],
  ["Of wholes and parts", { granularity: "whole" }, "the wholes are counted"],
  ["Tiles", { sahi: { ...usual.sahi, enabled: true } }, "always"],
  ["Tiles", { sahi: { ...usual.sahi, enabled: false, slice_width: 512 } }, "never"],
  ["Tiles", { sahi: { slice_width: 512 } }, "where needed, 512 × 1,024 px, 20 % shared"],
  ["Tiles", { sahi: { enabled: true, overlap_ratio: 0.3 } }, "always, 1,024 × 1,024 px, 30 % shared"],
  ["Surroundings", { mask_background: true }, "hidden while things are named"],
  ["Rules", { symbolic_reasoning: { enabled: true, rules: " typical_size" } }, "typical_size"],
  ["Rules", { symbolic_reasoning: { enabled: true, rules: "reject(C) :- edge(C)." } }, "own ones"],
])("tells %s of %j", (name, settings, value) => {
  const more = settingFacts({ ...usual, roi: [], ...settings });
  expect(more.filter(([one]) => !settingFacts({}).some(([known]) => known === one))).toEqual([[name, value]]);
});

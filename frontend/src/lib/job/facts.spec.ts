import { expect, it } from "vitest";
import type { ImageResult } from "../api/types";
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

it("tells the settings that decided the count", () => {
  const settings = { confidence_threshold: 0.4, max_area_px: 900, count_what: "everything" as const };
  expect(Object.fromEntries(settingFacts(settings))).toEqual({
    Counted: "every object",
    "Score at least": "40 %",
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

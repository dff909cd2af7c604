import { expect, it } from "vitest";
import type { CountConfig, Template } from "../api/types";
import { defaultSettings, sensitivityOf, thresholdOf, toConfig, withTemplate } from "./settings";

it("sends nothing but what was changed", () => {
  expect(toConfig(defaultSettings(), "coin")).toEqual({});
  const changed = {
    ...defaultSettings(),
    engine: "classical",
    sensitivity: 40,
    minArea: 9,
    maxArea: 900,
    excludeEdge: true,
    allPages: true,
  };
  expect(toConfig(changed, "coin")).toEqual({
    engine: "classical",
    confidence_threshold: 0.6,
    min_area_px: 9,
    max_area_px: 900,
    exclude_edge: true,
    pages: "all",
  });
});

it("sends a mode where the engine has several", () => {
  const exact = { ...defaultSettings(), mode: "exact" as const };
  expect(toConfig({ ...exact, engine: "sam" }, "coin")).toEqual({ engine: "sam", mode: "exact" });
  expect(toConfig({ ...exact, engine: "mini" }, "coin")).toEqual({ engine: "mini" });
  expect(toConfig({ ...exact, engine: "sam", mode: "fast" }, "coin")).toEqual({ engine: "sam" });
});

it("counts everything when nothing is named", () => {
  expect(toConfig(defaultSettings(), "  ")).toEqual({ count_what: "everything" });
});

it("counts what a template means", () => {
  const liked = { file_id: "img_1", positive: true, point: [1, 2] as [number, number] };
  const template = {
    ...{ template_id: "tpl_1", name: "M4", type: "screw", config: {}, images: [], created_at: "" },
    exemplars: [liked],
  };
  expect(toConfig(defaultSettings(), "", template)).toEqual({ template: "M4", count_what: "exemplars" });
  expect(toConfig(defaultSettings(), "", { ...template, exemplars: [] })).toEqual({ template: "M4" });
});

const saved = (config: CountConfig, name = "M4"): Template => ({
  ...{ template_id: "tpl_1", name, type: "screw", images: [], created_at: "" },
  ...{ config, exemplars: [] },
});

it("shows what a template says, and sends what was changed about it, defaults too", () => {
  const template = saved({ confidence_threshold: 0.7, min_area_px: 20, exclude_edge: true });
  const shown = withTemplate({ ...defaultSettings(), engine: "mini" }, null, template);
  expect(shown).toEqual({
    ...defaultSettings(),
    ...{ engine: "mini", sensitivity: 30, minArea: 20, excludeEdge: true },
  });
  expect(toConfig(shown, "", template)).toEqual({ template: "M4", engine: "mini" });
  const changed = { ...shown, sensitivity: 75, minArea: null, excludeEdge: false };
  expect(toConfig(changed, "", template)).toEqual({
    ...{ template: "M4", engine: "mini" },
    ...{ confidence_threshold: 0.25, min_area_px: null, exclude_edge: false },
  });
});

it("keeps what a person changed when the template is left or another is taken", () => {
  const [first, second] = [saved({ confidence_threshold: 0.7 }), saved({ max_area_px: 900 }, "M5")];
  const shown = { ...withTemplate(defaultSettings(), null, first), minArea: 9 };
  expect(withTemplate(shown, first, second)).toEqual({ ...defaultSettings(), minArea: 9, maxArea: 900 });
  expect(withTemplate(shown, first, null)).toEqual({ ...defaultSettings(), minArea: 9 });
});

it("turns sensitivity into a threshold and back", () => {
  expect(thresholdOf(75)).toBe(0.25);
  expect(sensitivityOf(0.29)).toBe(71);
});

import { expect, it } from "vitest";
import type { Template } from "../api/types";
import { exemplarOfPoint } from "./exemplars";
import { changeOfTemplate, changeWithoutTemplate, isUsed, templateOf, templates } from "./templates.svelte";

const LIKED = exemplarOfPoint({ x: 1, y: 2 }, "img_1", true);

it("keeps examples and settings that hold for any photo", () => {
  const config = { engine: "mini", confidence_threshold: 0.4, exclude_edge: false, exemplars: [LIKED] };
  expect(templateOf({ ...config, count_what: "exemplars" })).toEqual({
    config: { confidence_threshold: 0.4, exclude_edge: false },
    exemplars: [LIKED],
  });
});

it("finds the template that a job came from, and none once it is gone", () => {
  const saved = { template_id: "tpl_1", name: "M4" } as Template;
  templates.all = [saved];
  expect(["M4", "M5", null, undefined].map((name) => templates.named(name))).toEqual([
    saved,
    null,
    null,
    null,
  ]);
  templates.forget(saved);
  expect(templates.named("M4")).toBeNull();
});

it("changes a job to what the template says, examples first", () => {
  const template: Template = {
    ...{ template_id: "tpl_1", name: "M4", type: "screw", images: [], created_at: "" },
    config: { min_area_px: 30, engine: "mini" },
    exemplars: [LIKED],
  };
  expect(changeOfTemplate({ count_what: "type" }, template)).toEqual({
    ...{ min_area_px: 30, count_what: "exemplars" },
    exemplars: [LIKED],
  });
});

it("leaves a template and keeps everything that is not its own", () => {
  const drawn = exemplarOfPoint({ x: 9, y: 9 }, "img_1", true);
  const template = { config: { min_area_px: 30 }, exemplars: [LIKED] } as unknown as Template;
  const now = { min_area_px: 30, exclude_edge: true, exemplars: [LIKED, drawn] };
  expect([isUsed(template, now), isUsed(template, { exemplars: [drawn] })]).toEqual([true, false]);
  const settings = { config: { min_area_px: 30 }, exemplars: [] } as unknown as Template;
  expect([isUsed(settings, now), isUsed(settings, { min_area_px: 5 })]).toEqual([true, false]);
  expect(changeWithoutTemplate({ min_area_px: 5 }, now, template)).toEqual({
    ...{ min_area_px: 5, count_what: "exemplars" },
    exemplars: [drawn],
  });
  expect(changeWithoutTemplate({}, { ...now, exemplars: [LIKED] }, template)).toEqual({
    ...{ min_area_px: null, count_what: "type" },
    exemplars: [],
  });
});

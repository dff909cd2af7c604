import { expect, it } from "vitest";
import { changeOfExemplars, configForNewJob, mergedConfig, onlyPhotoOf, withChange } from "./changes";

const LIKED = { file_id: "img_1", positive: true, point: [1, 2] as [number, number] };
const DISLIKED = { ...LIKED, positive: false };

it("forgets a change that is taken back", () => {
  const base = { confidence_threshold: 0.4 };
  const changed = withChange(base, {}, { confidence_threshold: 0.6, exclude_edge: true });
  expect(changed).toEqual({ confidence_threshold: 0.6, exclude_edge: true });
  expect(withChange(base, changed, { confidence_threshold: 0.4, exclude_edge: false })).toEqual({});
});

it("knows what holds where the job says nothing", () => {
  expect(mergedConfig({ exclude_edge: true }, { min_area_px: 9 })).toMatchObject({
    ...{ confidence_threshold: 0.25, exclude_edge: true, min_area_px: 9, exemplars: [] },
  });
});

it("counts by examples as long as one says what is meant", () => {
  expect(changeOfExemplars({}, [LIKED, DISLIKED]).count_what).toBe("exemplars");
  expect(changeOfExemplars({ count_what: "everything" }, [DISLIKED]).count_what).toBe("everything");
  expect(changeOfExemplars({ count_what: "exemplars", exemplars: [LIKED] }, []).count_what).toBe("type");
});

it("has nothing to change when an example comes and goes", () => {
  const base = { count_what: "everything" as const };
  const drawn = withChange(base, {}, changeOfExemplars(base, [LIKED]));
  expect(withChange(base, drawn, changeOfExemplars(base, []))).toEqual({});
});

it("knows whether changes are about one photo alone", () => {
  const [own, other] = ["img_1", "img_2"].map((file_id) => ({ file_id, id: 0, counted: false }));
  const region = { file_id: "img_1", polygon: [] };
  const base = { groups: [other!] };
  expect(onlyPhotoOf(base, { groups: [own!, other!], roi: [region] })).toBe("img_1");
  expect(onlyPhotoOf(base, { groups: [] }), "of what is said no more").toBe("img_2");
  expect(onlyPhotoOf(base, { groups: [own!] }), "of two photos").toBeNull();
  expect(onlyPhotoOf(base, { roi: [{ polygon: [] }] }), "a region of all photos").toBeNull();
  expect(onlyPhotoOf(base, { groups: [own!, other!], exclude_edge: true })).toBeNull();
  expect(onlyPhotoOf({ ...base, groups_scope: "job" }, { groups: [own!, other!] })).toBeNull();
  expect(onlyPhotoOf(base, {})).toBeNull();
});

it("starts a new count without the groups of the old one, and without a template that may be gone", () => {
  const base = { engine: "mini", template: "M4", groups: [{ file_id: "img_1", id: 0, counted: false }] };
  const changes = { groups_scope: "job" as const, exemplars: [LIKED] };
  expect(configForNewJob(base, changes)).toEqual({ engine: "mini", exemplars: [LIKED] });
});

import { describe, expect, it } from "vitest";
import { discShape, type Shape } from "../overlay/shapes";
import { applyEntries, idsOfAdded } from "./applyEdits";
import { emptyHistory, record } from "./history";

const at = (id: string, x: number, rejection = ""): Shape => ({
  ...discShape(id, { x, y: 50 }, 300),
  number: rejection ? null : 1,
  rejection,
  source: "model",
});
const scene = { counted: [at("c0", 50), at("c1", 100)], rejected: [at("c2", 150, "low_score")] };
const entriesOf = (...steps: Parameters<typeof record>[1][]) =>
  steps.reduce((history, edits, k) => record(history, edits, [`local:${k}`]), emptyHistory).done;

describe("applyEntries", () => {
  it("moves a removed object to what is not counted", () => {
    const after = applyEntries(scene, entriesOf([{ op: "remove", object_id: "c0" }]), 40_000);
    expect(after.counted.map((s) => s.id)).toEqual(["c1"]);
    expect(after.rejected.at(-1)).toMatchObject({ id: "c0", rejection: "human", number: null });
  });

  it("counts the rejected candidate under an added point", () => {
    const after = applyEntries(scene, entriesOf([{ op: "add", point: [151, 49] }]), 40_000);
    expect(after.rejected).toEqual([]);
    expect(after.counted.at(-1)).toMatchObject({
      id: "local:0",
      rejection: "",
      bounds: scene.rejected[0]?.bounds,
    });
  });

  it("draws a disc as large as the others where no candidate is", () => {
    const after = applyEntries(scene, entriesOf([{ op: "add", point: [300, 50] }]), 40_000);
    expect(after.counted).toHaveLength(3);
    expect(after.counted.at(-1)).toMatchObject({ id: "local:0", source: "human", area: 300 });
  });

  it("gives a lone object a share of the photo", () => {
    const after = applyEntries(
      { counted: [], rejected: [] },
      entriesOf([{ op: "add", point: [9, 9] }]),
      40_000,
    );
    expect(after.counted[0]?.area).toBe(100);
  });

  it("leaves the scene it was given as it is", () => {
    applyEntries(scene, entriesOf([{ op: "remove", object_id: "c0" }]), 40_000);
    expect(scene.counted).toHaveLength(2);
  });
});

describe("idsOfAdded", () => {
  it("matches new objects to the points that made them", () => {
    const entries = entriesOf([{ op: "add", point: [300, 50] }], [{ op: "add", point: [200, 50] }]);
    const after = [...scene.counted, at("h1_2", 200), at("h1_1", 300)];
    expect(idsOfAdded(scene.counted, after, entries)).toEqual(["h1_1", "h1_2"]);
  });
});

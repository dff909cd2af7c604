import { expect, it } from "vitest";
import type { GroupChoice } from "../api/types";
import { discShape, type Shape } from "../overlay/shapes";
import {
  colourOfGroup,
  describeGroups,
  groupsInView,
  isGone,
  N_COLOURS,
  shownOf,
  withChoice,
  withJoined,
  withOnly,
  withSplit,
  withWord,
  type GroupView,
} from "./groups";

const shape = (id: string, group: number | null, rejection = ""): Shape => ({
  ...discShape(id, { x: 0, y: 0 }, 100),
  ...{ group, rejection },
});
const HALVES = [
  { id: 4, name: "group 1.1", objects: ["c0", "c2", "c4"], larger: true },
  { id: 5, name: "group 1.2", objects: ["c1", "c3"], larger: false },
];
const GROUPS = [
  { id: 0, name: "group 1", count: 1, left_out: 0, counted: true, part_of: null, halves: HALVES },
  { id: 1, name: "nuts", count: 0, left_out: 2, counted: false, part_of: null, halves: null },
  { id: 2, name: "group 3", count: 0, left_out: 0, counted: true, part_of: null, halves: null },
];
/** Return where a colour lies in OKLab, in which equal distances look about equal. */
function oklab(hex: string): number[] {
  const rgb = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  const linear = rgb.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const times = (rows: number[][], v: number[]) =>
    rows.map((row) => row.reduce((sum, x, i) => sum + x * v[i]!, 0));
  const cones = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
  ];
  const opponents = [
    [0.2104542553, 0.793617785, -0.0040720468],
    [1.9779984951, -2.428592205, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.808675766],
  ];
  return times(opponents, times(cones, linear).map(Math.cbrt));
}

it("gives each of many groups a colour that is told from the others and from black", () => {
  const colours = Array.from({ length: N_COLOURS }, (_, id) => oklab(colourOfGroup(id)));
  expect(colours.length).toBeGreaterThan(20);
  colours.forEach((one, i) => {
    expect(one[0]).toBeGreaterThan(0.5);
    for (const other of colours.slice(0, i))
      expect(Math.hypot(...one.map((x, k) => x - other[k]!))).toBeGreaterThan(0.1);
  });
});

const SCENE = {
  counted: [shape("c0", 0), shape("h1", null)],
  rejected: [shape("c1", 1, "other_type:nuts"), shape("c2", 1, "other_type:nuts")],
};
const CHOICES = [
  { file_id: "img_1", id: 1, name: "nuts", counted: false },
  { file_id: "img_2", id: 0, name: "bolts", counted: true },
];

it("lists what is alike, the largest group first, with what was said of it in this photo", () => {
  const views = groupsInView(GROUPS, SCENE, CHOICES, "img_1");
  expect(views.map(({ id, name, count, isCounted }) => [id, name, count, isCounted])).toEqual([
    [1, "nuts", 0, false],
    [0, "", 1, true],
  ]);
  expect(views.map((view) => view.placeholder)).toEqual(["group 2", "group 1"]);
  expect(views[0]?.members.map((one) => one.id)).toEqual(["c1", "c2"]);
});

it("shows how many are left out with a group, as those that are counted, but not what a person removed", () => {
  const removed = { ...SCENE, rejected: [...SCENE.rejected, shape("c3", 1, "human")] };
  const [nuts, first] = groupsInView(GROUPS, removed, CHOICES, "img_1");
  expect([nuts, first].map((view) => shownOf(view!).length)).toEqual([2, 1]);
  const unseen = { counted: [shape("c1", 1)], rejected: [] };
  expect(shownOf(groupsInView(GROUPS, unseen, CHOICES, "img_1")[0]!)).toHaveLength(1);
});

it("shows and points out of a group what it counts, where a choice in another photo left out the rest", () => {
  const scene = { counted: [shape("c0", 0)], rejected: [shape("c1", 0, "other_type:nuts")] };
  const [view] = groupsInView(GROUPS, scene, [], "img_1");
  expect(shownOf(view!).map(({ id }) => id)).toEqual(["c0"]);
});

it("tells halves only of what they were worked out for: not once something was removed or added", () => {
  const five = ["c0", "c1", "c2", "c3", "c4"].map((id) => shape(id, 0));
  const halvesOf = (scene: typeof SCENE) =>
    groupsInView(GROUPS, scene, [], "img_1")[0]?.halves.map((half) => shownOf(half).length);
  expect(halvesOf({ counted: five, rejected: [] })).toEqual([3, 2]);
  const out = five.map((one) => ({ ...one, rejection: "other_type:group 1" }));
  expect(halvesOf({ counted: [], rejected: out })).toEqual([3, 2]);
  expect(halvesOf({ counted: five.slice(0, 2), rejected: out.slice(2) })).toEqual([1, 1]);
  expect(halvesOf({ counted: five.slice(1), rejected: [shape("c0", 0, "human")] })).toEqual([]);
  expect(halvesOf({ counted: [...five, shape("h1", 0)], rejected: [] })).toEqual([]);
});

it("says in words what is counted, and how much of it is in no group", () => {
  const views = groupsInView(GROUPS, SCENE, CHOICES, "img_1");
  expect(describeGroups(views, SCENE)).toBe("group 1: 1, in no group: 1");
  expect(describeGroups(views, { ...SCENE, counted: [shape("c0", 0)] })).toBe("group 1: 1");
});

const NUTS = { id: 1, name: "nuts", isCounted: false };
const SCREWS = { id: 2, name: "", isCounted: true };

it("keeps one choice a group, and none that says nothing", () => {
  const elsewhere = { file_id: "img_2", id: 0, counted: true };
  const choices = [CHOICES[0]!, elsewhere];
  const counted = withChoice(choices, "img_1", NUTS, { counted: true });
  expect(counted).toEqual([elsewhere, { file_id: "img_1", id: 1, name: "nuts" }]);
  expect(withChoice(counted, "img_1", NUTS, { name: " " })).toEqual([elsewhere]);
  expect(withChoice([], "img_1", SCREWS, { counted: false })).toEqual([
    { file_id: "img_1", id: 2, counted: false },
  ]);
});

it("says that a group counts which the name of another may leave out, also when it is named after that", () => {
  const washers = [{ file_id: "img_1", id: 1, name: "washer" }];
  const out = { ...SCREWS, isCounted: false };
  const kept = { file_id: "img_1", id: 2, counted: true };
  expect(withChoice(washers, "img_1", out, { name: "screw" })).toEqual([
    ...washers,
    { file_id: "img_1", id: 2, name: "screw" },
  ]);
  const ticked = withChoice(washers, "img_1", out, { counted: true });
  expect(ticked).toEqual([...washers, kept]);
  expect(withChoice(ticked, "img_1", SCREWS, { name: "screw" })).toEqual([
    ...washers,
    { ...kept, name: "screw" },
  ]);
});

it("shows a group as left out that a choice in another photo leaves out, and lets it be counted here", () => {
  const elsewhere = [{ file_id: "img_2", id: 3, counted: false }];
  const views = groupsInView(GROUPS, SCENE, elsewhere, "img_1");
  expect(views.map(({ id, isCounted }) => [id, isCounted])).toEqual([
    [1, false],
    [0, true],
  ]);
  const here = { file_id: "img_1", id: 1, counted: true };
  const out = { ...NUTS, name: "" };
  expect(withChoice(elsewhere, "img_1", out, { counted: true })).toEqual([...elsewhere, here]);
  expect(withChoice(elsewhere, "img_1", out, { name: "nuts" })).toEqual([
    ...elsewhere,
    { ...here, name: "nuts", counted: false },
  ]);
});

it("does not show a group as left out whose members were removed by hand", () => {
  const scene = { counted: [], rejected: [shape("c0", 0, "human")] };
  expect(groupsInView(GROUPS, scene, [], "img_1")[0]).toMatchObject({ count: 0, isCounted: true });
});

it("splits a group, and joins its halves again; what was said of the others stays", () => {
  const split = withSplit([CHOICES[1]!], "img_1", 1);
  expect(split).toEqual([CHOICES[1], { file_id: "img_1", id: 1, split: true }]);
  const half = { ...GROUPS[0]!, id: 6, part_of: 1 };
  const choices = [
    ...split,
    { file_id: "img_1", id: 6, name: "large nuts" },
    { file_id: "img_1", id: 7, counted: false },
  ];
  const scene = { counted: [shape("c0", 6)], rejected: [shape("c1", 7, "other_type:group 2.2")] };
  const views = groupsInView([half, { ...half, id: 7, count: 0 }], scene, choices, "img_1");
  expect(views.map(({ id, joinsTo }) => [id, joinsTo])).toEqual([
    [6, 1],
    [7, 1],
  ]);
  expect(withJoined(choices, "img_1", views[0]!)).toEqual([CHOICES[1]]);
  expect(isGone(views[0]!, choices, "img_1")).toBe(false);
  expect(isGone(views[0]!, [CHOICES[1]!], "img_1")).toBe(true);
  const [further] = groupsInView([half], scene, withSplit(choices, "img_1", 7), "img_1");
  expect(further?.joinsTo).toBeNull();
  expect(withJoined(choices, "img_1", further!)).toBe(choices);
});

it("keeps what was said of a group when it is split, and has it again when its halves are joined", () => {
  const said = { file_id: "img_1", id: 1, name: "nuts", counted: false };
  const split = withSplit(CHOICES, "img_1", 1);
  expect(split).toEqual([CHOICES[1], { ...said, split: true }]);
  const larger = { ...GROUPS[0]!, id: 6, name: "nuts", part_of: 1 };
  const scene = { counted: [], rejected: SCENE.rejected.map((one, i) => ({ ...one, group: 6 + i })) };
  const halves = [larger, { ...larger, id: 7, name: "group 2.2" }];
  const views = groupsInView(halves, scene, split, "img_1");
  expect(views.map(({ id, name, placeholder, isCounted }) => [id, name, placeholder, isCounted])).toEqual([
    [6, "nuts", "half of a group", false],
    [7, "", "group 2.2", false],
  ]);
  expect(withJoined(split, "img_1", views[0]!)).toEqual([CHOICES[1], { ...said, split: false }]);
});

it("says of a half what replaces that, also that it has no name or counts", () => {
  const split = withSplit(CHOICES, "img_1", 1);
  const half = { id: 7, name: "", isCounted: false };
  expect(withChoice(split, "img_1", half, { counted: true })).toEqual([
    ...split,
    { file_id: "img_1", id: 7, counted: true },
  ]);
  const named = withSplit([{ file_id: "img_1", id: 1, name: "nuts" }], "img_1", 1);
  const larger = { id: 6, name: "nuts", isCounted: true };
  expect(withChoice(named, "img_1", larger, { name: " " })).toEqual([...named, { file_id: "img_1", id: 6 }]);
});

const FIVE = ["c0", "c1", "c2", "c3", "c4"].map((id) => shape(id, 0));
const TRAY = { counted: [...FIVE, shape("c5", 1)], rejected: [] };
const SPLIT = { file_id: "img_1", id: 0, split: true };

it("lists what splitting a group would give, and a word on one half splits it in the same step", () => {
  const [whole] = groupsInView(GROUPS, TRAY, [], "img_1");
  const [first, second] = whole!.halves;
  expect([first, second].map((half) => [half!.placeholder, half!.name, half!.count])).toEqual([
    ["group 1.1", "", 3],
    ["group 1.2", "", 2],
  ]);
  const dropped = withWord([], "img_1", second!, { counted: false });
  expect(dropped).toEqual([SPLIT, { file_id: "img_1", id: 5, counted: false }]);
  const again = groupsInView(GROUPS, TRAY, dropped, "img_1")[0]!;
  expect(again.halves.map((half) => half.isCounted)).toEqual([true, false]);
  expect([isGone(again, dropped, "img_1"), isGone(again.halves[1]!, dropped, "img_1")]).toEqual([
    true,
    false,
  ]);
  expect(withWord(dropped, "img_1", first!, { name: "nuts" })).toEqual([
    { file_id: "img_1", id: 5, counted: false },
    SPLIT,
    { file_id: "img_1", id: 4, name: "nuts" },
  ]);
});

it("shows and keeps of a half what was said of its group", () => {
  const said = { file_id: "img_1", id: 0, name: "nuts", counted: false };
  const halves = groupsInView(GROUPS, TRAY, [said], "img_1")[0]!.halves;
  expect(halves.map(({ name, isCounted }) => [name, isCounted])).toEqual([
    ["nuts", false],
    ["", false],
  ]);
  expect(withWord([said], "img_1", halves[0]!, { counted: true })).toEqual([
    { ...said, split: true },
    { file_id: "img_1", id: 4, name: "nuts", counted: true },
  ]);
  const turned = HALVES.map((half) => ({ ...half, larger: !half.larger }));
  const [shown] = groupsInView([{ ...GROUPS[0]!, halves: turned }], TRAY, [said], "img_1");
  expect(shown!.halves.map(({ name }) => name)).toEqual(["", "nuts"]);
});

it("counts one group or half alone", () => {
  const views = groupsInView(GROUPS, TRAY, [], "img_1");
  const only = (choices: GroupChoice[], within: GroupView[], one: GroupView) =>
    withOnly(choices, "img_1", within, one).sort((a, b) => a.id - b.id);
  const out = (id: number) => ({ file_id: "img_1", id, counted: false });
  const [parts, single] = views;
  expect(only([], views, single!)).toEqual([out(0)]);
  const half = only([], views, parts!.halves[1]!);
  expect(half).toEqual([SPLIT, out(1), out(4)]);
  const waiting = groupsInView(GROUPS, TRAY, half, "img_1");
  expect(only(half, waiting, waiting[0]!.halves[0]!)).toEqual([SPLIT, out(1), out(5)]);
  expect(only(half, waiting, waiting[1]!)).toEqual([SPLIT, out(4), out(5)]);
});

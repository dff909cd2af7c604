import { expect, it } from "vitest";
import type { CountConfig, ImageResult } from "../api/types";
import {
  certaintyNote,
  countedNoun,
  faintNote,
  lessonNote,
  namingNote,
  notCountedNote,
  offerNote,
  unmarkedNote,
  unseenNote,
} from "./countNotes";

const LIKED = { file_id: "img_1", positive: true };
const note = (settings: CountConfig, type = "unicorn feathers", more: Partial<ImageResult> = {}) =>
  namingNote(
    { labelled_by: "request", count: 30, groups: [], provenance: { settings }, ...more } as never,
    type,
  );

it("says how sure a count is, and repeats no number that a person gave or is asked to check", () => {
  expect(certaintyNote([22, 26], false)).toBe("22–26 with 90 % certainty");
  expect(certaintyNote([22, 26], true, true)).toBe("22–26 with 90 % certainty, as the machine sees the rest");
  expect(certaintyNote([24, 24], false)).toBe("exactly 24 with 90 % certainty");
  expect([certaintyNote([24, 24], true), certaintyNote(null, false)]).toEqual(["", ""]);
});

it("says of an offer what changes in the photos that are ticked, and what would in the others", () => {
  const same = { file_id: "same", count: 5, count_before: 5, doubt: null };
  const good = { file_id: "good", count: 4, count_before: 6, doubt: null };
  const odd = { file_id: "odd", count: 0, count_before: 3, doubt: "nothing would be left" };
  expect(offerNote([same, odd], ["same"])).toBe("No count would change; 1 if ticked, 1 perhaps wrongly");
  expect(offerNote([same, good, odd], ["same", "good"])).toBe(
    "1 count would change; 1 more if ticked, 1 perhaps wrongly",
  );
  expect(offerNote([good, odd], ["good", "odd"])).toBe("2 counts would change, 1 perhaps wrongly");
  expect(offerNote([same], ["same"])).toBe("Nothing would change");
});

it("says that every object was counted where nothing but the request names them", () => {
  expect(note({})).toBe(
    "All kinds were counted: nothing here can tell which are “unicorn feathers”. Show one to be sure.",
  );
  const group = {} as ImageResult["groups"][number];
  expect(note({}, "coin", { groups: [group, group] })).toContain(
    "which are “coins”. Show one, or choose a group, to be sure.",
  );
});

it("still says so where a group was only split", () => {
  expect(note({ groups: [{ file_id: "img_1", id: 0, split: true }] }, "washer")).toContain(
    "All kinds were counted",
  );
  expect(note({ groups: [{ file_id: "img_1", id: 0, name: "washer" }] }, "washer")).toBe("");
});

it("calls things as asked, unless the names of groups say that they are others", () => {
  const noun = (counts: Record<string, number>, ...names: string[]) =>
    countedNoun(
      9,
      "washer",
      Object.entries(counts).map(([name, count]) => ({ name, count })),
      names.map((name, id) => ({ file_id: "img_1", id, name })),
    );
  expect(noun({ "group 1": 9, "group 2": 7 })).toBe("washers");
  expect(noun({ nut: 9, washer: 7, screw: 6 }, "nut", "washer", "screw")).toBe("objects");
  expect(noun({ nut: 9, "group 2": 7 }, "nut")).toBe("objects");
  expect(noun({ nut: 9, "group 2": 0 }, "nut")).toBe("nuts");
  expect(noun({ washer: 9, "group 2": 7 }, "washer")).toBe("washers");
  expect(noun({})).toBe("washers");
});

it("says nothing where anything else chose, or nothing was asked for", () => {
  const silent = [
    note({ exemplars: [LIKED] }),
    note({ groups: [{ file_id: "img_1", id: 0, counted: false }] }),
    note({ symbolic_reasoning: { enabled: true } }),
    note({ count_what: "everything" }),
    note({}, "object"),
    note({}, "coin", { labelled_by: "imagenet+open_clip" }),
    note({}, "coin", { count: 0 }),
  ];
  expect(silent.filter(Boolean)).toEqual([]);
});

it("says how far a number that a person gave is from what is marked", () => {
  expect([unmarkedNote(12, 5), unmarkedNote(2, 5), unmarkedNote(5, 5)]).toEqual([
    ...["7 not marked in the picture", "3 more marked than this number", ""],
  ]);
});

it("says what becomes of added objects that the engine does not see, and only of those", () => {
  expect(unseenNote(0)).toBe("");
  expect(unseenNote(1)).toContain("does not see 1 object that you added, and learns nothing from it.");
  expect(unseenNote(2)).toBe(
    "The engine does not see 2 objects that you added, and learns nothing from them. To look for more like these, " +
      "draw a box around one with “Like this”, then “Count again with these”.",
  );
});

it("says that other examples undo what photos learned", () => {
  expect(lessonNote(0)).toBe("");
  expect(lessonNote(1)).toContain("1 photo is counted by your corrections.");
  expect(lessonNote(2)).toBe(
    "2 photos are counted by your corrections. Other examples undo that: use the corrections again for them afterwards.",
  );
});

it("tells what was not counted from what was too faint", () => {
  const notes = [notCountedNote(12, 35), notCountedNote(12, 0), notCountedNote(0, 1), notCountedNote(0, 0)];
  expect(notes).toEqual(["12 not counted, and 35 too faint", "12 not counted", "1 too faint", ""]);
});

it("says what was seen too faintly, and how to have it counted", () => {
  const how = "by a click, or show an example.";
  expect(faintNote(0)).toBe("");
  expect(faintNote(1)).toBe(`1 thing was seen too faintly to count. Add it ${how}`);
  expect(faintNote(12)).toBe(`12 things were seen too faintly to count. Add one ${how}`);
});

import { describe, expect, it } from "vitest";
import type { Edit } from "../api/types";
import {
  dropped,
  emptyHistory,
  nextBatch,
  record,
  recordNumber,
  redo,
  refusedOf,
  saved,
  undo,
} from "./history";

const add = (x: number): Edit => ({ op: "add", point: [x, 0] });
const remove = (object_id: string): Edit => ({ op: "remove", object_id });

describe("history", () => {
  it("undoes and redoes an unsaved step without the server", () => {
    const one = record(emptyHistory, [add(1)], ["local:0"]);
    const back = undo(one);
    expect(back.revert).toBeNull();
    expect(back.history.done).toEqual([]);
    expect(redo(back.history).done).toEqual(one.done);
  });

  it("forgets what was undone once something new happens", () => {
    const back = undo(record(emptyHistory, [add(1)], ["local:0"])).history;
    expect(record(back, [remove("c1")]).undone).toEqual([]);
  });

  it("reverts a saved step, and saves its companions again", () => {
    let history = record(record(emptyHistory, [remove("c1")]), [remove("c2")]);
    history = saved(history, nextBatch(history), "cor_1", []);
    expect(nextBatch(history)).toEqual([]);
    const back = undo(history);
    expect(back.revert).toBe("cor_1");
    expect(nextBatch(back.history).map((entry) => entry.edits)).toEqual([[remove("c1")]]);
  });

  it("leaves saved steps alone when an unsaved one is undone", () => {
    let history = record(emptyHistory, [remove("c1")]);
    history = record(saved(history, nextBatch(history), "cor_1", []), [remove("c2")]);
    const back = undo(history);
    expect(back.revert).toBeNull();
    expect(back.history.done[0]?.correctionId).toBe("cor_1");
  });

  it("waits with removing an added object until the server has named it", () => {
    let history = record(record(emptyHistory, [add(1)], ["local:0"]), [remove("local:0")]);
    const first = nextBatch(history);
    expect(first).toHaveLength(1);
    history = saved(history, first, "cor_1", ["h1_1"]);
    expect(nextBatch(history).map((entry) => entry.edits)).toEqual([[remove("h1_1")]]);
  });

  it("follows an object through undo, redo and its new name", () => {
    let history = record(emptyHistory, [add(1)], ["local:0"]);
    history = saved(history, nextBatch(history), "cor_1", ["h1_1"]);
    history = record(history, [remove("h1_1")]);
    history = saved(history, nextBatch(history), "cor_2", []);
    history = undo(undo(history).history).history; // both taken back
    history = redo(history);
    history = saved(history, nextBatch(history), "cor_3", ["h3_1"]);
    history = redo(history);
    expect(nextBatch(history)[0]?.edits).toEqual([remove("h3_1")]);
  });

  it("says what was refused, by the number that the server gives an edit", () => {
    let history = record(record(emptyHistory, [add(1), remove("c1")], ["local:0"]), [remove("c2")]);
    const batch = nextBatch(history);
    const fields = ["edits[2].object_id", "edits.0.point", "version"];
    const details = fields.map((field) => ({ field, message: "no" }));
    const refused = refusedOf(batch, details);
    expect([...refused.values()]).toEqual(["removing c2 (no)", "adding at 1, 0 and removing c1 (no)"]);
    history = recordNumber(emptyHistory, 4);
    expect([...refusedOf(history.done, [{ field: "count", message: "no" }]).values()]).toEqual([
      "the number 4 (no)",
    ]);
  });

  it("sends no more at once than the server takes", () => {
    const done = Array.from({ length: 1001 }, (_, k) => record(emptyHistory, [remove(`c${k}`)]).done).flat();
    expect(nextBatch({ done, undone: [] })).toHaveLength(1000);
  });

  it("keeps what is saved when the server refuses the rest", () => {
    let history = record(emptyHistory, [remove("c1")]);
    history = record(saved(history, nextBatch(history), "cor_1", []), [remove("gone")]);
    expect(dropped(history, nextBatch(history)).done.map((entry) => entry.correctionId)).toEqual(["cor_1"]);
  });

  it("does nothing without anything to undo or redo", () => {
    expect(undo(emptyHistory)).toEqual({ history: emptyHistory, revert: null });
    expect(redo(emptyHistory)).toBe(emptyHistory);
  });
});

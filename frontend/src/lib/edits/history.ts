/**
 * What a person did to one image, as a list that can be undone, redone and saved in batches. Pure.
 *
 * An entry is one step of undo. Saved entries carry the correction that holds them; several entries
 * saved together share one correction. Objects that the server does not know yet have a local id,
 * replaced everywhere once the server has named them.
 */
import type { ErrorDetail } from "../api/client";
import type { CorrectionRecord, Edit, StoredEdit } from "../api/types";

/** What the server takes at once. */
const MAX_EDITS = 1000;

export interface Entry {
  edits: Edit[];
  /** Ids of the objects that the `add` edits made, in their order; local until saved. */
  addedIds: string[];
  /** The correction that holds this entry; null while it is not saved. */
  correctionId: string | null;
  /** Whether it says how many there are, whatever the outlines say. */
  isNumber?: boolean;
  /** The number it says, where this page is to save it. */
  count?: number;
}

export interface History {
  done: Entry[];
  undone: Entry[];
}

export const emptyHistory: History = { done: [], undone: [] };

/** Return the history that corrections of earlier visits make, newest first as the server lists them. */
export function historyOf(corrections: CorrectionRecord[]): History {
  const standing = corrections.filter((correction) => correction.reverted_at === null).reverse();
  return { done: standing.map(entryOf), undone: [] };
}

function entryOf({ correction_id, edits, human_count }: CorrectionRecord): Entry {
  const known = edits.map(editOf);
  const isKnown = human_count === null && known.every((edit) => edit !== null);
  return {
    edits: isKnown ? known : [],
    addedIds: edits.flatMap((edit) => (edit.op === "add" && edit.object_id ? [edit.object_id] : [])),
    correctionId: correction_id,
    isNumber: human_count !== null,
  };
}

function editOf({ op, point, object_id }: StoredEdit): Edit | null {
  if (op === "add" && point) return { op, point };
  return op === "remove" && object_id ? { op, object_id } : null;
}

/** Append the number of objects, whatever the outlines say. */
export function recordNumber(history: History, count: number): History {
  const entry = { edits: [], addedIds: [], correctionId: null, isNumber: true, count };
  return { done: [...history.done, entry], undone: [] };
}

/** Append one step; what was undone before is forgotten. */
export function record(history: History, edits: Edit[], addedIds: string[] = []): History {
  return { done: [...history.done, { edits, addedIds, correctionId: null }], undone: [] };
}

/**
 * Take back the last step.
 *
 * `revert` names the correction to take back on the server. Other entries of that correction become
 * unsaved again, so that saving repeats them.
 */
export function undo(history: History): { history: History; revert: string | null } {
  const last = history.done.at(-1);
  if (!last) return { history, revert: null };
  const revert = last.correctionId;
  const isTogether = (entry: Entry) => revert !== null && entry.correctionId === revert;
  const done = history.done.slice(0, -1).map((entry) => (isTogether(entry) ? unsaved(entry) : entry));
  const undone = canRepeat(last) ? [...history.undone, unsaved(last)] : [];
  return { history: { done, undone }, revert };
}

/** A step of an earlier visit may hold more than this page can do again; then it has no edits here. */
const canRepeat = (entry: Entry) => entry.edits.length > 0;

const unsaved = (entry: Entry): Entry => ({ ...entry, correctionId: null });

/** Repeat the step undone last; it counts as unsaved. */
export function redo(history: History): History {
  const entry = history.undone.at(-1);
  if (!entry) return history;
  return { done: [...history.done, entry], undone: history.undone.slice(0, -1) };
}

/**
 * Return how many unsaved entries can be sent together.
 *
 * An entry that removes an object added by an entry before it in the batch has to wait until the
 * server has named that object. A number goes alone: edits before it do not move it, those after it do.
 */
export function nextBatch(history: History): Entry[] {
  const waiting = history.done.filter((entry) => entry.correctionId === null);
  const added = new Set<string>();
  const batch: Entry[] = [];
  for (const entry of waiting) {
    if (entry.isNumber) return batch.length ? batch : [entry];
    if (entry.edits.some((edit) => edit.op === "remove" && added.has(edit.object_id))) break;
    if (batch.length === MAX_EDITS) break;
    for (const id of entry.addedIds) added.add(id);
    batch.push(entry);
  }
  return batch;
}

/** Mark a batch as saved, and use the server's names for the objects it added, in their order. */
export function saved(history: History, batch: Entry[], correctionId: string, ids: string[]): History {
  const names = new Map<string, string>();
  batch.flatMap((entry) => entry.addedIds).forEach((id, k) => names.set(id, ids[k] ?? id));
  const name = (id: string) => names.get(id) ?? id;
  const rename = (entry: Entry): Entry => ({
    ...entry,
    edits: entry.edits.map((edit) =>
      edit.op === "remove" ? { ...edit, object_id: name(edit.object_id) } : edit,
    ),
    addedIds: entry.addedIds.map(name),
    correctionId: batch.includes(entry) ? correctionId : entry.correctionId,
  });
  return { done: history.done.map(rename), undone: history.undone.map(rename) };
}

/** Return the entries of a batch that the server's details refuse, each with what it is and why. */
export function refusedOf(batch: Entry[], details: ErrorDetail[]): Map<Entry, string> {
  const owners = batch.flatMap((entry) => entry.edits.map(() => entry));
  const refused = new Map<Entry, string>();
  for (const { field = "", message } of details) {
    const entry = field === "count" ? batch[0] : owners[Number(/^edits\D(\d+)/.exec(field)?.[1])];
    if (entry) refused.set(entry, `${nameOf(entry)} (${message})`);
  }
  return refused;
}

function nameOf({ edits, count }: Entry): string {
  if (count !== undefined) return `the number ${count}`;
  const names = edits.map((edit) =>
    edit.op === "add" ? `adding at ${edit.point.join(", ")}` : `removing ${edit.object_id}`,
  );
  return names.join(" and ");
}

/** Forget entries that the server refused, and the removal of what they would have added. */
export function dropped(history: History, refused: Entry[]): History {
  const gone = new Set(refused.flatMap((entry) => entry.addedIds));
  const isKept = (entry: Entry) =>
    !refused.includes(entry) && !entry.edits.some((edit) => edit.op === "remove" && gone.has(edit.object_id));
  return { done: history.done.filter(isKept), undone: history.undone.filter(isKept) };
}

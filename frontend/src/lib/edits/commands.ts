/** Keys of the correction page. */

export type Command =
  | "add"
  | "remove"
  | "like"
  | "unlike"
  | "region"
  | "select"
  | "delete"
  | "undo"
  | "redo"
  | "nextImage"
  | "previousImage"
  | "nextObject"
  | "previousObject"
  | "rejected"
  | "help";

const PLAIN: Record<string, Command> = {
  a: "add",
  d: "remove",
  l: "like",
  n: "unlike",
  b: "region",
  Escape: "select",
  Delete: "delete",
  Backspace: "delete",
  ".": "nextObject",
  ",": "previousObject",
  r: "rejected",
  "?": "help",
};

interface Key {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
  target: EventTarget | null;
}

/** Return what a key press asks for; keys that are typed into a field, or belong to a control, are not ours. */
export function commandOf(event: Key): Command | null {
  const tag = tagOf(event.target);
  if (event.altKey || ["INPUT", "SELECT", "TEXTAREA", "DIALOG"].includes(tag)) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") return event.shiftKey ? "redo" : "undo";
    return key === "y" ? "redo" : null;
  }
  if (key === " ") {
    if (["BUTTON", "A", "SUMMARY", "CHECKBOX"].includes(tag)) return null;
    return event.shiftKey ? "previousImage" : "nextImage";
  }
  return PLAIN[key] ?? null;
}

/** Return the kind of element that has the focus; boxes to tick and sliders take no text. */
function tagOf(target: EventTarget | null): string {
  const { tagName = "", type = "" } = (target ?? {}) as Partial<HTMLInputElement>;
  return tagName === "INPUT" && ["checkbox", "range"].includes(type) ? type.toUpperCase() : tagName;
}

import { expect, it } from "vitest";
import { commandOf } from "./commands";

const press = (key: string, tag = "BODY", more: object = {}) =>
  commandOf({
    ...{ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false },
    target: { tagName: tag } as unknown as EventTarget,
    ...more,
  });

it("knows the keys of the help page", () => {
  expect(["a", "A", "d", "Delete", ".", " ", "?"].map((key) => press(key))).toEqual([
    "add",
    "add",
    "remove",
    "delete",
    "nextObject",
    "nextImage",
    "help",
  ]);
  expect(press("z", "BODY", { ctrlKey: true })).toBe("undo");
  expect(press("z", "BODY", { metaKey: true, shiftKey: true })).toBe("redo");
  expect(press("y", "BODY", { ctrlKey: true })).toBe("redo");
});

it("leaves typing in fields alone", () => {
  expect(press("a", "INPUT")).toBeNull();
  expect(press("Delete", "TEXTAREA")).toBeNull();
});

it("listens while a box to tick has the focus, which needs the space bar alone", () => {
  const box = { target: { tagName: "INPUT", type: "checkbox" } as unknown as EventTarget };
  expect(press("Delete", "", box)).toBe("delete");
  expect(press(" ", "", box)).toBeNull();
});

it("leaves the space bar to a focused button", () => {
  expect(press(" ", "BUTTON")).toBeNull();
});

it("leaves the browser's own shortcuts alone", () => {
  expect(press("a", "BODY", { ctrlKey: true })).toBeNull();
  expect(press("d", "BODY", { altKey: true })).toBeNull();
});
